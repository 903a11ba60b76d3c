package leaving

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core/internal/drainflag"
	"github.com/politeclose/politeclose/core/internal/shed"
)

const forDrain = 1

func newChannels(spread time.Duration) (*Channels, *drainflag.Flag) {
	ls, flag, start := new(Channels), new(drainflag.Flag), time.Now()
	clock := func() int64 { return int64(time.Since(start)) + 1 }
	flag.Init(nil, clock, slog.New(slog.DiscardHandler))
	ls.Init(flag, shed.Schedule{Spread: spread}, clock, forDrain)
	return ls, flag
}

func TestADrainClosesEachAtItsOwnMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls, flag := newChannels(10 * time.Second)
		half := ls.Add(1 << 31)
		flag.Raise()
		start := time.Now()
		late := ls.Add(3 << 30)
		<-half.C
		if d := time.Since(start); d != 5*time.Second || late.Closed() {
			t.Errorf("closed after %v, the other one %v", d, late.Closed())
		}
		if half.Reason() != forDrain || late.Reason() != 0 {
			t.Errorf("the reasons are %d and %d", half.Reason(), late.Reason())
		}
		flag.Lower()
		time.Sleep(time.Hour)
		if late.Closed() {
			t.Error("closed though the flag is down again")
		}
		late.Close(7)
		if late.Reason() != 7 || ls.Open() != 0 {
			t.Errorf("the reason is %d, and %d are open", late.Reason(), ls.Open())
		}
	})
}

func TestTheFirstReasonCounts(t *testing.T) {
	ls, _ := newChannels(0)
	l := ls.Add(0)
	l.Close(0)
	l.Close(7)
	if !l.Closed() || l.Reason() != 0 {
		t.Errorf("closed %v, for %d", l.Closed(), l.Reason())
	}
	Over.Close(7)
	if !Over.Closed() || Over.Reason() != 0 {
		t.Error("the one that is over has a reason")
	}
}

func TestItFollowsAContextThatMeansSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls, _ := newChannels(0)
		ctx, cancel := context.WithCancel(t.Context())
		ignored, followed, closed := ls.Add(0), ls.Add(0), ls.Add(0)
		ignored.Follow(ctx, func() bool { return true })
		followed.Follow(ctx, func() bool { return false })
		closed.Close(7)
		closed.Follow(ctx, func() bool { return false })
		cancel()
		synctest.Wait()
		if ignored.Closed() || !followed.Closed() || followed.Reason() != 0 || closed.Reason() != 7 {
			t.Error("followed a context that means nothing, or not one that does")
		}
		ignored.Close(0)
	})
}

func TestALimitIsAskedAgainEachSecondUntilItHasAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls, _ := newChannels(0)
		l := ls.Add(0)
		asked := 0
		l.AskAfter(time.Minute, func() (uint32, bool) {
			if asked++; asked == 3 {
				return 5, false
			}
			return 0, true
		})
		start := time.Now()
		<-l.C
		if d := time.Since(start); d != time.Minute+2*time.Second || l.Reason() != 5 || asked != 3 {
			t.Errorf("after %v for %d, asked %d times", d, l.Reason(), asked)
		}
		quiet := ls.Add(0)
		quiet.AskAfter(time.Minute, func() (uint32, bool) { t.Error("asked though it is closed"); return 0, true })
		quiet.Close(0)
		time.Sleep(time.Hour)
	})
}
