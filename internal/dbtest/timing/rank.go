// Package timing judges whether two samples of times can be told apart.
package timing

import (
	"math"
	"slices"
)

// MannWhitney ranks both samples together and returns U of x and the probability that
// two samples of one distribution differ in rank as much as these, or more. It is the
// two-sided test by the normal approximation, corrected for ties and for continuity, good
// for samples of 20 and more. No value of a sample counts more than its rank, so that what
// holds up a machine for a while decides nothing.
func MannWhitney(x, y []float64) (u, p float64) {
	type value struct {
		v   float64
		ofX bool
	}
	var all []value
	for _, v := range x {
		all = append(all, value{v, true})
	}
	for _, v := range y {
		all = append(all, value{v, false})
	}
	slices.SortFunc(all, func(a, b value) int {
		switch {
		case a.v < b.v:
			return -1
		case a.v > b.v:
			return 1
		}
		return 0
	})

	var ranks, ties float64 // the sum of those of x; the sum of t³-t of all ties
	for from := 0; from < len(all); {
		to := from
		for to < len(all) && all[to].v == all[from].v {
			to++
		}
		for _, a := range all[from:to] {
			if a.ofX {
				ranks += float64(from+1+to) / 2
			}
		}
		t := float64(to - from)
		ties += t*t*t - t
		from = to
	}

	n, m := float64(len(x)), float64(len(y))
	u = ranks - n*(n+1)/2
	variance := n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1)))
	distance := math.Abs(u-n*m/2) - 0.5
	if distance <= 0 || variance <= 0 {
		return u, 1
	}
	return u, math.Erfc(distance / math.Sqrt(2*variance))
}

// Median returns the middle of the values, and NaN of none.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n == 0 {
		return math.NaN()
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

// Shift returns by how much x is longer than y: the median of all their differences
// (Hodges and Lehmann). Where times come in steps the medians of two samples that are as
// good as one may be a step apart; the shift is then 0.
func Shift(x, y []float64) float64 {
	differences := make([]float64, 0, len(x)*len(y))
	for _, a := range x {
		for _, b := range y {
			differences = append(differences, a-b)
		}
	}
	return Median(differences)
}
