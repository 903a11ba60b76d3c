package goaway

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// Some released clients fail every open stream at any GOAWAY.
func TestTheFirstGoAwayIsBehindTheResponseThatTriggersIt(t *testing.T) {
	for name, respond := range map[string]func(http.ResponseWriter){
		"a short one":   func(w http.ResponseWriter) { io.WriteString(w, "ok") },
		"nothing":       func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"one of 1 MB":   func(w http.ResponseWriter) { w.Write(make([]byte, 1<<20)) },
		"one in pieces": func(w http.ResponseWriter) { w.(http.Flusher).Flush(); io.WriteString(w, "ok") },
		"one with fields": func(w http.ResponseWriter) {
			w.Header().Set("Long", string(make([]byte, 1<<16)))
			w.Header().Set("Trailer", "Sum")
		},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, secure bool) {
				var conn *Conn
				overPipeOf(t, secure, nil, func(t *testing.T, s *server, c *client) {
					conn = <-s.conns
					c.WriteWindowUpdate(0, 1<<24)
					c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 24})
					c.request(1, http.MethodGet)
					if before := c.untilGoAway(); !endsWith(before, 1) {
						t.Errorf("the GOAWAY came behind %v", before)
					}
				}, func(srv *http.Server) {
					srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						conn.Announce(debug)
						respond(w)
						w.Header().Set("Sum", "0")
					})
				})
			})
		})
	}
}

// untilGoAway returns the frames before the first GOAWAY.
func (c *client) untilGoAway() (before []http2.FrameHeader) {
	c.Helper()
	return c.untilGoAwayFor(debug)
}

func (c *client) untilGoAwayFor(reason string) (before []http2.FrameHeader) {
	c.Helper()
	for {
		f := c.next()
		if f == nil {
			c.Fatalf("no GOAWAY behind %v", before)
		}
		if goAway, ok := f.(*http2.GoAwayFrame); ok {
			if goAway.LastStreamID != maxStreamID || string(goAway.DebugData()) != reason {
				c.Fatalf("%v with %q", goAway, goAway.DebugData())
			}
			return before
		}
		if s, ok := f.(*http2.SettingsFrame); !ok || !s.IsAck() {
			before = append(before, f.Header())
		}
	}
}

// endsWith reports whether the last frame is the end of these streams, in any
// order.
func endsWith(frames []http2.FrameHeader, streams ...uint32) bool {
	if len(frames) == 0 || !frames[len(frames)-1].Flags.Has(http2.FlagDataEndStream) {
		return false
	}
	for _, stream := range streams {
		if !slices.ContainsFunc(frames, func(f http2.FrameHeader) bool {
			return f.StreamID == stream && (f.Type == http2.FrameData || f.Type == http2.FrameHeaders) && f.Flags.Has(http2.FlagDataEndStream)
		}) {
			return false
		}
	}
	return true
}

func TestTheFirstGoAwayIsBehindEveryResponseUnderWay(t *testing.T) {
	overPipes(t, func(t *testing.T, s *server, c *client) {
		for _, stream := range []uint32{1, 3, 5} {
			c.request(stream, http.MethodPost)
		}
		synctest.Wait()
		(<-s.conns).Announce(debug)
		c.request(7, http.MethodPost) // it came after the announcement
		synctest.Wait()
		for _, stream := range []uint32{3, 1, 5} {
			c.WriteData(stream, true, nil)
		}
		if before := c.untilGoAway(); !endsWith(before, 1, 3, 5) || len(before) != 6 {
			t.Errorf("the GOAWAY came behind %v", before)
		}
	})
}

func TestTheFirstGoAwayDoesNotWaitForAStreamThatTheClientResets(t *testing.T) {
	overPipes(t, func(t *testing.T, s *server, c *client) {
		c.request(1, http.MethodPost)
		synctest.Wait()
		start := time.Now()
		(<-s.conns).Announce(debug)
		c.WriteRSTStream(1, http2.ErrCodeCancel)
		c.untilGoAway()
		if waited := time.Since(start); waited != quiet {
			t.Errorf("it came after %v, want %v", waited, quiet)
		}
	})
}

func TestTheFirstGoAwayDoesNotWaitLongForAResponse(t *testing.T) {
	overPipes(t, func(t *testing.T, s *server, c *client) {
		c.request(1, http.MethodPost)
		synctest.Wait()
		start := time.Now()
		(<-s.conns).Announce(debug)
		c.untilGoAway()
		if waited := time.Since(start); waited != lastResponses {
			t.Errorf("it came after %v, want %v", waited, lastResponses)
		}
	})
}

// Some clients fail what crosses a GOAWAY on the wire, too, and Java's what it has
// read and not yet handed on.
func TestTheFirstGoAwayWaitsForAQuietMoment(t *testing.T) {
	for name, test := range map[string]struct {
		before time.Duration // since the last response
		reason string        // "" is a drain's
		speak  func(c *client)
		behind uint32 // the stream whose response is the last before the GOAWAY; 0: none
		after  time.Duration
	}{
		"not on a silent connection": {before: quietWithin, speak: func(*client) {}},
		"which silence soon is":      {before: quietWithin / 2, speak: func(*client) {}, after: quietWithin},
		"behind the next response": {
			before: quietWithin / 2,
			speak: func(c *client) {
				time.Sleep(quietWithin / 2)
				c.request(3, http.MethodGet)
			},
			behind: 3,
			after:  quietWithin/2 + quiet,
		},
		"in which no other request has come": {
			speak: func(c *client) {
				c.request(3, http.MethodGet)
				time.Sleep(quiet / 2)
				c.request(5, http.MethodGet)
			},
			behind: 5,
			after:  quiet/2 + quiet,
		},
		"which no response under way disturbs": {
			speak: func(c *client) {
				c.request(3, http.MethodPost)
				c.request(5, http.MethodGet)
				time.Sleep(quietWithin / 2)
				c.WriteData(3, true, nil)
			},
			behind: 3,
			after:  quietWithin/2 + quiet,
		},
		"with an end, behind a response": {
			speak: func(c *client) {
				c.request(3, http.MethodPost)
				for stream := uint32(5); stream < 15; stream += 2 {
					time.Sleep(quietWithin / 4)
					c.request(stream, http.MethodGet)
				}
			},
			behind: 11,
			after:  quietWithin,
		},
		"while few requests come": {
			speak: func(c *client) {
				for stream := uint32(3); stream < 1+2*2*drainRequests; stream += 2 {
					c.request(stream, http.MethodGet)
					time.Sleep(quiet / 2)
				}
			},
			behind: 1 + 2*drainRequests,
			after:  (drainRequests - 1) * quiet / 2,
		},
		"for an end of its own, behind the next response": {
			reason: debug,
			speak: func(c *client) {
				for stream := uint32(3); stream < 9; stream += 2 {
					time.Sleep(quiet / 2) // so that they are answered in this order
					c.request(stream, http.MethodGet)
				}
			},
			behind: 3,
			after:  quiet / 2,
		},
		"with an end, behind one of several responses": {
			speak: func(c *client) {
				c.request(3, http.MethodPost)
				time.Sleep(2 * quietWithin)
				c.request(5, http.MethodGet)
			},
			behind: 5,
			after:  2 * quietWithin,
		},
	} {
		t.Run(name, func(t *testing.T) {
			overPipes(t, func(t *testing.T, s *server, c *client) {
				c.request(1, http.MethodGet)
				c.wantAnswer(1)
				time.Sleep(test.before)
				synctest.Wait()
				start := time.Now()
				reason := cmp.Or(test.reason, reasonDrain)
				(<-s.conns).Announce(reason)
				var speaking sync.WaitGroup
				speaking.Go(func() { test.speak(c) })
				before := c.untilGoAwayFor(reason)
				if waited := time.Since(start); waited != test.after {
					t.Errorf("it came after %v, want %v", waited, test.after)
				}
				var behind uint32
				if len(before) > 0 {
					behind = before[len(before)-1].StreamID
				}
				if behind != test.behind || behind > 0 && !endsWith(before, behind) {
					t.Errorf("it came behind %v, want the end of stream %d", before, test.behind)
				}
				speaking.Wait()
			})
		})
	}
}

func TestANewConnectionMaySendItsFirstRequestBeforeTheFirstGoAway(t *testing.T) {
	overPipes(t, func(t *testing.T, s *server, c *client) {
		(<-s.conns).Announce(debug)
		c.request(1, http.MethodGet)
		if before := c.untilGoAway(); !endsWith(before, 1) {
			t.Errorf("the GOAWAY came behind %v", before)
		}
	})
}

// overPipes is overPipe, over TLS and in cleartext.
func overPipes(t *testing.T, test func(t *testing.T, s *server, c *client)) {
	t.Helper()
	overBoth(t, func(t *testing.T, secure bool) { overPipe(t, secure, test) })
}

func TestAClientThatDoesNotAcknowledge(t *testing.T) {
	for name, test := range map[string]struct {
		silence func(c *client) // from the first GOAWAY on
		after   time.Duration
	}{
		"is told when patience is over": {func(*client) {}, patience},
		"is told when it has read nothing for as long": {
			func(c *client) { time.Sleep(3 * time.Second); c.WriteWindowUpdate(0, 1) },
			3*time.Second + patience,
		},
		"is told when patience is over though it says what belongs to no stream": {chat, patience},
		"is waited for while it uploads": {
			func(c *client) {
				c.request(3, http.MethodPost)
				time.Sleep(20 * time.Second)
				c.WriteData(3, true, nil)
			},
			20*time.Second + patience,
		},
		"is waited for with an end": {
			func(c *client) {
				for range int(longest / time.Second) {
					time.Sleep(time.Second)
					c.WriteWindowUpdate(0, 1)
				}
			},
			longest,
		},
		"is waited for with an end while it uploads": {
			func(c *client) { c.request(3, http.MethodPost) },
			longest,
		},
	} {
		t.Run(name, func(t *testing.T) {
			overPipes(t, func(t *testing.T, s *server, c *client) {
				c.request(1, http.MethodGet)
				c.wantAnswer(1)
				synctest.Wait()
				(<-s.conns).Announce(debug)
				c.untilGoAway()
				start := time.Now()
				c.wantPing()
				c.SetDeadline(start.Add(3 * longest))
				go test.silence(c)
				f := c.next()
				for f != nil && f.Header().Type != http2.FrameGoAway {
					f = c.next() // an answer
				}
				if waited := time.Since(start); f == nil || waited != test.after {
					t.Errorf("told with %v after %v, want %v", f, waited, test.after)
				}
				synctest.Wait()
			})
		})
	}
}

// chat says what belongs to no stream, until shortly before patience is over.
func chat(c *client) {
	for range patience/time.Second - 1 {
		time.Sleep(time.Second)
		c.WritePing(false, [8]byte{})
		c.WriteSettings()
		c.WritePriority(1, http2.PriorityParam{})
	}
}

func TestAClientThatAcknowledgesOnceIsToldWhenPatienceIsOverThoughItSpeaks(t *testing.T) {
	overPipes(t, func(t *testing.T, s *server, c *client) {
		c.SetDeadline(time.Now().Add(3 * longest))
		(<-s.conns).Announce(debug)
		c.untilGoAway()
		c.wantPing()()
		c.wantPing()
		start := time.Now()
		go chat(c)
		for f := c.next(); f == nil || f.Header().Type != http2.FrameGoAway; f = c.next() {
			if f == nil {
				t.Fatal("not told")
			}
		}
		if waited := time.Since(start); waited != patience {
			t.Errorf("told after %v, want %v", waited, patience)
		}
	})
}

func TestAClientThatDoesNotAcknowledgeIsToldAfterTheFrameThatItIsSending(t *testing.T) {
	overPipes(t, func(t *testing.T, s *server, c *client) {
		c.request(1, http.MethodPost)
		half := []byte{0, 0, 2, byte(http2.FrameData), 0, 0, 0, 0, 1, 'x'}
		c.Write(half)
		synctest.Wait()
		c.SetDeadline(time.Now().Add(3 * longest))
		(<-s.conns).Announce(debug)
		c.untilGoAway()
		c.wantPing()
		time.Sleep(longest + 2*patience)
		synctest.Wait()
		c.Write([]byte("y"))
		c.wantGoAway(1)
		c.WriteData(1, true, nil)
		c.wantAnswer(1)
		c.wantEnd()
	})
}

// A connection may say that a deadline has passed with an error of its own.
type ownTimeouts struct{ net.Conn }

func (c ownTimeouts) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &net.OpError{Op: "read", Err: ownTimeout{}}
	}
	return n, err
}

type ownTimeout struct{}

func (ownTimeout) Error() string   { return "took too long" }
func (ownTimeout) Timeout() bool   { return true }
func (ownTimeout) Temporary() bool { return true }

func TestATimeoutOfAnotherKindKillsNoStream(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		overPipeOf(t, secure, func(c net.Conn) net.Conn { return ownTimeouts{c} }, func(t *testing.T, s *server, c *client) {
			c.request(1, http.MethodPost)
			synctest.Wait()
			c.SetDeadline(time.Now().Add(3 * longest))
			(<-s.conns).Announce(debug)
			c.untilGoAway()
			c.wantPing()
			c.wantGoAway(1)
			c.WriteData(1, true, nil)
			c.wantAnswer(1)
			c.wantEnd()
		})
	})
}

func TestAnIdleConnectionIsToldTwiceAMomentBeforeIdleTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, time.Minute, time.Hour} {
		t.Run(fmt.Sprint(timeout), func(t *testing.T) {
			overBoth(t, func(t *testing.T, secure bool) {
				overPipeOf(t, secure, nil, func(t *testing.T, s *server, c *client) {
					c.SetDeadline(time.Now().Add(10 * timeout))
					time.Sleep(timeout / 2)
					c.request(1, http.MethodPost)
					time.Sleep(3 * timeout / 2)
					c.WriteData(1, true, nil)
					c.wantAnswer(1)
					idle := time.Now()
					f := want[*http2.GoAwayFrame](c, "a GOAWAY")
					at := time.Since(idle)
					if f.LastStreamID != maxStreamID || at != timeout-min(timeout/5, time.Second) {
						t.Errorf("%v after %v", f, at)
					}
					c.wantPing()()
					c.wantPing()()
					c.wantGoAway(1)
					if at := time.Since(idle); at >= timeout {
						t.Errorf("the last stream is named after %v", at)
					}
					c.wantEnd()
				}, func(srv *http.Server) { srv.IdleTimeout = timeout })
			})
		})
	}
}

func TestAnAnnouncementLeavesNoTimerBehind(t *testing.T) {
	overPipes(t, func(t *testing.T, s *server, c *client) {
		var fired atomic.Int32
		conn := <-s.conns
		c.request(1, http.MethodPost)
		synctest.Wait()
		conn.Announce(debug)
		c.Close()
		synctest.Wait()
		conn.mu.Lock()
		running := conn.timer.Stop()
		conn.mu.Unlock()
		if running || fired.Load() > 0 {
			t.Error("a timer still ran when the connection had ended")
		}
	})
}
