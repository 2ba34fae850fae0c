package memstore

import (
	"cmp"
	"slices"

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

// pageOf returns the ids of one page of m's values that pass keep, in order. It
// holds no more than two pages at a time, however large m is.
func pageOf[T any](m map[string]T, p users.Page, keep func(T) bool) []string {
	var ids []string
	cut := func() {
		slices.Sort(ids)
		if p.Limit > 0 && len(ids) > p.Limit {
			ids = ids[:p.Limit]
		}
	}

	beyond := "" // what is greater can't be on the page; empty: not known yet
	for id, v := range m {
		if id <= p.After || beyond != "" && id > beyond || !keep(v) {
			continue
		}
		if ids = append(ids, id); p.Limit > 0 && len(ids) == 2*p.Limit {
			cut()
			beyond = ids[p.Limit-1]
		}
	}
	cut()
	return ids
}
