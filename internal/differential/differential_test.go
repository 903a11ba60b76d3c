package differential

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

var full = os.Getenv("POLITECLOSE_FULL") != ""

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// TestRandomProgramsDoWithUsWhatTheyDoWithout runs some hundred programs, the
// same ones each time, and with POLITECLOSE_FULL new ones for half an hour. With
// POLITECLOSE_PROGRAM it runs that one alone, which a failure names.
func TestRandomProgramsDoWithUsWhatTheyDoWithout(t *testing.T) {
	checkRandom(t, 600, 30*time.Minute, compare)
}

// TestRandomProgramsAreCertain runs random programs twice without us: what is not
// the same both times must not be in a program.
func TestRandomProgramsAreCertain(t *testing.T) {
	checkRandom(t, 60, time.Minute, compareTwins)
}

// checkRandom runs so many programs, or with POLITECLOSE_FULL for so long.
func checkRandom(t *testing.T, programs int64, duration time.Duration, how comparison) {
	if text := os.Getenv("POLITECLOSE_PROGRAM"); text != "" {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v", decode(data))
		check(t, data, how, new(bool))
		return
	}
	var n atomic.Int64
	var reported bool
	var workers sync.WaitGroup
	end := time.Now().Add(duration)
	// Some programs wait half a second for net/http, which they can do together.
	for range 4 * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !t.Failed() {
				seed := uint64(n.Add(1))
				switch {
				case !full && seed > uint64(programs), full && !time.Now().Before(end):
					return
				case full:
					seed = rand.Uint64()
				}
				check(t, randomBytes(seed), how, &reported)
			}
		})
	}
	workers.Wait()
	t.Logf("%d programs", n.Load())
}

func randomBytes(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, 20+random.IntN(80))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}
