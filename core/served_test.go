package core

import "testing"

func TestWhatAConnectionServesWhileADrainBeginsIsOfThatDrain(t *testing.T) {
	for _, begun := range []bool{false, true} {
		c := newController(t)
		conn := openConnection(c)
		serve := func() { exchange(c, requestOn(conn, "/"), nothing) }
		c.Drain()
		serve()
		serve()
		conn.ForgetServedBefore(func() bool {
			serve()
			return begun
		})
		want := 1
		if begun {
			want = 3
		}
		if got := conn.Served(); got != want {
			t.Errorf("it had begun: %v; %d are served, want %d", begun, got, want)
		}
	}
}
