//go:build !race

package interop

const underRaceDetector = false
