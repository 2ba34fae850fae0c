package timing_test

import (
	"math"
	"testing"

	"github.com/gousers/users/internal/dbtest/timing"
)

func TestMannWhitneyIsThatOfTheTables(t *testing.T) {
	long := make([]float64, 100)
	shifted := make([]float64, 100)
	for i := range long {
		long[i], shifted[i] = float64(i), float64(i)+0.5
	}
	for _, tt := range []struct {
		name string
		x, y []float64
		u, p float64
	}{
		// The example of scipy.stats.mannwhitneyu, method="asymptotic".
		{"without ties", []float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}, 17, 0.11134688653314041},
		{"the other way round", []float64{20, 11, 17, 12}, []float64{19, 22, 16, 29, 24}, 3, 0.11134688653314041},
		// By hand: ranks 1, 3, 3, 6 of x; the variance is 4*4/12 * (9 - 48/56).
		{"with ties", []float64{1, 2, 2, 3}, []float64{2, 3, 3, 4}, 3, math.Erfc(4.5 / math.Sqrt(2*16./12*(9-48./56)))},
		{"all alike", []float64{7, 7, 7}, []float64{7, 7, 7}, 4.5, 1},
		{"apart", long[:50], long[50:], 0, math.Erfc(1249.5 / math.Sqrt(2*2500./12*101))},
		{"between each other", long, shifted, 4950, math.Erfc(49.5 / math.Sqrt(2*10000./12*201))},
	} {
		u, p := timing.MannWhitney(tt.x, tt.y)
		if u != tt.u || math.Abs(p-tt.p) > 1e-12 {
			t.Errorf("%s: got U %v and p %v, want %v and %v", tt.name, u, p, tt.u, tt.p)
		}
	}
}

func TestMedianAndShift(t *testing.T) {
	for _, tt := range []struct {
		v    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 3, 2, 1}, 2.5}} {
		if got := timing.Median(tt.v); got != tt.want {
			t.Errorf("Median of %v: got %v, want %v", tt.v, got, tt.want)
		}
	}
	if got := timing.Median(nil); !math.IsNaN(got) {
		t.Errorf("Median of nothing: got %v, want NaN", got)
	}

	steps := func(low int) (v []float64) {
		for i := range 100 {
			v = append(v, 600)
			if i >= low {
				v[i] = 700
			}
		}
		return v
	}
	few, many := steps(49), steps(51)
	if timing.Median(few) != 700 || timing.Median(many) != 600 || timing.Shift(few, many) != 0 {
		t.Errorf("got medians %v and %v and a shift of %v, want 700, 600 and 0",
			timing.Median(few), timing.Median(many), timing.Shift(few, many))
	}
	if got := timing.Shift([]float64{11, 12, 13}, []float64{1, 2, 3}); got != 10 {
		t.Errorf("Shift: got %v, want 10", got)
	}
}
