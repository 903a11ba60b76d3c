package overload

import (
	"math/rand/v2"
	"net/http"
	"sync/atomic"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/core/load"
)

// Rule is what a replica does about its load.
type Rule struct {
	Name string
	// options are the Controller's.
	options func(Config) []core.Option
	// wrap goes around the handler, unless it is nil. It counts its closes.
	wrap func(Config, http.Handler, *atomic.Int64) http.Handler
}

// None does nothing: clients stay where they are.
func None() Rule {
	return Rule{Name: "none", options: func(Config) []core.Option { return nil }}
}

// Politeclose is core.OnLoad, with everything else at its default.
func Politeclose() Rule {
	return Rule{Name: "politeclose", options: func(cfg Config) []core.Option {
		return []core.Option{core.OnLoad(load.InFlight(cfg.Soft, cfg.Hard))}
	}}
}

// CoinToss closes after each response with the same probability as that with
// which politeclose would choose a connection, and without a budget: what proxies
// do.
func CoinToss() Rule {
	return Rule{
		Name:    "coin toss",
		options: func(Config) []core.Option { return nil },
		wrap: func(cfg Config, next http.Handler, closes *atomic.Int64) http.Handler {
			var inFlight atomic.Int64
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				place := float64(inFlight.Add(1)-int64(cfg.Soft)) / float64(cfg.Hard-cfg.Soft)
				defer inFlight.Add(-1)
				if rand.Float64() < place {
					w.Header().Set("Connection", "close")
					closes.Add(1)
				}
				next.ServeHTTP(w, r)
			})
		},
	}
}
