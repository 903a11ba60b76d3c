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

// FuzzPrograms runs the programs that bytes make.
func FuzzPrograms(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomBytes(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, data, compare) })
}

// TestRandomProgramsDoWithUsWhatTheyDoWithout runs random programs: for ten
// seconds, and with POLITECLOSE_FULL for half an hour. With POLITECLOSE_PROGRAM
// it runs that one alone, which a failure names.
func TestRandomProgramsDoWithUsWhatTheyDoWithout(t *testing.T) {
	duration := 10 * time.Second
	if full {
		duration = 30 * time.Minute
	}
	checkRandom(t, duration, compare)
}

// TestRandomProgramsAreCertain runs random programs twice without us: what is not
// the same both times must not be in a program.
func TestRandomProgramsAreCertain(t *testing.T) {
	duration := time.Second
	if full {
		duration = time.Minute
	}
	checkRandom(t, duration, compareTwins)
}

func checkRandom(t *testing.T, duration time.Duration, how comparison) {
	if text := os.Getenv("POLITECLOSE_PROGRAM"); text != "" {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v", decode(data))
		check(t, data, how)
		return
	}
	var n atomic.Int64
	var workers sync.WaitGroup
	end := time.Now().Add(duration)
	// Some programs wait half a second for net/http, which they can do together.
	for range 4 * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				check(t, randomBytes(rand.Uint64()), how)
				n.Add(1)
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
