package memstore

import (
	"cmp"
	"container/heap"
	"time"
)

// queue is a heap ordered by time whose nodes know their place in it, so that
// any of them can be removed. The zero value is empty.
type queue[T any] struct{ nodes []*node[T] }

// node is a value in a queue.
type node[T any] struct {
	at    time.Time
	tie   string // orders what has the same time
	value T
	in    *queue[T]
	index int // of in.nodes
}

// add adds value and returns its node.
func (q *queue[T]) add(at time.Time, tie string, value T) *node[T] {
	n := &node[T]{at: at, tie: tie, value: value, in: q}
	heap.Push(q, n)
	return n
}

// pop removes and returns the earliest, unless that lies after now.
func (q *queue[T]) pop(now time.Time) (value T, ok bool) {
	if len(q.nodes) == 0 || q.nodes[0].at.After(now) {
		return value, false
	}
	return heap.Pop(q).(*node[T]).value, true
}

// remove removes n, which must be in q.
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
