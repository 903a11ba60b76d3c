//go:build !race

package differential

const raceDetector = false

func raceErrors() int { return 0 }
