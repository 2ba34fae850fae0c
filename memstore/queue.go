package memstore

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/gousers/users"
)

// queue is a heap ordered by time whose nodes know their place in it, so that
// any of them can be removed. The zero value is empty.
type queue[T any] struct{ nodes []*node[T] }

type node[T any] struct {
	at    time.Time
	tie   string // orders what has the same time
	value T
	in    *queue[T]
	index int
}

func (q *queue[T]) add(at time.Time, tie string, value T) *node[T] {
	n := &node[T]{at: at, tie: tie, value: value, in: q}
	heap.Push(q, n)
	return n
}

// pop removes and gives the earliest, unless that lies after now.
func (q *queue[T]) pop(now time.Time) (value T, ok bool) {
	if len(q.nodes) == 0 || q.nodes[0].at.After(now) {
		return value, false
	}
	return heap.Pop(q).(*node[T]).value, true
}

func (q *queue[T]) remove(n *node[T]) { heap.Remove(q, n.index) }

// Len, Less, Swap, Push and Pop implement heap.Interface.

func (q *queue[T]) Len() int { return len(q.nodes) }

func (q *queue[T]) Less(i, j int) bool {
	a, b := q.nodes[i], q.nodes[j]
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.tie, b.tie)) < 0
}

func (q *queue[T]) Swap(i, j int) {
	q.nodes[i], q.nodes[j] = q.nodes[j], q.nodes[i]
	q.nodes[i].index, q.nodes[j].index = i, j
}

func (q *queue[T]) Push(x any) {
	n := x.(*node[T])
	n.index = len(q.nodes)
	q.nodes = append(q.nodes, n)
}

func (q *queue[T]) Pop() any {
	last := len(q.nodes) - 1
	n := q.nodes[last]
	q.nodes[last] = nil
	q.nodes = q.nodes[:last]
	return n
}

// lookup is a search for keys in one index.
type lookup[T any] struct {
	index map[string]T
	keys  []string
}

// matches gives what any of the lookups finds, each once, in order of id.
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

// pageOf gives the ids of one page of m's values that pass keep, in order. It
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
