package shed

import (
	"math"
	"testing"
	"time"
)

func TestAConnectionGoesWhenTheShareReachesItsLot(t *testing.T) {
	const since = int64(time.Hour)
	for _, s := range []Schedule{{}, {Spread: 10 * time.Second}, {Delay: 5 * time.Second}, {Delay: 5 * time.Second, Spread: 10 * time.Second}} {
		for _, own := range []Lot{1, 1 << 30, 1 << 31, math.MaxUint32} {
			moment := s.Moment(since, own)
			if moment < since+int64(s.Delay) || moment > since+int64(s.Delay+s.Spread) {
				t.Errorf("%+v: lot %v goes after %v", s, own.Float(), time.Duration(moment-since))
			}
			// A lot is finer than a nanosecond of the spread is.
			const step = 10
			before, after := s.Share(since, moment-step), s.Share(since, moment+step)
			if own.Float() < before && !s.AtOnce() || own.Float() >= after {
				t.Errorf("%+v: lot %v goes at shares from %v to %v", s, own.Float(), before, after)
			}
		}
	}
	if !(Schedule{}).AtOnce() || (Schedule{Delay: 1}).AtOnce() || (Schedule{Spread: 1}).AtOnce() {
		t.Error("AtOnce is wrong")
	}
}
