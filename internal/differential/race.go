//go:build race

package differential

import (
	"runtime"
)

const raceDetector = true

func raceErrors() int { return runtime.RaceErrors() }
