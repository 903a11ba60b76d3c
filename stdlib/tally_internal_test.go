package stdlib

import "testing"

// Two drains of one server begin at once: one raises the flag, and connections are
// counted, while the other one still asks whether it is up.
func TestWhatIsCountedWhileADrainBeginsIsOfThatDrain(t *testing.T) {
	for _, begun := range []bool{false, true} {
		var tally tally
		tally.announced.Store(10)
		tally.served.Store(20)
		tally.beginReport(func() bool {
			tally.announced.Add(1)
			return begun
		})
		announced, served := int64(3), int64(0)
		if begun {
			announced, served = 13, 20
		}
		if a, s := tally.announced.Load(), tally.served.Load(); a != announced || s != served {
			t.Errorf("it had begun: %v; %d are announced and %d served, want %d and %d", begun, a, s, announced, served)
		}
	}
}
