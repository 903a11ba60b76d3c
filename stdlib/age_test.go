package stdlib_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

const shortAge = 100 * time.Millisecond

func TestASilentHTTP2ConnectionIsToldAtItsAge(t *testing.T) {
	t.Parallel()
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		t.Parallel()
		ctl := servertest.NewController(t, core.OnAge(shortAge))
		s := servertest.New(t, ctl, servertest.NewHTTP2(servertest.Hello)).Start(over.Opts...)
		client := over.DialHTTP2(t, s.Address)
		client.Get("/")
		client.ExpectGoAway()
		client.ExpectEnd()
		client.Close()
		s.ExpectStats("it has ended for its age", func(s core.Stats) bool { return s.Open == 0 && s.Closes[core.ReasonAge] == 1 })
	})
}

func TestTheBudgetIsAskedAgainForASilentConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The two may be told a second apart: then too there is nothing left for the other.
		ctl, p := servertest.NewController(t, core.OnAge(shortAge), core.Budget(0.5, 1)), newPipes()
		s := servertest.NewOn(t, p, ctl, servertest.NewHTTP2(servertest.Hello)).Start()
		var clients [2]*clienttest.HTTP2
		for i := range clients {
			conn := p.dial()
			defer conn.Close()
			clients[i] = clienttest.NewHTTP2(t, conn)
			clients[i].Get("/")
		}
		for _, client := range clients {
			client.ExpectGoAway()
		}
		if s := ctl.Stats(); s.Closes[core.ReasonAge] != 2 || s.HeldBack == 0 {
			t.Errorf("the statistics are %+v", s)
		}
		s.Force()
		<-s.Done
	})
}

// A stream that does not leave is cut after the grace.
func TestWhatOutlivesTheAgeGraceIsCut(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(*core.Controller, http.ResponseWriter, *http.Request){
		"it has been told by Leaving": func(_ *core.Controller, _ http.ResponseWriter, r *http.Request) {
			<-core.Leaving(r.Context())
		},
		"its own response has announced, and Leaving told it": func(_ *core.Controller, w http.ResponseWriter, r *http.Request) {
			core.CloseAfter(r.Context(), core.ReasonHandler)
			w.(http.Flusher).Flush()
			<-core.Leaving(r.Context())
		},
		"its response has announced": func(ctl *core.Controller, _ http.ResponseWriter, _ *http.Request) {
			clienttest.Eventually(t, "the connection is too old", func() bool { return ctl.Connections(1)[0].Age > 2*shortAge })
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnAge(shortAge), core.AgeGrace(shortAge))
			s := servertest.New(t, ctl, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				wait(ctl, w, r)
				io.WriteString(w, "hello")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}))).Start()
			client := clienttest.Dial(t, s.Address)
			client.Send(clienttest.Request("GET", "/"))
			if response, err := client.TryReceive(); err == nil && response.Truncated == nil {
				t.Error("the stream came to its end")
			}
			s.ExpectStats("it was forced", func(s core.Stats) bool { return s.Open == 0 && s.Ended[core.HowForced] == 1 })
		})
	}
}

func TestWithoutAnAgeGraceAStreamMayGoOn(t *testing.T) {
	t.Parallel()
	ctl := servertest.NewController(t, core.OnAge(shortAge))
	told, release := make(chan struct{}), make(chan struct{})
	s := servertest.New(t, ctl, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-core.Leaving(r.Context())
		close(told)
		<-release
		servertest.Hello(w, r)
	}))).Start()
	client := clienttest.Dial(t, s.Address)
	client.Send(clienttest.Request("GET", "/"))
	clienttest.Receive(t, "the age", told)
	client.ExpectOpen()
	close(release)
	client.ExpectClosed(client.Receive())
}
