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

func TestARetiredConnectionReachesNoHandler(t *testing.T) {
	ctl := newController(t)
	conn := openConnection(ctl)
	executed := 0
	entry := NewEntry(ctl, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { executed++ }))
	ask := func() (panicked any) {
		defer func() { panicked = recover() }()
		conn.SetState(http.StateActive)
		entry.ServeHTTP(newFakeWriter(), requestOn(conn, "/"))
		conn.SetState(http.StateIdle)
		return nil
	}

	conn.SetState(http.StateActive)
	if conn.Retire() {
		t.Error("it was retired within a request")
	}
	conn.SetState(http.StateIdle)
	if panicked := ask(); panicked != nil || executed != 1 {
		t.Fatalf("before it was retired: %v, %d executed", panicked, executed)
	}
	if !conn.HTTP1() || !conn.Retire() || conn.Retire() {
		t.Error("it was not retired once")
	}
	if panicked := ask(); panicked != http.ErrAbortHandler || executed != 1 {
		t.Errorf("after it was retired: %v, %d executed", panicked, executed)
	}
	conn.Gone(HowIdle)
	if s := ctl.Stats(); s.Open != 0 || s.Active != 0 || s.Exchanges != 1 || s.InFlight != 0 {
		t.Errorf("%+v", s)
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
