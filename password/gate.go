package password

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"
)

// Defaults of [GateOptions].
const (
	DefaultQueue   = 128 // a slot
	DefaultMaxWait = 10 * time.Second
)

// Bounds of [OverloadedError.RetryAfter].
const (
	minRetryAfter = time.Second
	maxRetryAfter = time.Minute
)

// firstEstimate is used for the time of a hash until one was measured.
const firstEstimate = 50 * time.Millisecond

// GateOptions are the limits of a [Gate]. Zero values mean the defaults.
type GateOptions struct {
	// Slots is how many hashes run at once. Default: GOMAXPROCS, because more
	// would only wait for each other, and take memory meanwhile.
	Slots int

	// Bytes is the working memory of all running hashes. A hash that takes more
	// runs alone. Default: 76 MiB a slot, four times what a hash of [Default]
	// takes, so that hashers of up to 64 MiB can use all slots. That is memory in use:
	// what earlier hashes left to the garbage collector comes on top.
	Bytes int64

	// Queue is how many callers wait at most, of all shares together. Default:
	// 128 a slot.
	Queue int

	// MaxWait is how long one caller waits at most. Default: 10 seconds.
	MaxWait time.Duration
}

// Gate decides which hash runs when. A password hash takes a whole core and
// much memory for some ten milliseconds: with all requests hashing at once, a
// server becomes slower than one that lets a few through at a time, and then
// runs out of memory.
//
// Callers name the share they belong to, such as their application. Each share
// waits in a line of its own, and the lines are served in turn, so that a crowd
// in one does not keep the others waiting. When the queue is full, a newcomer
// takes the place of the last in the longest line if its own line is shorter;
// otherwise the newcomer itself is refused.
//
// The next in turn is never passed over because it needs more memory than is
// free: the gate waits for running hashes to end instead. So a large hash comes
// to its turn, and others wait for no more than the hashes before them.
//
// A Gate is safe for concurrent use. It starts no goroutines and remembers
// nothing of a share with nobody waiting. Two Gates know nothing of each other:
// a program should have one.
type Gate struct {
	slots   int
	bytes   int64
	queue   int
	maxWait time.Duration

	mu      sync.Mutex
	running int
	used    int64         // bytes of the running hashes
	average time.Duration // moving, of a hash
	waiting int           // callers in all lines
	lines   map[string]*line
	next    *line // to be served next; the others follow in a ring
	longest int   // length of the longest line
	lengths []int // how many lines have each length
}

// A line holds the waiting callers of one share, oldest first. Only lines with
// somebody in them exist.
type line struct {
	share      string
	prev, next *line
	head, tail *waiter
	n          int
}

type waiter struct {
	line       *line
	prev, next *waiter
	bytes      int64
	// told receives once, without anybody waiting for it: whether the caller
	// may hash or was evicted. Whoever takes the waiter out of its line sends.
	told chan bool
}

// NewGate returns a Gate. o may be nil; it is copied. Negative limits are errors.
func NewGate(o *GateOptions) (*Gate, error) {
	var v GateOptions
	if o != nil {
		v = *o
	}
	switch {
	case v.Slots < 0:
		return nil, fmt.Errorf("password: GateOptions.Slots is negative: %d", v.Slots)
	case v.Bytes < 0:
		return nil, fmt.Errorf("password: GateOptions.Bytes is negative: %d", v.Bytes)
	case v.Queue < 0:
		return nil, fmt.Errorf("password: GateOptions.Queue is negative: %d", v.Queue)
	case v.MaxWait < 0:
		return nil, fmt.Errorf("password: GateOptions.MaxWait is negative: %v", v.MaxWait)
	}
	if v.Slots == 0 {
		v.Slots = runtime.GOMAXPROCS(0)
	}
	if v.Bytes == 0 {
		v.Bytes = int64(v.Slots) * 4 * Default().Memory(Hash{})
	}
	if v.Queue == 0 {
		v.Queue = v.Slots * DefaultQueue
	}
	if v.MaxWait == 0 {
		v.MaxWait = DefaultMaxWait
	}
	return &Gate{
		slots: v.Slots, bytes: v.Bytes, queue: v.Queue, maxWait: v.MaxWait,
		average: firstEstimate,
		lines:   make(map[string]*line),
	}, nil
}

// Do calls fn once the gate admits it and returns what fn returns. bytes is the
// working memory that fn takes: see [Hasher].Memory.
//
// fn runs on the caller's goroutine. Its place is free again when it returns or
// panics; ctx ending meanwhile changes nothing, as a hash cannot be interrupted.
//
// Without calling fn, Do returns ctx.Err() as soon as ctx has ended, and an
// *[OverloadedError] if the caller is refused, is evicted or has waited for MaxWait.
func (g *Gate) Do(ctx context.Context, share string, bytes int64, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	bytes = max(bytes, 0)
	w, err := g.enter(share, bytes)
	if err != nil {
		return err
	}
	if w != nil {
		if err := g.wait(ctx, w); err != nil {
			return err
		}
	}
	start := time.Now()
	defer func() { g.leave(bytes, time.Since(start)) }()
	return fn()
}

// Overloaded reports whether a call of Do with this share would be refused now, and
// when to retry. It lets a server respond before it reads a request. A share that
// is not overloaded may be refused a moment later.
func (g *Gate) Overloaded(share string) (retryAfter time.Duration, overloaded bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.admits(share) {
		return 0, false
	}
	return g.retryAfter(), true
}

// enter takes a place at once and returns nil, or puts a waiter into its line.
func (g *Gate) enter(share string, bytes int64) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting == 0 && g.fits(bytes) {
		g.take(bytes)
		return nil, nil
	}
	if !g.admits(share) {
		return nil, &OverloadedError{g.retryAfter()}
	}
	if g.waiting >= g.queue {
		g.evict()
	}
	w := &waiter{bytes: bytes, told: make(chan bool, 1)}
	g.push(share, w)
	g.dispatch() // who was evicted may have been what the others waited for
	return w, nil
}

// wait returns nil when w may hash.
func (g *Gate) wait(ctx context.Context, w *waiter) error {
	timer := time.NewTimer(g.maxWait)
	defer timer.Stop()
	var admitted bool
	select {
	case admitted = <-w.told:
	case <-ctx.Done():
		admitted = g.giveUp(w)
	case <-timer.C:
		admitted = g.giveUp(w)
	}
	switch err := ctx.Err(); {
	case err != nil:
		if admitted {
			g.leave(w.bytes, 0)
		}
		return err
	case !admitted:
		g.mu.Lock()
		defer g.mu.Unlock()
		return &OverloadedError{g.retryAfter()}
	}
	return nil
}

// giveUp takes w out of its line. If it was taken out already, giveUp reports
// whether it was admitted: then w holds a place.
func (g *Gate) giveUp(w *waiter) (admitted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.line == nil {
		return <-w.told
	}
	g.remove(w)
	g.dispatch() // w may have been what the others waited for
	return false
}

// leave returns a place. took is 0 if there was no hash.
func (g *Gate) leave(bytes int64, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.used -= bytes
	if took > 0 {
		g.average += (took - g.average) / 8
	}
	g.dispatch()
}

// dispatch admits callers in turn, as long as the next one fits.
func (g *Gate) dispatch() {
	for g.next != nil && g.fits(g.next.head.bytes) {
		l := g.next
		w := l.head
		g.next = l.next
		g.remove(w)
		g.take(w.bytes)
		w.told <- true
	}
}

func (g *Gate) fits(bytes int64) bool {
	return g.running == 0 || g.running < g.slots && bytes <= g.bytes-g.used
}

func (g *Gate) take(bytes int64) {
	g.running++
	g.used += bytes
}

// admits reports whether a newcomer gets a place or may wait.
func (g *Gate) admits(share string) bool {
	if g.waiting < g.queue {
		return true
	}
	l := g.lines[share]
	return l == nil || l.n < g.longest
}

// evict refuses the newest of the longest line; of several, of the one whose
// turn is farthest.
func (g *Gate) evict() {
	l := g.next.prev
	for l.n != g.longest {
		l = l.prev
	}
	w := l.tail
	g.remove(w)
	w.told <- false
}

// push appends w to the line of share. A new line is the last to have its turn.
func (g *Gate) push(share string, w *waiter) {
	l := g.lines[share]
	if l == nil {
		l = &line{share: share}
		g.lines[share] = l
		if g.next == nil {
			l.prev, l.next, g.next = l, l, l
		} else {
			l.prev, l.next = g.next.prev, g.next
			l.prev.next, l.next.prev = l, l
		}
	}
	w.line, w.prev = l, l.tail
	if l.tail == nil {
		l.head = w
	} else {
		l.tail.next = w
	}
	l.tail = w
	g.resize(l, 1)
}

// remove takes w out of its line, and the line away if it was the last in it.
func (g *Gate) remove(w *waiter) {
	l := w.line
	if w.prev == nil {
		l.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.line, w.prev, w.next = nil, nil, nil
	g.resize(l, -1)
	if l.n > 0 {
		return
	}
	delete(g.lines, l.share)
	l.prev.next, l.next.prev = l.next, l.prev
	if g.next == l {
		g.next = l.next
	}
	if g.next == l {
		g.next = nil
	}
}

// resize keeps the count of lines by length, so that the longest is known
// without looking at all.
func (g *Gate) resize(l *line, by int) {
	if l.n > 0 {
		g.lengths[l.n]--
	}
	l.n += by
	g.waiting += by
	for len(g.lengths) <= l.n {
		g.lengths = append(g.lengths, 0)
	}
	if l.n > 0 {
		g.lengths[l.n]++
	}
	g.longest = max(g.longest, l.n)
	for g.longest > 0 && g.lengths[g.longest] == 0 {
		g.longest--
	}
}

// retryAfter estimates when who waits now will have been served.
func (g *Gate) retryAfter() time.Duration {
	turns := math.Ceil(float64(g.waiting+g.running) / float64(g.slots))
	seconds := math.Ceil(turns * g.average.Seconds())
	seconds = min(max(seconds, minRetryAfter.Seconds()), maxRetryAfter.Seconds())
	return time.Duration(seconds) * time.Second
}

// OverloadedError says that more callers wait than the [Gate] lets wait, or that
// this one waited too long. Nothing was done. Retry after RetryAfter, not at once.
type OverloadedError struct {
	// RetryAfter is when to come again: an estimate from the length of the
	// queue and the time that hashes took of late. Whole seconds, 1 to 60.
	RetryAfter time.Duration
}

func (e *OverloadedError) Error() string {
	return fmt.Sprintf("password: too many callers wait: retry in %v", e.RetryAfter)
}
