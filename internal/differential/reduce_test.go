package differential

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// comparison is what is done with a program.
type comparison func(t testing.TB, p *program)

// running is held for reading by programs that run side by side, and for writing
// where a program that has failed is made smaller, alone.
var running sync.RWMutex

// check compares the program that data makes, and on a failure looks for a
// smaller one that fails as well. Of several failures one is enough, which reported
// remembers: t also knows of a data race before anybody has said whose it is.
func check(t *testing.T, data []byte, how comparison, reported *bool) {
	running.RLock()
	failures := try(t, data, how)
	running.RUnlock()
	if len(failures) == 0 {
		return
	}
	running.Lock()
	defer running.Unlock()
	if *reported {
		return
	}
	if races(failures) && !failsAlone(t, data, how) {
		t.Errorf("there was a data race, perhaps of another program, beside POLITECLOSE_PROGRAM=%x", data)
		return
	}
	*reported = true
	small := reduce(t, data, how, failures)
	again := try(t, small, how)
	if len(again) == 0 {
		again = []string{"nothing, this time: it does not fail every time"}
	}
	t.Errorf("%v\n%s\nPOLITECLOSE_PROGRAM=%x\n\nThat is reduced from %x, which failed with\n%s",
		decode(small), strings.Join(again, "\n"), small, data, strings.Join(failures, "\n"))
}

// races reports whether failures are nothing but data races, which may be those of
// a program that ran at the same time.
func races(failures []string) bool {
	return !slices.ContainsFunc(failures, func(f string) bool { return !strings.HasSuffix(f, raceFailure) })
}

func failsAlone(t *testing.T, data []byte, how comparison) bool {
	for range 5 {
		if len(try(t, data, how)) > 0 {
			return true
		}
	}
	return false
}

// reduce takes bytes away and makes them smaller while the program still fails.
func reduce(t *testing.T, data []byte, how comparison, failures []string) []byte {
	impatience.Store(int64(time.Second))
	defer impatience.Store(0)
	deadline := time.Now().Add(time.Minute)
	wanted := kinds(failures)
	fails := func(data []byte) bool {
		return time.Now().Before(deadline) && slices.ContainsFunc(kinds(try(t, data, how)), func(kind string) bool {
			return slices.Contains(wanted, kind)
		})
	}
	for again := true; again; {
		again = false
		for _, length := range []int{16, 8, 4, 2, 1} {
			for at := 0; at+length <= len(data); at++ {
				if without := slices.Delete(slices.Clone(data), at, at+length); fails(without) {
					data, again = without, true
				}
			}
		}
		for at, b := range data {
			for _, smaller := range []byte{0, b / 2, b - 1} {
				other := slices.Clone(data)
				other[at] = smaller
				if smaller < b && decode(other).String() != decode(data).String() && fails(other) {
					data, again = other, true
					break
				}
			}
		}
	}
	return data
}

// kinds are failures without what differs from one program to the next.
func kinds(failures []string) (kinds []string) {
	for _, f := range failures {
		kind, _, _ := strings.Cut(f, "\n")
		kinds = append(kinds, detail.ReplaceAllString(kind, ""))
	}
	return kinds
}

var detail = regexp.MustCompile(`\d+|".*"|\[.*\]`)

const raceFailure = " data races"

// try compares the program that data makes and returns what is wrong.
func try(t *testing.T, data []byte, how comparison) (failures []string) {
	trial := &trial{TB: t}
	races := raceErrors()
	trial.do(func() { how(trial, decode(data)) })
	if n := raceErrors() - races; n > 0 {
		trial.Errorf("%d%s", n, raceFailure)
	}
	return trial.failures
}
