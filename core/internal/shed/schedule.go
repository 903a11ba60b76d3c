package shed

import "time"

// Schedule says when a drain takes which connections. With a Delay of 5 s and a
// Spread of 10 s one whose [Lot] is at 0.2 is taken 7 s after the drain began;
// then the share is 0.2, and that of all who go is below it.
type Schedule struct {
	Delay  time.Duration // until the first one
	Spread time.Duration // from the first one to the last
}

// AtOnce reports whether all go when the drain begins.
func (s Schedule) AtOnce() bool { return s == Schedule{} }

// Moment returns when a connection with this lot goes, in a drain that began at
// since.
func (s Schedule) Moment(since int64, own Lot) int64 {
	return since + int64(s.Delay) + int64(own.Float()*float64(s.Spread))
}

// Share returns the share of the connections that has to go by now.
func (s Schedule) Share(since, now int64) float64 {
	passed := now - since - int64(s.Delay)
	switch {
	case passed < 0:
		return 0
	case passed >= int64(s.Spread):
		return 1
	}
	return float64(passed) / float64(s.Spread)
}
