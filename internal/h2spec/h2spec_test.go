package h2spec

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

// full asks for the strict cases, too.
var full = os.Getenv("POLITECLOSE_FULL") != ""

// cases are those of the suite that count, by their names there: "http2/5.1/3".
func cases() map[string]*spec.TestCase {
	all := make(map[string]*spec.TestCase)
	var add func(g *spec.TestGroup)
	add = func(g *spec.TestGroup) {
		for i, c := range append(slices.Clone(g.Tests), g.StrictTests...) {
			if full || !c.Strict {
				all[g.ID()+"/"+strconv.Itoa(i+1)] = c
			}
		}
		for _, below := range g.Groups {
			add(below)
		}
	}
	for _, root := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		add(root)
	}
	return all
}

func TestATrackedServerConformsAsOneThatIsNotTracked(t *testing.T) {
	all := cases()
	if len(all) < 90 {
		t.Fatalf("there are %d cases", len(all))
	}
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "cleartext", true: "TLS"}[secure], func(t *testing.T) {
			t.Parallel()
			bare, tracked := serve(t, secure, false), serve(t, secure, true)
			for name, c := range all {
				t.Run(name, func(t *testing.T) {
					t.Parallel() // most of the time one waits for nothing to come
					compare(t, c, bare, tracked)
				})
			}
		})
	}
}

// compare runs a case until it has the same outcome on both servers. That of some
// depends on which of two goroutines comes first.
func compare(t *testing.T, c *spec.TestCase, bare, tracked *config.Config) {
	const attempts = 5
	var outcomes [2][]string
	for range attempts {
		outcomes[0] = append(outcomes[0], outcome(t, c, bare))
		outcomes[1] = append(outcomes[1], outcome(t, c, tracked))
		if slices.ContainsFunc(outcomes[0], func(o string) bool { return slices.Contains(outcomes[1], o) }) {
			return
		}
	}
	t.Errorf("%s: %q without us, %q with us", c.Desc, outcomes[0], outcomes[1])
}

func outcome(t *testing.T, c *spec.TestCase, server *config.Config) string {
	patient := *server
	patient.Timeout = time.Minute
	conn, err := spec.Dial(&patient)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Timeout = server.Timeout // for what may not come
	switch err := c.Run(server, conn); err {
	case nil:
		return "passed"
	case spec.ErrSkipped:
		return "skipped"
	default:
		return "failed"
	}
}

// serve returns how the suite finds a server.
func serve(t *testing.T, secure, track bool) *config.Config {
	t.Helper()
	srv := &http.Server{
		// The suite asks for a response with a body, and uploads.
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, strings.Repeat("hello ", 100))
		}),
		ErrorLog:  log.New(io.Discard, "", 0),
		Protocols: new(http.Protocols),
		TLSConfig: &tls.Config{Certificates: certificates()},
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	if track {
		ctl, err := core.New()
		if err != nil {
			t.Fatal(err)
		}
		if err := stdlib.Track(srv, ctl); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if secure {
			srv.ServeTLS(l, "", "")
		} else {
			srv.Serve(l)
		}
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return &config.Config{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Path: "/", TLS: secure, Insecure: true,
		Timeout: 2 * time.Second, MaxHeaderLen: 4000, Strict: full,
	}
}

// certificates are httptest's.
var certificates = sync.OnceValue(func() []tls.Certificate {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Certificates
})
