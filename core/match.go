package core

import (
	"log/slog"
	"net/http"
)

// match is one OnMatch rule.
type match struct {
	reason reasonIndex
	ask    func(*http.Request) bool
	guard  *guard
}

func newMatch(reason reasonIndex, ask func(*http.Request) bool) match {
	return match{reason, ask, new(guard)}
}

func (m *match) accepts(r *http.Request, logger *slog.Logger) (yes bool) {
	defer caught(m.guard, logger, "an OnMatch function", &yes)
	return m.ask(r)
}
