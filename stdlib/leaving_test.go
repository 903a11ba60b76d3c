package stdlib_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// stream sends its first word, waits until the connection has to go, and says
// goodbye.
func stream(w http.ResponseWriter, r *http.Request) {
	w.Write([]byte("hello "))
	http.NewResponseController(w).Flush()
	select {
	case <-core.Leaving(r.Context()):
		w.Write([]byte("goodbye"))
	case <-r.Context().Done():
	}
}

func TestAStreamLeavesWithTheDrain(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		opts := append([]stdlib.ServeOption{stdlib.IdleGrace(far), stdlib.DrainTimeout(2 * far)}, over.Opts...)
		s := serve(t, servertest.NewController(t), http.HandlerFunc(stream), opts...)
		client := over.Dial(t, s.Address)
		client.Send(clienttest.Request("GET", "/"))
		s.ExpectStats("the stream is not in flight", func(s core.Stats) bool { return s.Active == 1 && s.InFlight == 0 && s.Exchanges == 1 })
		s.Drain()
		r := client.Receive()
		if r.Body != "hello goodbye" {
			t.Errorf("the stream was %q", r.Body)
		}
		// Its header had left before the drain, so the socket is closed as
		// idle, or with the next response.
		s.ListenerIsClosed()
		client.ExpectClosed(client.Get("/"))
		client.Close()
		s.MustEnd()
	})
}

func TestAStreamLeavesForEveryReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts []core.Option
		then func(*core.Controller)
	}{
		"a spread drain": {opts: []core.Option{core.DrainSpread(50 * time.Millisecond)}, then: (*core.Controller).Drain},
		"a flag":         {opts: []core.Option{flagUpSoon()}},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, c.opts...)
			s := serve(t, ctl, http.HandlerFunc(stream))
			client := clienttest.Dial(t, s.Address)
			client.Send(clienttest.Request("GET", "/"))
			s.ExpectStats("it has begun", func(s core.Stats) bool { return s.Exchanges == 1 })
			if c.then != nil {
				c.then(ctl)
			}
			if body := client.Receive().Body; body != "hello goodbye" {
				t.Errorf("the stream was %q", body)
			}
		})
	}
	t.Run("its age", func(t *testing.T) {
		s := serve(t, servertest.NewController(t, core.OnAge(50*time.Millisecond)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			if _, announced := core.Announced(r.Context()); !announced {
				stream(w, r)
			}
		}))
		clienttest.Eventually(t, "one that began before that age leaves", func() bool {
			client := clienttest.Dial(t, s.Address)
			defer client.Close()
			return client.Get("/").Body == "hello goodbye"
		})
	})
	t.Run("its client's end", func(t *testing.T) {
		gone := make(chan struct{})
		ctl := servertest.NewController(t)
		s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			leaving := core.Leaving(r.Context())
			go func() {
				<-leaving
				close(gone)
			}()
			<-r.Context().Done()
		}))
		client := clienttest.Dial(t, s.Address)
		client.Send(clienttest.Request("GET", "/"))
		s.ExpectStats("it has begun", func(s core.Stats) bool { return s.Exchanges == 1 })
		client.Close()
		clienttest.Receive(t, "Leaving", gone)
	})
}

// flagUpSoon is a DrainWhen flag that is down when the stream begins.
func flagUpSoon() core.Option {
	began := time.Now()
	return core.DrainWhen(func() bool { return time.Since(began) > 500*time.Millisecond })
}

func TestWithoutAControllerNothingLeaves(t *testing.T) {
	client := clienttest.Dial(t, serveBare(t, servertest.Cleartext, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if core.Leaving(r.Context()) != nil || core.CloseAfter(r.Context(), core.ReasonHandler) {
			t.Error("there is no Controller to ask")
		}
		servertest.Hello(w, r)
	})))
	client.ExpectKept(get(t, client, "/"))
}

func TestAStreamLeavesWithTheDrainThoughItIsHijacked(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaving := core.Leaving(r.Context())
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		<-leaving
		conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ngoodbye"))
	})
	s := serve(t, servertest.NewController(t), handler, stdlib.IdleGrace(0), stdlib.DrainTimeout(far))
	client := clienttest.Dial(t, s.Address)
	client.Send(clienttest.Request("GET", "/"))
	s.ExpectStats("it is hijacked", func(s core.Stats) bool { return s.Hijacked == 1 })
	s.Drain()
	if body := client.Receive().Body; !strings.Contains(body, "goodbye") {
		t.Errorf("it said %q", body)
	}
	client.ExpectEnd()
	if report := s.MustEnd(); report.Hijacked != 1 || report.Forced != 0 {
		t.Errorf("the report is %+v", report)
	}
}

func TestStreamsOfAnHTTP2ConnectionLeaveTogether(t *testing.T) {
	s := serve(t, servertest.NewController(t), http.HandlerFunc(stream), append([]stdlib.ServeOption{
		stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(far),
	}, servertest.OverTLS.Opts...)...)
	client := clienttest.DialHTTP2(t, s.Address)
	streams := []uint32{client.Start("/"), client.Start("/")}
	s.ExpectStats("both have begun", func(s core.Stats) bool { return s.Exchanges == 2 })
	s.Drain()
	for _, id := range streams {
		if body := client.Finish(id).Body; body != "hello goodbye" {
			t.Errorf("stream %d was %q", id, body)
		}
	}
	client.Close()
	s.MustEnd()
}
