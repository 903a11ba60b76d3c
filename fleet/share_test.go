package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/fleet"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestTheFairShareIsTheMeanOfTheFleet(t *testing.T) {
	var f town
	a, b, c := f.newReplica(t, 30), f.newReplica(t, 3), f.newReplica(t, 0)
	for _, r := range []*replica{a, b, c} {
		r.expectShare(0)
		r.poll()
		r.expectShare(11)
	}
}

func TestAReplicaThatIsAddedHasItsPartOfTheShare(t *testing.T) {
	var f town
	a := f.newReplica(t, 10)
	f.newReplica(t, 14)
	a.poll()
	a.expectShare(12)
	f.newReplica(t, 0)
	a.poll()
	a.expectShare(8)
}

func TestTheMarginIsOnTopAndTheShareIsRoundedUp(t *testing.T) {
	var f town
	a := f.newReplica(t, 10, fleet.Margin(0.5))
	f.newReplica(t, 11)
	a.poll()
	a.expectShare(16)
}

func TestWhatAReplicaGainsBetweenPollsIsNoExcess(t *testing.T) {
	var f town
	a := f.newReplica(t, 10)
	f.newReplica(t, 10)
	a.poll()
	a.hold(20)
	a.expectShare(20) // as if the other one had gained as much
	a.poll()
	a.expectShare(15)
}

func TestAReplicaThatDrainsIsLeftOut(t *testing.T) {
	var f town
	a, b := f.newReplica(t, 10), f.newReplica(t, 20)
	f.newReplica(t, 30)
	a.poll()
	a.expectShare(20)
	b.ctl.Drain()
	a.poll()
	a.expectShare(20)
	b.ctl.Resume()
	b.hold(80)
	a.poll()
	a.expectShare(40)
	b.ctl.Drain()
	a.poll()
	a.expectShare(20)
}

func TestAReplicaAloneHasNoShare(t *testing.T) {
	var f town
	a := f.newReplica(t, 10)
	a.expectUnknown("no peer")
	f.newReplica(t, 0).ctl.Drain()
	a.expectUnknown("no peer")
}

func TestAPeerThatIsNoLongerListedIsForgotten(t *testing.T) {
	var f town
	a, b := f.newReplica(t, 10), f.newReplica(t, 0)
	f.newReplica(t, 10)
	a.poll()
	a.expectShare(7)
	f.addresses = []string{a.address, f.addresses[2]}
	a.poll()
	a.expectShare(10)
	if n := b.asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestOfManyPeersASampleIsAskedAndEachHasItsTurn(t *testing.T) {
	var f town
	a := f.newReplica(t, 6, fleet.Sample(2))
	var others []*replica
	for range 6 {
		others = append(others, f.newReplica(t, 6))
	}
	others[0].hold(13)
	asked := func() (n int64) {
		n += a.asked.Load()
		for _, r := range others {
			n += r.asked.Load()
		}
		return n
	}
	for poll := range int64(6) {
		a.poll()
		if got, want := asked(), 2*(poll+1); got != want {
			t.Fatalf("%d asked in %d polls, want %d", got, poll+1, want)
		}
	}
	for _, r := range others {
		if n := r.asked.Load(); n < 1 || n > 2 {
			t.Errorf("a peer was asked %d times in 12 of 7 turns", n)
		}
	}
	a.expectShare(7)
}

func TestBelowHalfOfTheSampleTheShareIsUnknown(t *testing.T) {
	var f town
	a := f.newReplica(t, 10)
	f.newReplica(t, 20)
	f.newReplica(t, 30)
	for range 2 {
		f.stranger(t, says("hello"))
	}
	a.poll() // two of four
	a.expectShare(20)
	f.stranger(t, says("hello"))
	a.expectUnknown("of 5 peers asked 2 answered")
}

// TestNobodyIsBelievedWhoIsNoReplica has a peer with 20 connections beside what
// answers in its own way: it is left out, and no more.
func TestNobodyIsBelievedWhoIsNoReplica(t *testing.T) {
	report := func(version, id, connections string) http.HandlerFunc {
		return says(fmt.Sprintf(`{"version":%s,"id":%s,"connections":%s,"draining":false}`, version, id, connections))
	}
	const id = `"0123456789abcdef"`
	for name, answer := range map[string]http.HandlerFunc{
		"negative":           report("1", id, "-5"),
		"not whole":          report("1", id, "0.5"),
		"huge":               report("1", id, "4611686018427387904"),
		"beyond 64 bits":     report("1", id, "1e400"),
		"a text":             report("1", id, `"5"`),
		"null":               report("1", id, "null"),
		"no connections":     says(`{"version":1,"id":` + id + `}`),
		"no id":              report("1", `""`, "5"),
		"another version":    report("2", id, "5"),
		"empty":              says(""),
		"an empty object":    says("{}"),
		"a list":             says("[1,2,3]"),
		"another program":    says("<html><title>It works</title></html>"),
		"cut short":          says(`{"version":1,"id":` + id + `,"connec`),
		"an error":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"no content":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"a redirect to good": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) },
		"deep":               says(strings.Repeat("[", 1000)),
		"long": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"version":1,"id":"` + strings.Repeat("x", 1<<20)))
		},
		"a terabyte": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1099511627776")
			block := make([]byte, 64<<10)
			for r.Context().Err() == nil {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		},
		"a terabyte of spaces before": func(w http.ResponseWriter, r *http.Request) {
			block := []byte(strings.Repeat(" ", 64<<10))
			for r.Context().Err() == nil {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		},
		"a header without an end": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nX: ")
			for err == nil {
				_, err = conn.Write(make([]byte, 64<<10))
			}
		},
		"not HTTP": func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				fmt.Fprint(conn, "220 mail.example ESMTP\r\n")
				conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f town
			a := f.newReplica(t, 10)
			f.newReplica(t, 20)
			f.stranger(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/good" {
					report("1", id, "5")(w, r)
					return
				}
				answer(w, r)
			})
			a.poll()
			a.expectShare(15)
		})
	}
}

func TestAnAddressThatIsNoneIsAPeerThatDoesNotAnswer(t *testing.T) {
	for _, address := range []string{"", "host", "user:password@host:80", "host:80/path", "[::1", "a b:80", "host:99999", "http://host:80"} {
		t.Run(address, func(t *testing.T) {
			var f town
			a := f.newReplica(t, 10)
			f.newReplica(t, 20)
			f.join(address)
			a.poll()
			a.expectShare(15)
		})
	}
}

func TestAPeerThatDoesNotAnswerIsWaitedForForALimitedTime(t *testing.T) {
	var f town
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a := f.newReplica(t, 10)
	f.newReplica(t, 20)
	f.join(silent.Addr().String())
	a.poll()
	a.expectShare(15)
}

func TestAReplicaThatStopsAnsweringIsLeftOut(t *testing.T) {
	var f town
	a, b := f.newReplica(t, 10), f.newReplica(t, 20)
	f.newReplica(t, 30)
	a.poll()
	a.expectShare(20)
	f.addresses[1] = "127.0.0.1:0"
	a.poll()
	a.expectShare(20)
	f.addresses[1] = b.address
	b.hold(80)
	a.poll()
	a.expectShare(40)
	b.share.Handler(nil) // another Handler's trouble is not this one's
	a.poll()
	a.expectShare(40)
}

func TestTheBearerTokenIsNeededAndShown(t *testing.T) {
	var f town
	a := f.newReplica(t, 10, fleet.BearerToken("secret"))
	f.newReplica(t, 20, fleet.BearerToken("secret"))
	a.poll()
	a.expectShare(15)
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer secre", "Bearer secret2", "secret", "Basic secret"} {
		response := clienttest.Dial(t, a.address).Get(fleet.Path, "Authorization: "+header)
		if response.Status != http.StatusUnauthorized || strings.Contains(response.Body, "connections") {
			t.Errorf("%q: status %d, %q", header, response.Status, response.Body)
		}
	}
	stranger := f.newReplica(t, 30, fleet.BearerToken("another"))
	stranger.expectUnknown("status 401")
}

func TestTheHandlerSaysAFewBytes(t *testing.T) {
	var f town
	a := f.newReplica(t, 3)
	conn := clienttest.Dial(t, a.address)
	response := conn.Get(fleet.Path)
	if response.Header.Get("Content-Type") != "application/json" || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the header is %v", response.Header)
	}
	const before, after = `{"version":1,"id":"`, `","connections":3,"draining":false}` + "\n"
	body := response.Body
	if !strings.HasPrefix(body, before) || !strings.HasSuffix(body, after) || len(body) != len(before)+16+len(after) {
		t.Errorf("it says %q", body)
	}
	a.ctl.Drain()
	if body := conn.Get(fleet.Path).Body; !strings.Contains(body, `"draining":true`) {
		t.Errorf("it says %q while it drains", body)
	}
}

func TestTheConnectionOfAQuestionIsNotCounted(t *testing.T) {
	var f town
	for _, connections := range []int{0, 3} {
		r := f.newReplica(t, connections)
		for _, http2 := range []bool{false, true} {
			said := ask(t, r.serves, http2)
			if want := fmt.Sprintf(`"connections":%d,`, connections); !strings.Contains(said, want) {
				t.Errorf("HTTP/2 %v: it says %q, want %s", http2, said, want)
			}
			r.hold(connections) // waits for the end of that one
		}
	}
}

// ask returns what is answered at fleet.Path over a connection of its own.
func ask(t *testing.T, address string, http2 bool) string {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("http://" + address + fleet.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestTheConnectionOfAQuestionIsLeftOutWhereItIsCountedAndNowhereElse asks over
// servers whose connections are not among those that are counted, and over one
// where another Controller's middleware stands before the Handler.
func TestTheConnectionOfAQuestionIsLeftOutWhereItIsCountedAndNowhereElse(t *testing.T) {
	var f town
	for name, server := range map[string]func(srv *http.Server, own, other *core.Controller) error{
		"another Controller's server": func(srv *http.Server, _, other *core.Controller) error {
			return stdlib.Track(srv, other)
		},
		"another Controller's server below one's own middleware": func(srv *http.Server, own, other *core.Controller) error {
			srv.Handler = stdlib.Middleware(own)(srv.Handler)
			return stdlib.Track(srv, other)
		},
		"one's own server below another Controller's middleware": func(srv *http.Server, own, other *core.Controller) error {
			srv.Handler = stdlib.Middleware(other)(srv.Handler)
			return stdlib.Track(srv, own)
		},
		"an untracked server with one's own middleware": func(srv *http.Server, own, _ *core.Controller) error {
			srv.Handler = stdlib.Middleware(own)(srv.Handler)
			return nil
		},
	} {
		r := f.newReplica(t, 3)
		other, err := core.New(core.Logger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(r.share.Handler(r.ctl))
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetHTTP1(true)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		if err := server(srv.Config, r.ctl, other); err != nil {
			t.Fatal(err)
		}
		srv.Start()
		t.Cleanup(srv.Close)
		for _, http2 := range []bool{false, true} {
			if said := ask(t, srv.Listener.Addr().String(), http2); !strings.Contains(said, `"connections":3,`) {
				t.Errorf("%s, HTTP/2 %v: it says %q of 3", name, http2, said)
			}
			r.hold(3) // waits for the end of that one
		}
	}
}

func TestThePeersFunctionMayFailAndPanic(t *testing.T) {
	var f town
	a := f.newReplica(t, 10)
	for why, peers := range map[string]func(context.Context) ([]string, error){
		"no such host": func(context.Context) ([]string, error) { return nil, errors.New("no such host") },
		"panicked: no": func(context.Context) ([]string, error) { panic("no") },
	} {
		newShareOf(t, a.ctl, peers).expectUnknown(why)
	}
}

func TestAPeersFunctionThatStaysIsNotCalledAgainUntilItReturns(t *testing.T) {
	var f town
	a := f.newReplica(t, 10)
	free := make(chan struct{})
	var calls atomic.Int64
	b := newShareOf(t, a.ctl, func(ctx context.Context) ([]string, error) {
		calls.Add(1)
		<-free
		return f.peers(ctx)
	}, fleet.Interval(100*time.Millisecond))
	b.expectUnknown("has not returned")
	b.expectUnknown("has not returned since an earlier poll")
	if n := calls.Load(); n > 1 {
		t.Errorf("it was called %d times at once", n)
	}
	close(free)
	clienttest.ExpectNoGoroutine(t, "fleet.(*lister)")
	f.newReplica(t, 20)
	// A loaded machine may need several tries within 100 ms.
	clienttest.Eventually(t, "the share is known", func() bool { return b.share.Poll(t.Context()) == nil })
}

// newShareOf is another Share of a replica, with a peers function of its own.
func newShareOf(t *testing.T, ctl *core.Controller, peers func(context.Context) ([]string, error), opts ...fleet.Option) *replica {
	t.Helper()
	share, err := fleet.NewShare(peers, append([]fleet.Option{quiet()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	share.Handler(ctl)
	return &replica{t: t, share: share}
}

func TestWithoutAHandlerOrWithTwoNoPollSucceeds(t *testing.T) {
	var f town
	a := f.newReplica(t, 10)
	other, err := core.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		handlers []*core.Controller
		want     string
	}{
		{"none", nil, "no Handler"},
		{"nil", []*core.Controller{nil}, "Controller is nil"},
		{"two Controllers", []*core.Controller{a.ctl, other}, "two Controllers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			share, err := fleet.NewShare(f.peers, quiet())
			if err != nil {
				t.Fatal(err)
			}
			for _, ctl := range test.handlers {
				share.Handler(ctl)
			}
			b := &replica{t: t, share: share}
			b.expectUnknown(test.want)
			if err := share.Run(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Run returned %v, want an error with %q", err, test.want)
			}
		})
	}
}
