package core

import (
	"net/http"
	"sync"
	"testing"
)

// A server's own Shutdown goes through its connections, and one of them is just
// becoming HTTP/2.
func TestADrainIsAnnouncedWhileTheConnectionBecomesHTTP2(t *testing.T) {
	for range 200 {
		conn := openConnection(newController(t))
		told := make(chan Reason, 2)
		var both sync.WaitGroup
		both.Go(func() { conn.AnnounceWith(func(reason Reason) { told <- reason }) })
		both.Go(conn.AnnounceDrain)
		both.Wait()
		conn.AnnounceDrain()
		if reason := <-told; reason != ReasonDrain || len(told) > 0 {
			t.Fatalf("told %q and %d times more", reason, len(told))
		}
	}
}

// The reason that is told is the connection's first, whatever asks for its end
// later.
func TestWhatTellsTheClientIsGivenTheReason(t *testing.T) {
	ctl := newController(t, OnRoutes("/login"), OnStatus(http.StatusTeapot))
	conn := openConnection(ctl)
	var told []Reason
	conn.AnnounceWith(func(reason Reason) { told = append(told, reason) })
	r := requestOn(conn, "/login")
	r.ProtoMajor = 2
	if w := exchange(ctl, r, respond(http.StatusTeapot)); w.sent["Connection"] != nil {
		t.Errorf("the header says %v as well", w.sent["Connection"])
	}
	ctl.Drain()
	conn.AnnounceDrain()
	if len(told) != 1 || told[0] != ReasonRoute {
		t.Errorf("told %v", told)
	}
}
