package statuspage

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/politeclose/politeclose/core"
)

// Controls adds Drain and Resume to the page, for who has the token: in the form's
// field, or as "Authorization: Bearer" beside a field action=drain or
// action=resume. They are what [core.Controller.Drain] and
// [core.Controller.Resume] are: responses announce, and no listener is closed.
//
// The token is compared in constant time, a request from another site is refused
// ([http.CrossOriginProtection]), and each use is logged with the client's address.
// Without this option, and with an empty token, the page only shows.
func Controls(token string) Option {
	return func(h *handler) {
		h.controls = nil
		if token != "" {
			h.controls = &controls{token: sha256.Sum256([]byte(token))}
		}
	}
}

type controls struct {
	token  [sha256.Size]byte // hashed, so that the comparison takes the same for any length
	origin http.CrossOriginProtection
}

// maxForm is more than any form of the page has.
const maxForm = 8 << 10

// use does what a POST asks for. Where it returns another status than 200 it says
// why.
func (c *controls) use(ctl *core.Controller, w http.ResponseWriter, r *http.Request) (status int, refusal string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	action := r.PostFormValue("action")
	status, refusal = c.act(ctl, r, action)
	logged := action
	if status == http.StatusBadRequest {
		logged = "" // nobody needs to read what it was
	}
	ctl.Logger().Warn("politeclose: the status page was asked to "+what(logged),
		"action", logged, "client", r.RemoteAddr, "status", status, "refused", refusal)
	return status, refusal
}

func what(action string) string {
	if action == "" {
		return "do something unknown"
	}
	return action
}

func (c *controls) act(ctl *core.Controller, r *http.Request, action string) (status int, refusal string) {
	do, known := map[string]func() bool{
		"drain":  func() bool { ctl.Drain(); return true },
		"resume": ctl.Resume,
	}[action]
	switch {
	case !known:
		return http.StatusBadRequest, "There is no such action."
	case c.origin.Check(r) != nil:
		return http.StatusForbidden, "The request came from another site."
	case !c.admits(r):
		return http.StatusForbidden, "That is not the token."
	case !do():
		return http.StatusConflict, "It is too late to resume: a listener is closed."
	}
	return http.StatusOK, ""
}

func (c *controls) admits(r *http.Request) bool {
	given := r.PostFormValue("token")
	if scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	}
	hash := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(hash[:], c.token[:]) == 1
}
