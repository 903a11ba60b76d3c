package stdlib_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/politeclose/politeclose/core"
)

func TestAPercentEncodedPatternIsThatOfTheMux(t *testing.T) {
	for _, pattern := range []string{"/health", "/caf%C3%A9", "/a%2Fb", "/%7Bx%7D", "/a%2Fb/c"} {
		t.Run(pattern, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc(pattern, hello)

			exempt := newController(t, core.OnRequestCount(1), core.Exempt(pattern))
			client := cleartext.dial(t, serve(t, exempt, mux).address)
			client.ExpectKept(client.Get(pattern))

			sensitive := newController(t, core.OnRoutes(pattern))
			client = cleartext.dial(t, serve(t, sensitive, mux).address)
			client.ExpectClosed(client.Get(pattern))

			// Where the path is another one, the route has to do.
			onRoute := newController(t, core.OnRoutes(pattern))
			client = cleartext.dial(t, serve(t, onRoute, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Pattern = pattern
				hello(w, r)
			})).address)
			client.ExpectClosed(client.Get("/elsewhere"))
		})
	}
}

func TestAPatternThatNeverMatchesIsSeenInStats(t *testing.T) {
	ctl := newController(t, core.OnRoutes("/users/:id", "POST /login"), core.Exempt("/healthz"))
	mux := http.NewServeMux()
	mux.HandleFunc("/users/{id}", hello)
	mux.HandleFunc("/login", hello)
	s := serve(t, ctl, mux)
	client := cleartext.dial(t, s.address)
	client.ExpectKept(client.Get("/users/7"))
	client.Send("POST /login HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n")
	client.ExpectClosed(client.Receive())
	want := "[{OnRoutes /users/:id 0} {OnRoutes POST /login 1} {Exempt /healthz 0}]"
	if got := fmt.Sprint(ctl.Stats().Patterns); got != want {
		t.Errorf("the patterns are %s, want %s", got, want)
	}
}
