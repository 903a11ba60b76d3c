package main

import (
	"math"
	"slices"
)

// median is the middle value, the upper one of two.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// lowerBound is the one-sided lower 95 % confidence bound of the median, as an
// order statistic: as many values lie below the median as a fair coin shows
// heads. It assumes nothing about the distribution. Fewer than 5 values have none,
// which is NaN.
func lowerBound(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	term := math.Pow(0.5, float64(n)) // P(exactly k heads)
	below := -1
	for k, sum := 0, term; sum <= 0.05; k++ {
		below = k
		term *= float64(n-k) / float64(k+1)
		sum += term
	}
	if below < 0 {
		return math.NaN()
	}
	return sorted[below]
}

// upperBound is the same from above.
func upperBound(values []float64) float64 {
	negated := make([]float64, len(values))
	for i, v := range values {
		negated[i] = -v
	}
	return -lowerBound(negated)
}
