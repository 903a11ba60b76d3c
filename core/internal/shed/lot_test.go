package shed

import (
	"math"
	"slices"
	"testing"
)

func TestLotsAreSpreadMoreEvenlyThanChance(t *testing.T) {
	for _, n := range []int{10, 100, 1000} {
		var s Lots
		s.Init(12345)
		lots := make([]float64, n)
		for i := range lots {
			lots[i] = s.Draw().Float()
		}
		if d := distanceFromUniform(lots); d > 3/float64(n) {
			t.Errorf("%d lots are %.4f from uniform; chance gives about %.4f", n, d, 0.9/math.Sqrt(float64(n)))
		}
	}
}

// distanceFromUniform is the Kolmogorov distance from uniform on [0,1).
func distanceFromUniform(values []float64) (d float64) {
	slices.Sort(values)
	n := float64(len(values))
	for i, v := range values {
		d = max(d, math.Abs(v-float64(i)/n), math.Abs(float64(i+1)/n-v))
	}
	return d
}
