package stdlib_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/servertest"
)

func TestAPercentEncodedPatternIsThatOfTheMux(t *testing.T) {
	for _, pattern := range []string{"/health", "/caf%C3%A9", "/a%2Fb", "/%7Bx%7D", "/a%2Fb/c"} {
		t.Run(pattern, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc(pattern, servertest.Hello)

			exempt := servertest.NewController(t, core.OnRequestCount(1), core.Exempt(pattern))
			client := servertest.Cleartext.Dial(t, serve(t, exempt, mux).Address)
			client.ExpectKept(client.Get(pattern))

			sensitive := servertest.NewController(t, core.OnRoutes(pattern))
			client = servertest.Cleartext.Dial(t, serve(t, sensitive, mux).Address)
			client.ExpectClosed(client.Get(pattern))

			// Where the path is another one, the route has to do.
			onRoute := servertest.NewController(t, core.OnRoutes(pattern))
			client = servertest.Cleartext.Dial(t, serve(t, onRoute, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Pattern = pattern
				servertest.Hello(w, r)
			})).Address)
			client.ExpectClosed(client.Get("/elsewhere"))
		})
	}
}

func TestAPatternThatNeverMatchesIsSeenInStats(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/users/:id", "POST /login"), core.Exempt("/healthz"))
	mux := http.NewServeMux()
	mux.HandleFunc("/users/{id}", servertest.Hello)
	mux.HandleFunc("/login", servertest.Hello)
	s := serve(t, ctl, mux)
	client := servertest.Cleartext.Dial(t, s.Address)
	client.ExpectKept(client.Get("/users/7"))
	client.Send("POST /login HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n")
	client.ExpectClosed(client.Receive())
	want := "[{OnRoutes /users/:id 0} {OnRoutes POST /login 1} {Exempt /healthz 0}]"
	if got := fmt.Sprint(ctl.Stats().Patterns); got != want {
		t.Errorf("the patterns are %s, want %s", got, want)
	}
}
