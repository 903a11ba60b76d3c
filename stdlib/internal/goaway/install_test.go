package goaway

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

func overBoth(t *testing.T, test func(t *testing.T, secure bool)) {
	t.Run("over TLS", func(t *testing.T) { test(t, true) })
	t.Run("in cleartext", func(t *testing.T) { test(t, false) })
}

func ok(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, "ok")
}

func TestAnIdleConnectionIsToldTwiceAndThenEnds(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		s := serve(t, secure, ok)
		c := s.dial(t)
		c.request(1, http.MethodGet)
		c.wantAnswer(1)
		(<-s.conns).Announce(debug)
		c.wantGoAway(maxStreamID)
		c.wantPing()()
		c.wantPing()()
		c.wantGoAway(1)
		c.wantEnd()
	})
}

func TestStreamsOpenedBetweenTheTwoGoAwaysAreServed(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		s := serve(t, secure, ok)
		c := s.dial(t)
		c.request(1, http.MethodPost)
		(<-s.conns).Announce(debug)
		c.wantGoAway(maxStreamID)
		first := c.wantPing()
		c.request(3, http.MethodPost)
		first()
		second := c.wantPing()
		c.request(5, http.MethodPost)
		second()
		c.wantGoAway(5)
		for _, stream := range []uint32{5, 1, 3} {
			c.WriteData(stream, true, []byte("body"))
			c.wantAnswer(stream)
		}
		c.wantPing()()
		c.wantEnd()
	})
}

func TestStreamsOpenedAfterTheAcknowledgementAreCountedAndNotServed(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		served := make(chan struct{}, 10)
		s := serve(t, secure, func(w http.ResponseWriter, r *http.Request) {
			served <- struct{}{}
			ok(w, r)
		})
		c := s.dial(t)
		c.request(1, http.MethodPost)
		conn := <-s.conns
		conn.Announce(debug)
		c.wantGoAway(maxStreamID)
		c.wantPing()()
		c.wantPing()()
		c.wantGoAway(1)
		c.request(3, http.MethodGet)
		c.request(5, http.MethodGet)
		c.WriteData(1, true, nil)
		c.wantAnswer(1)
		c.wantPing()()
		c.wantEnd()
		if n := conn.Ignored(); n != 2 || len(served) != 1 {
			t.Fatalf("%d counted as ignoring, %d served; want 2 and 1", n, len(served))
		}
	})
}

func TestShutdownAnnounces(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		s := serve(t, secure, ok)
		c := s.dial(t)
		<-s.conns
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(t.Context()) }()
		c.wantGoAway(maxStreamID)
		c.wantPing()()
		c.wantPing()()
		c.wantGoAway(0)
		c.wantEnd()
		c.Close()
		if err := <-down; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAConnectionIsForgottenWhenItEnds(t *testing.T) {
	all := &installed{srv: new(http.Server), opened: func(*Conn) {}, backend: nobody{}}
	all.acceptTLS()(nil, tls.Client(new(wire), nil), nil)
	if len(all.open) > 0 {
		t.Fatalf("%d are known", len(all.open))
	}
}

type nobody struct{}

func (nobody) serve(*http.Server, net.Conn, http.Handler) {}

func TestAConnectionThatComesDuringShutdownIsAnnounced(t *testing.T) {
	all := &installed{srv: new(http.Server), opened: func(*Conn) {}}
	all.announce()
	c := &Conn{Conn: new(wire)}
	all.add(c, nil)
	defer c.Close()
	if c.step() == serving {
		t.Fatal("not announced")
	}
}

// A net.Conn of the program's own may hang below a Conn.
func TestAConnectionThatHangsHoldsUpNoOther(t *testing.T) {
	all := &installed{srv: new(http.Server), opened: func(*Conn) {}}
	hanging := &Conn{Conn: new(wire)}
	all.add(hanging, nil)
	hanging.mu.Lock()
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		all.announce()
	}()
	c := &Conn{Conn: new(wire)}
	defer c.Close()
	added := make(chan struct{})
	go func() {
		defer close(added)
		end := time.Now().Add(waitAtMost)
		for closing := false; !closing && time.Now().Before(end); time.Sleep(time.Millisecond) {
			all.mu.Lock()
			closing = all.closing
			all.mu.Unlock()
		}
		all.add(c, nil)
	}()
	select {
	case <-added:
	case <-time.After(waitAtMost):
		t.Error("another connection waits for it")
	}
	hanging.mu.Unlock()
	<-announced
	<-added
	hanging.Close()
}

// pipes is a listener of net.Pipe connections, for fake time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipes) Close() error   { close(l.closed); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func overPipe(t *testing.T, secure bool, test func(t *testing.T, s *server, c *client)) {
	overPipeOf(t, secure, nil, test)
}

// overPipeOf puts what wrap makes of it in the place of the server's end.
func overPipeOf(t *testing.T, secure bool, wrap func(net.Conn) net.Conn, test func(t *testing.T, s *server, c *client), options ...func(*http.Server)) {
	synctest.Test(t, func(t *testing.T) {
		s := configured(secure, ok, options...)
		s.install(t)
		test(t, s, greet(t, s.overWrappedPipe(t, wrap)))
	})
}

func (s *server) overPipe(t *testing.T) net.Conn { return s.overWrappedPipe(t, nil) }

// overWrappedPipe serves one connection.
func (s *server) overWrappedPipe(t *testing.T, wrap func(net.Conn) net.Conn) net.Conn {
	s.hook()
	ln := &pipes{make(chan net.Conn), make(chan struct{})}
	if s.secure {
		go s.ServeTLS(ln, "", "")
	} else {
		go s.Serve(ln)
	}
	ours, theirs := net.Pipe()
	if wrap != nil {
		theirs = wrap(theirs)
	}
	ln.conns <- theirs
	t.Cleanup(func() {
		ours.Close()
		s.Close()
	})
	if s.secure {
		return tls.Client(ours, clientTLS())
	}
	return ours
}

// isToldItsLastStream opens stream 1, which stays open, and acknowledges what comes
// until the server has named it in its second GOAWAY.
func (c *client) isToldItsLastStream(s *server) {
	c.Helper()
	c.request(1, http.MethodPost)
	synctest.Wait()
	(<-s.conns).Announce(debug)
	c.wantGoAway(maxStreamID)
	c.wantPing()()
	c.wantPing()()
	c.wantGoAway(1)
}

func TestAClientThatKeepsTheConnectionDoesNotDelayItsEnd(t *testing.T) {
	overPipe(t, true, func(t *testing.T, s *server, c *client) {
		start := time.Now()
		c.isToldItsLastStream(s)
		c.WriteData(1, true, nil)
		c.wantAnswer(1)
		c.wantPing()()
		c.wantEnd()
		if waited := time.Since(start); waited != lastResponses+pause {
			t.Errorf("ended after %v; net/http alone takes another second", waited)
		}
	})
}

// Node's client answers the first GOAWAY with one of its own, so that the server names
// the last stream before any PING is acknowledged.
func TestALateAcknowledgementEndsNothing(t *testing.T) {
	overPipe(t, true, func(t *testing.T, s *server, c *client) {
		c.request(1, http.MethodPost)
		synctest.Wait()
		(<-s.conns).Announce(debug)
		c.wantGoAway(maxStreamID)
		acknowledge := c.wantPing()
		c.WriteGoAway(0, http2.ErrCodeNo, nil)
		c.wantGoAway(1)
		acknowledge()
		synctest.Wait()
		c.WriteData(1, true, nil)
		c.wantAnswer(1)
		c.wantPing()()
		c.wantEnd()
	})
}

// Node's client may take the end from TLS before the frames in front of it, which
// wait while it writes, and fails the response.
func TestOurDirectionEndsWhenTheLastResponseWasRead(t *testing.T) {
	for name, test := range map[string]struct{ acknowledged, ended time.Duration }{
		"it is acknowledged":     {300 * time.Millisecond, 300 * time.Millisecond},
		"it is not acknowledged": {time.Hour, time.Second}, // net/http's own patience
	} {
		t.Run(name, func(t *testing.T) {
			overPipe(t, true, func(t *testing.T, s *server, c *client) {
				c.isToldItsLastStream(s)
				c.WriteData(1, true, nil)
				c.wantAnswer(1)
				start := time.Now()
				acknowledge := time.AfterFunc(test.acknowledged, c.wantPing())
				defer acknowledge.Stop()
				c.wantEnd()
				if waited := time.Since(start); waited != test.ended {
					t.Errorf("ended after %v, want %v", waited, test.ended)
				}
			})
		})
	}
}

func TestAClientThatStallsWithinAFrameDoesNotKeepTheConnection(t *testing.T) {
	for name, begun := range map[string][]byte{
		"a frame header":      {0, 0, 5, byte(http2.FrameHeaders)},
		"an unfinished block": {0, 0, 1, byte(http2.FrameHeaders), byte(http2.FlagHeadersEndStream), 0, 0, 0, 3, 0x83},
	} {
		for _, acknowledges := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, acknowledges: %v", name, acknowledges), func(t *testing.T) {
				overBoth(t, func(t *testing.T, secure bool) {
					overPipe(t, secure, func(t *testing.T, s *server, c *client) {
						c.request(1, http.MethodPost)
						start := time.Now()
						(<-s.conns).Announce(debug)
						c.wantGoAway(maxStreamID)
						first := c.wantPing()
						if acknowledges {
							first()
							second := c.wantPing()
							c.WriteData(1, true, nil)
							c.wantAnswer(1)
							// In one write, so that they are read together.
							var both bytes.Buffer
							c.Framer = http2.NewFramer(&both, c.Conn)
							second()
							c.Write(append(both.Bytes(), begun...))
						} else {
							c.WriteData(1, true, nil)
							c.wantAnswer(1)
							c.Write(begun)
						}
						for c.next() != nil {
						}
						if waited := time.Since(start); waited > 3*patience {
							t.Errorf("ended after %v", waited)
						}
					})
				})
			})
		}
	}
}
