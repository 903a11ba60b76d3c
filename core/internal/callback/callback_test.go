package callback

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPanicIsAZeroAnswerAndSaidOnce(t *testing.T) {
	var log bytes.Buffer
	var g Guard
	logger := slog.New(slog.NewTextHandler(&log, nil))
	ask := func(f func() int) (n int) {
		defer Caught(&g, logger, "it", &n)
		n = 7
		return f()
	}
	for range 3 {
		if n := ask(func() int { panic("no") }); n != 0 {
			t.Errorf("the answer is %d", n)
		}
	}
	if n := ask(func() int { return 3 }); n != 3 {
		t.Errorf("without a panic the answer is %d", n)
	}
	if n := strings.Count(log.String(), "it panicked and counts as 0"); n != 1 {
		t.Errorf("said %d times: %s", n, &log)
	}
}

func TestAPollReadsOncePerIntervalWhoeverAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		var p Poll
		p.Init(int64(time.Second), func(int64) { reads.Add(1) }, func() { t.Error("said to hang") })
		for second := range int64(10) {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { p.Refresh(1 + second*int64(time.Second)) })
			}
			all.Wait()
			if got := reads.Load(); got != int32(second+1) {
				t.Errorf("in second %d: %d readings", second+1, got)
			}
		}
	})
}

func TestWaitPutsTheFirstReadingOff(t *testing.T) {
	reads := 0
	var p Poll
	p.Init(10, func(int64) { reads++ }, nil)
	p.InPlace()
	p.Wait()
	p.Refresh(9)
	if p.Refresh(10); reads != 1 {
		t.Errorf("%d readings", reads)
	}
}

func TestOneThatHangsHoldsNobodyIsNotBegunAgainAndIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		said := 0
		answer := make(chan struct{})
		var p Poll
		p.Init(int64(time.Second)/10, func(int64) { reads.Add(1); <-answer }, func() { said++ })
		start := time.Now()
		now := func() int64 { return int64(time.Since(start)) + 1 }
		if p.Refresh(now()); time.Since(start) != Patience {
			t.Errorf("waited for %v", time.Since(start))
		}
		time.Sleep(time.Second / 2)
		if p.Refresh(now()); said != 0 {
			t.Error("said to hang after half a second")
		}
		time.Sleep(time.Second)
		for range 3 {
			p.Refresh(now())
		}
		if total := time.Since(start); total != 3*time.Second/2+Patience {
			t.Errorf("waited again: %v in all", total)
		}
		if reads.Load() != 1 || said != 1 {
			t.Errorf("%d readings, said %d times", reads.Load(), said)
		}
		close(answer)
		synctest.Wait()
		if p.Refresh(now()); reads.Load() != 2 {
			t.Errorf("%d readings after it had answered", reads.Load())
		}
	})
}
