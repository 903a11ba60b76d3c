package fleet_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/fleet"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// replica is a server with a Share that others can ask, on a port of its own,
// so that asking is none of the connections that are counted.
type replica struct {
	t       *testing.T
	serves  string // the server's address
	address string // the Share's
	ctl     *core.Controller
	share   *fleet.Share
	held    []net.Conn
	asked   atomic.Int64 // how often a peer came
}

// town is the list of peers.
type town struct {
	mu        sync.Mutex
	addresses []string
}

func (f *town) peers(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addresses, nil
}

func (f *town) join(addresses ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addresses = append(slices.Clip(f.addresses), addresses...)
}

func quiet() fleet.Option { return fleet.Logger(slog.New(slog.DiscardHandler)) }

// newReplica starts a replica with open connections.
func (f *town) newReplica(t *testing.T, connections int, opts ...fleet.Option) *replica {
	t.Helper()
	ctl, err := core.New(core.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	share, err := fleet.NewShare(f.peers, append([]fleet.Option{quiet(), fleet.Margin(0)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{t: t, ctl: ctl, share: share}
	mux := http.NewServeMux()
	handler := share.Handler(ctl)
	mux.HandleFunc("GET "+fleet.Path, func(w http.ResponseWriter, request *http.Request) {
		r.asked.Add(1)
		handler.ServeHTTP(w, request)
	})
	asked := httptest.NewServer(mux)
	t.Cleanup(asked.Close)
	r.address = asked.Listener.Addr().String()
	f.join(r.address)
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	if err := stdlib.Track(srv.Config, ctl); err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(srv.Close)
	r.serves = srv.Listener.Addr().String()
	r.hold(connections)
	return r
}

// hold makes the replica have so many open connections.
func (r *replica) hold(connections int) {
	r.t.Helper()
	for len(r.held) > connections {
		r.held[0].Close()
		r.held = r.held[1:]
	}
	for len(r.held) < connections {
		conn, err := net.Dial("tcp", r.serves)
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { conn.Close() })
		r.held = append(r.held, conn)
	}
	clienttest.Eventually(r.t, "the connections are counted", func() bool {
		return r.ctl.Stats().Open == connections
	})
}

// poll polls, and once more where the machine stood still: a peer has two seconds
// to answer, and without it there is another share.
func (r *replica) poll() {
	r.t.Helper()
	err := clienttest.Undisturbed(r.t, clienttest.Watched(func() error {
		return r.share.Poll(r.t.Context())
	}), func(error) bool { return true })
	if err != nil {
		r.t.Errorf("the poll failed: %v", err)
	}
}

// expectUnknown polls and wants to be told why the share is not known.
func (r *replica) expectUnknown(why string) {
	r.t.Helper()
	err := r.share.Poll(r.t.Context())
	if err == nil || !strings.Contains(err.Error(), why) {
		r.t.Errorf("the poll returned %v, want an error with %q", err, why)
	}
	r.expectShare(0)
}

func (r *replica) expectShare(want int) {
	r.t.Helper()
	if got := r.share.FairShare(); got != want {
		r.t.Errorf("the share is %d, want %d", got, want)
	}
}

// stranger listens beside the replicas and answers as it likes.
func (f *town) stranger(t *testing.T, answer http.HandlerFunc) {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	f.join(srv.Listener.Addr().String())
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}
