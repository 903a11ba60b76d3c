package stdlib_test

import (
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// In the first part of the lame duck the balancer is told, and the clients are not.
func TestADelayedDrainFailsReadinessAndKeepsConnections(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t, core.DrainDelay(far))
		opts := append([]stdlib.ServeOption{stdlib.LameDuck(far), stdlib.DrainTimeout(2 * far)}, over.Opts...)
		s := servertest.New(t, ctl, servertest.NewHTTP(stdlib.Ready(ctl))).Start(opts...)
		client := over.Dial(t, s.Address)
		if r := client.Get("/readyz"); r.Status != 200 {
			t.Errorf("before the drain: %d", r.Status)
		}
		s.Drain()
		clienttest.Eventually(t, "draining", ctl.Draining)
		for _, c := range []*clienttest.Conn{client, over.Dial(t, s.Address)} {
			if r := c.Get("/readyz"); r.Status != 503 || r.Connection != nil {
				t.Errorf("in the delay: %d, Connection %q", r.Status, r.Connection)
			}
			c.ExpectOpen()
		}
		s.Force()
		clienttest.Receive(t, "the end of Serve", s.Done)
		if s.Report.Announced != 0 {
			t.Errorf("Serve: %v", s.Report)
		}
	})
}
