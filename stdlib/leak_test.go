package stdlib_test

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// inPackage returns the goroutines that are in a function of this project other
// than Serve, which is the caller's, and what net/http calls.
func inPackage() (stacks []string) {
	for _, stack := range clienttest.Goroutines("politeclose/politeclose/") {
		created := stack[strings.LastIndex(stack, "created by ")+1:]
		if strings.Contains(created, "politeclose/stdlib.") || strings.Contains(created, "politeclose/core.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func TestBeforeADrainNothingRuns(t *testing.T) {
	flag := core.DrainWhen(func() bool { return false })
	for name, opts := range map[string][]stdlib.ServeOption{
		"Serve":        {stdlib.LameDuck(1)},
		"with Signals": {stdlib.Signals()},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, servertest.NewController(t, flag, core.OnAge(far), core.DrainSpread(1)), app(), opts...)
			for range 10 {
				c := clienttest.Dial(t, s.Address)
				c.ExpectKept(get(t, c, "/"))
			}
			s.ExpectStats("all are idle", func(s core.Stats) bool { return s.Idle == 10 })
			want := map[string]int{"Serve": 0, "with Signals": 1}[name]
			clienttest.Eventually(t, fmt.Sprint("only so many goroutines of ours: ", want), func() bool { return len(inPackage()) == want })
		})
	}
}

// The drain's goroutines end with it: those of the signals, the linger, the
// timers. That the connections' own are gone shows that none is left behind.
func TestAfterADrainNothingRuns(t *testing.T) {
	// The one goroutine that os/signal keeps for ever begins with its first use.
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, os.Interrupt)
	signal.Stop(arrived)
	// What a test before this one has left behind must not hide what this one leaves.
	ended := func() bool { return len(inPackage()) == 0 }
	clienttest.Eventually(t, "what was before has ended", ended)
	before := runtime.NumGoroutine()
	func() {
		l, ctl := servertest.Listen(t), servertest.NewController(t, core.DrainWhen(func() bool { return false }), core.OnAge(far))
		s := servertest.NewOn(t, l, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(http.HandlerFunc(stream)))).Start(stdlib.Signals(), stdlib.DrainTimeout(far))
		for range 10 {
			c := clienttest.Dial(t, s.Address)
			c.Send(clienttest.Request("GET", "/"))
		}
		s.ExpectStats("all stream", func(s core.Stats) bool { return s.Active == 10 })
		s.Drain()
		s.ExpectStats("all have left", func(s core.Stats) bool { return s.Active == 0 })
		s.HTTP.Close()
		s.Wait()
	}()
	clienttest.Eventually(t, "none of ours is left", ended)
	clienttest.Eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}
