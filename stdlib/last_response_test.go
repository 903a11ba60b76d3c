package stdlib_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

const (
	largeSize = 8 << 20
	pipelined = 60 << 10
	readTime  = 3 * time.Second // at least, for all of it
)

// large is a response of 8 MB, announced as the last one by set.
func large(set func(http.ResponseWriter, *http.Request)) http.Handler {
	body := make([]byte, largeSize)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set(w, r)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body)
	})
}

// readSlowly asks for the large response with requests pipelined behind it, and
// reports whether all of it arrives.
func readSlowly(client *clienttest.Conn) (whole bool) {
	request := clienttest.Request("GET", "/large")
	if _, err := io.WriteString(client, request+strings.Repeat(request, pipelined/len(request))); err != nil {
		return false
	}
	const steps = 100
	pace := time.NewTicker(readTime / steps)
	defer pace.Stop()
	received := 0
	for buffer := make([]byte, largeSize/steps); ; {
		<-pace.C
		n, err := io.ReadFull(client, buffer)
		received += n
		if err != nil {
			orderly := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			return orderly && received > largeSize // the header is in it
		}
	}
}

func TestTheLastResponseSurvivesWhatTheClientSentBehindIt(t *testing.T) {
	t.Parallel() // a slow reader takes its time
	tries := 3
	if full {
		tries = 20
	}
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		t.Parallel()
		var clients sync.WaitGroup
		truncated := func(address string) *atomic.Int64 {
			n := new(atomic.Int64)
			for range tries {
				client := over.Dial(t, address)
				clients.Go(func() {
					if !readSlowly(client) {
						n.Add(1)
					}
				})
			}
			return n
		}
		s := serve(t, servertest.NewController(t), large(func(_ http.ResponseWriter, r *http.Request) {
			core.CloseAfter(r.Context(), core.ReasonHandler)
		}), over.Opts...)
		bare := serveBare(t, over, large(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
		}))
		ours, theirs := truncated(s.Address), truncated(bare)
		clients.Wait()
		t.Logf("of %d responses %d were cut off; with a bare Connection: close %d", tries, ours.Load(), theirs.Load())
		if ours.Load() > 0 {
			t.Errorf("%d responses were cut off", ours.Load())
		}
		if theirs.Load() == 0 {
			t.Error("a bare Connection: close cuts off nothing: this client does not show what the listener is for")
		}
	})
}

// http.MaxBytesReader cannot close the connection through a wrapped writer
// (go.dev/issue/73754); OnStatus does.
func TestAClientThatIsStillSendingReadsThe413(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t, core.OnStatus(http.StatusRequestEntityTooLarge))
		s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 1000)
			_, err := io.Copy(io.Discard, r.Body)
			if _, ok := errors.AsType[*http.MaxBytesError](err); !ok {
				t.Errorf("reading the body: %v", err)
			}
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}), over.Opts...)
		client := over.Dial(t, s.Address)
		client.Send(clienttest.Request("POST", "/", fmt.Sprint("Content-Length: ", largeSize)))
		chunk := strings.Repeat("x", largeSize/64)
		for range 64 {
			client.Send(chunk)
		}
		r := client.Receive()
		if r.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("the status is %d", r.Status)
		}
		client.ExpectClosed(r)
		client.Close()
		s.ExpectStats("no connection", func(s core.Stats) bool { return s.Open == 0 })
		if n := ctl.Stats().InputAfterAnnounce; n != 0 {
			t.Errorf("the body counts as input after the announcement")
		}
	})
}

func TestInputAfterTheAnnouncementIsCounted(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, servertest.Hello, over.Opts...)
		polite, impolite, posting := over.Dial(t, s.Address), over.Dial(t, s.Address), over.Dial(t, s.Address)
		for _, c := range []*clienttest.Conn{polite, impolite, posting} {
			get(t, c, "/")
		}
		s.BeginDrain()
		polite.ExpectClosed(get(t, polite, "/"))
		polite.Close()
		impolite.ExpectClosed(get(t, impolite, "/"))
		impolite.Send(clienttest.Request("GET", "/again"))
		impolite.Send(clienttest.Request("GET", "/and-again"))
		impolite.Close()
		posting.Send(clienttest.Request("POST", "/", "Content-Length: 5") + "12345")
		posting.ExpectClosed(posting.Receive())
		posting.Close()
		if report := s.MustEnd(); report.InputAfterAnnounce != 1 || report.Announced != 3 || report.Served != 3 {
			t.Errorf("the report is %+v; want 1 of 3 connections with input", report)
		}
		if n := ctl.Stats().InputAfterAnnounce; n != 1 {
			t.Errorf("the statistics have %d connections with input, want 1", n)
		}
	})
}

// http.Server.Close calls the connections' Close with its lock held.
func TestClosingTheServerWaitsForNoClient(t *testing.T) {
	const idle, announced = 1000, 50
	ctl := servertest.NewController(t)
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		servertest.Hello(w, r)
		if r.URL.Path == "/stream" {
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	var clients []*clienttest.Conn
	for range idle {
		c := clienttest.Dial(t, s.Address)
		get(t, c, "/")
		clients = append(clients, c)
	}
	s.ExpectStats("all are idle", func(s core.Stats) bool { return s.Idle == idle })
	ctl.Drain()
	for range announced {
		c := clienttest.Dial(t, s.Address)
		c.Send(clienttest.Request("GET", "/stream"))
		clients = append(clients, c)
	}
	s.ExpectStats("all others are announced", func(s core.Stats) bool {
		return s.Active == announced && s.Closes[core.ReasonDrain] == announced
	})
	took := make(chan time.Duration)
	go func() {
		began := time.Now()
		s.HTTP.Close()
		took <- time.Since(began)
	}()
	t.Logf("closing %d connections took %v", idle+announced, clienttest.Receive(t, "the end of Close", took))
	for _, c := range clients {
		io.Copy(io.Discard, c)
		c.Close()
	}
	if _, err := s.Wait(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

func TestTheLingerEndsThoughTheClientDoesNot(t *testing.T) {
	t.Parallel() // takes the 2 s that a silent client is given
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		t.Parallel()
		ctl := servertest.NewController(t)
		s := serve(t, ctl, servertest.Hello, over.Opts...)
		client := over.Dial(t, s.Address)
		get(t, client, "/")
		s.BeginDrain()
		client.ExpectClosed(get(t, client, "/"))
		if report := s.MustEnd(); report.Announced != 1 || report.Forced != 0 || report.Duration < time.Second {
			t.Errorf("the report is %+v; want one connection announced, and waited for", report)
		}
	})
}

// How long that may go on at most is in TestALingerHasTwoBounds.
func TestAClientThatGoesOnSendingIsWaitedForButNotForEver(t *testing.T) {
	t.Parallel()
	enough := 25 // a little longer than a silent client is given
	if full {
		enough = 1000 // longer than any client is given
	}
	ctl := servertest.NewController(t)
	s := serve(t, ctl, servertest.Hello)
	client := clienttest.Dial(t, s.Address)
	get(t, client, "/")
	s.BeginDrain()
	client.ExpectClosed(get(t, client, "/"))
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for range enough {
		<-pace.C
		if _, err := io.WriteString(client, "x"); err != nil {
			break
		}
	}
	client.Close()
	if report := s.MustEnd(); report.Announced != 1 || report.Forced != 0 || report.InputAfterAnnounce != 1 {
		t.Errorf("the report is %+v", report)
	}
}
