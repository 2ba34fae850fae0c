package memstore

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/gousers/users"
)

// lookup is a search for keys in one index.
type lookup[T any] struct {
	index map[string]T
	keys  []string
}

// matches returns what any of the lookups finds, each once, in order of id.
func matches[T any](id func(T) string, all ...lookup[T]) []T {
	var found []T
	for _, l := range all {
		for _, k := range l.keys {
			if v, ok := l.index[k]; ok {
				found = append(found, v)
			}
		}
	}
	slices.SortFunc(found, func(a, b T) int { return cmp.Compare(id(a), id(b)) })
	return slices.CompactFunc(found, func(a, b T) bool { return id(a) == id(b) })
}

// pageOf returns the ids of one page of m's values that pass keep, in order.
func pageOf[T any](m map[string]T, p users.Page, keep func(T) bool) []string {
	wanted := func(yield func(string) bool) {
		for id, v := range m {
			if id > p.After && keep(v) && !yield(id) {
				return
			}
		}
	}
	return first(wanted, p.Limit, strings.Compare)
}

// first returns the first n elements of all, or all if n is 0, in the order of
// compare. It holds no more than two times n at a time, however many there are.
func first[T any](all iter.Seq[T], n int, compare func(a, b T) int) []T {
	var held []T
	cut := func() {
		slices.SortFunc(held, compare)
		if n > 0 && len(held) > n {
			held = held[:n]
		}
	}

	full := false // then the n-th is known, and what comes after it is not among them
	for v := range all {
		if full && compare(v, held[n-1]) > 0 {
			continue
		}
		if held = append(held, v); n > 0 && len(held) == 2*n {
			cut()
			full = true
		}
	}
	cut()
	return held
}
