package password_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users/password"
)

const hashTime = 50 * time.Millisecond

func newGate(t testing.TB, o password.GateOptions) *password.Gate {
	t.Helper()
	g, err := password.NewGate(&o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// line sends callers through a gate one after the other, inside a synctest
// bubble, and tells what became of them.
type line struct {
	gate    *password.Gate
	served  []string         // in the order of being served
	refused map[string]error // by name
	mu      sync.Mutex
}

// join starts a caller named share plus n and returns when it hashes, waits or was refused.
func (l *line) join(ctx context.Context, share string, n int, bytes int64) {
	name := fmt.Sprint(share, n)
	go func() {
		err := l.gate.Do(ctx, share, bytes, func() error {
			l.mu.Lock()
			l.served = append(l.served, name)
			l.mu.Unlock()
			time.Sleep(hashTime)
			return nil
		})
		if err != nil {
			l.mu.Lock()
			l.refused[name] = err
			l.mu.Unlock()
		}
	}()
	synctest.Wait()
}

// order returns who was served, and errors who was refused.
func (l *line) order() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.served)
}

func (l *line) errors() map[string]error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.refused)
}

func (l *line) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.served = nil
}

// pause lets time pass, and makes what the callers did meanwhile visible.
func (l *line) pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func newLine(t *testing.T, o password.GateOptions) *line {
	t.Cleanup(func() { time.Sleep(time.Minute) }) // a bubble ends with nobody in it
	return &line{gate: newGate(t, o), refused: map[string]error{}}
}

func isOverloaded(err error) bool {
	var o *password.OverloadedError
	return errors.As(err, &o)
}

// assertFree fails unless the gate has nobody in it: as many as it has slots
// run at once, and one more has to wait.
func assertFree(t *testing.T, g *password.Gate, slots int) {
	t.Helper()
	inside, release, done := make(chan bool), make(chan bool), make(chan error, slots)
	for range slots {
		go func() {
			done <- g.Do(t.Context(), "free", 1, func() error {
				inside <- true
				<-release
				return nil
			})
		}()
	}
	for range slots {
		<-inside
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := g.Do(short, "free", 1, func() error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more than %d: got %v, want it to wait", slots, err)
	}
	close(release)
	for range slots {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestGateNeverRunsMoreThanSlotsAndIsFreeAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const slots, callers, canceled = 3, 500, 200
		g := newGate(t, password.GateOptions{Slots: slots, Queue: callers, MaxWait: time.Hour})
		var running, most, ran, gone atomic.Int64
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%5 < 2 { // 200 of 500
					// In steps of the hash time, so that many end as others begin.
					time.AfterFunc(time.Duration(rand.IntN(150))*hashTime, cancel)
				}
				err := g.Do(ctx, fmt.Sprint(i%7), 1, func() error {
					n := running.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					time.Sleep(hashTime)
					running.Add(-1)
					ran.Add(1)
					return nil
				})
				switch {
				case errors.Is(err, context.Canceled):
					gone.Add(1)
				case err != nil:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != slots {
			t.Errorf("%d ran at once, want %d", most.Load(), slots)
		}
		if ran.Load()+gone.Load() != callers || gone.Load() == 0 || gone.Load() > canceled {
			t.Errorf("%d ran and %d were canceled, want %d together and some of each", ran.Load(), gone.Load(), callers)
		}
		assertFree(t, g, slots)
	})
}

// The same on real threads, where grants and cancellations race.
func TestGateLosesNoPlaceInRaces(t *testing.T) {
	t.Parallel()
	const slots, callers, rounds = 2, 50, 40
	g := newGate(t, password.GateOptions{Slots: slots, Queue: callers / 2, MaxWait: time.Minute})
	var running atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range rounds {
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					for range rand.IntN(50) {
						runtime.Gosched()
					}
					cancel()
				}()
				err := g.Do(ctx, fmt.Sprint(i%5), 1, func() error {
					if n := running.Add(1); n > slots {
						t.Errorf("%d run at once", n)
					}
					for range rand.IntN(20) {
						runtime.Gosched()
					}
					running.Add(-1)
					return nil
				})
				if err != nil && !errors.Is(err, context.Canceled) && !isOverloaded(err) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	assertFree(t, g, slots)
}

func TestGateServesSharesInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, password.GateOptions{Slots: 1})
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for i := range 130 {
			share := "A"
			if i >= 128 {
				share = "B"
			}
			wg.Go(func() {
				for ctx.Err() == nil {
					err := g.Do(ctx, share, 1, func() error {
						mu.Lock()
						order = append(order, share)
						mu.Unlock()
						time.Sleep(hashTime)
						return nil
					})
					if isOverloaded(err) {
						time.Sleep(time.Second)
					}
				}
			})
			synctest.Wait()
		}
		time.Sleep(200 * hashTime)
		cancel()
		wg.Wait()
		if len(order) < 200 {
			t.Fatalf("%d were served, want 200", len(order))
		}
		// The first was alone, and the second stood in line before B came.
		for i, share := range order[2:] {
			if share == order[i+1] {
				t.Fatalf("two of %s in a row, want them alternately: %s", share, strings.Join(order[:i+3], ""))
			}
		}
	})
}

func TestGateServesOneShareInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, password.GateOptions{Slots: 1})
		for i := range 5 {
			l.join(t.Context(), "A", i, 1)
		}
		for i := range 2 {
			l.join(t.Context(), "B", i, 1)
		}
		l.pause(time.Second)
		if got, want := strings.Join(l.order(), " "), "A0 A1 B0 A2 B1 A3 A4"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestGateFullQueueEvictsTheNewestOfTheLongestLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, password.GateOptions{Slots: 1, Queue: 4})
		for i := range 5 { // one hashes, four wait
			l.join(t.Context(), "A", i, 1)
		}
		if _, busy := l.gate.Overloaded("A"); !busy {
			t.Error("a newcomer of the longest line is not told that it would be refused")
		}
		if _, busy := l.gate.Overloaded("B"); busy {
			t.Error("a newcomer that would evict another is told that it would be refused")
		}
		l.join(t.Context(), "A", 5, 1)
		if err := l.errors()["A5"]; !isOverloaded(err) {
			t.Fatalf("newcomer of the longest line: got %v, want *OverloadedError", err)
		}
		l.join(t.Context(), "B", 0, 1)
		if err := l.errors()["A4"]; !isOverloaded(err) {
			t.Fatalf("newest of the longest line: got %v, want *OverloadedError", err)
		}
		l.join(t.Context(), "B", 1, 1)
		if err := l.errors()["A3"]; !isOverloaded(err) {
			t.Fatalf("newest of the longest line: got %v, want *OverloadedError", err)
		}
		// A and B have two each now.
		l.join(t.Context(), "B", 2, 1)
		if err := l.errors()["B2"]; !isOverloaded(err) {
			t.Fatalf("newcomer of a line as long as the others: got %v, want *OverloadedError", err)
		}
		if _, busy := l.gate.Overloaded("B"); !busy {
			t.Error("Overloaded does not say so")
		}
		l.pause(time.Second)
		if got, want := strings.Join(l.order(), " "), "A0 A1 B0 A2 B1"; got != want || len(l.errors()) != 4 {
			t.Errorf("got %s and %d refused, want %s and 4", got, len(l.errors()), want)
		}
		if _, busy := l.gate.Overloaded("A"); busy {
			t.Error("an empty gate is busy")
		}
	})
}

// Of lines of one length, the one whose turn comes first keeps its caller.
func TestGateEvictsWhoseTurnIsFarthest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, password.GateOptions{Slots: 1, Queue: 3})
		l.join(t.Context(), "X", 0, 1)
		for _, share := range []string{"A", "B", "C", "D", "E"} {
			l.join(t.Context(), share, 0, 1)
		}
		l.pause(time.Second)
		if got, want := strings.Join(l.order(), " "), "X0 A0 B0 E0"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestGateKeepsToItsBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 100
		g := newGate(t, password.GateOptions{Slots: 8, Bytes: limit, MaxWait: time.Hour})
		var mu sync.Mutex
		var used int64
		var running, most int
		var wg sync.WaitGroup
		for i := range 300 {
			bytes := []int64{10, 30, 60, 100, 250, 0, -1000}[i%7]
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				_ = g.Do(t.Context(), fmt.Sprint(i%3), bytes, func() error {
					mu.Lock()
					used += max(bytes, 0)
					running++
					most = max(most, running)
					if used > limit && running > 1 {
						t.Errorf("%d bytes in %d hashes at once, want at most %d", used, running, limit)
					}
					mu.Unlock()
					time.Sleep(hashTime)
					mu.Lock()
					used -= max(bytes, 0)
					running--
					mu.Unlock()
					return nil
				})
			})
		}
		wg.Wait()
		if most < 2 {
			t.Error("nothing ran side by side")
		}
		assertFree(t, g, 8)
	})
}

// A stream of small hashes would always leave too little for the large one, and
// a stream of large ones too little for the small.
func TestGateStarvesNeitherLargeNorSmall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		stream, other int64
	}{{"a large one among small", 10, 100}, {"one over the limit among small", 10, 1000}, {"a small one among large", 100, 10}, {"a small one among those over the limit", 1000, 10}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, password.GateOptions{Slots: 4, Bytes: 100})
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for i := range 8 {
					wg.Go(func() {
						time.Sleep(time.Duration(i) * time.Millisecond)
						for ctx.Err() == nil {
							_ = g.Do(ctx, "stream", c.stream, func() error { time.Sleep(hashTime); return nil })
						}
					})
				}
				time.Sleep(10 * hashTime)
				start := time.Now()
				err := g.Do(ctx, "other", c.other, func() error { time.Sleep(hashTime); return nil })
				if took := time.Since(start); err != nil || took > 4*hashTime {
					t.Errorf("got %v after %v, want it in its turn", err, took)
				}
				before := time.Now()
				_ = g.Do(ctx, "stream", c.stream, func() error { return nil })
				if took := time.Since(before); took > 20*hashTime {
					t.Errorf("the stream went on only after %v", took)
				}
				cancel()
				wg.Wait()
			})
		})
	}
}

// Whoever waits behind a large hash goes on when that one goes away.
func TestGateGoesOnWhenTheNextInTurnLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, password.GateOptions{Slots: 2, Bytes: 100, Queue: 2})
		l.join(t.Context(), "A", 0, 60)
		ctx, cancel := context.WithCancel(t.Context())
		l.join(ctx, "B", 0, 60) // does not fit beside A0
		l.join(t.Context(), "C", 0, 30)
		if len(l.order()) != 1 {
			t.Fatalf("served %v, want the small one to wait for its turn", l.order())
		}
		cancel()
		synctest.Wait()
		if got := strings.Join(l.order(), " "); got != "A0 C0" {
			t.Errorf("after the cancellation: got %s, want A0 C0 at once", got)
		}
		l.pause(time.Second)

		// The same when the large one is evicted.
		l.forget()
		l.join(t.Context(), "A", 1, 60)
		l.join(t.Context(), "B", 1, 60)
		l.join(t.Context(), "B", 2, 60)
		l.join(t.Context(), "C", 1, 10)
		if got := strings.Join(l.order(), " "); got != "A1" || !isOverloaded(l.errors()["B2"]) {
			t.Errorf("got %s and %v", got, l.errors())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, password.GateOptions{Slots: 2, Bytes: 100, Queue: 1})
		l.join(t.Context(), "A", 0, 60)
		l.join(t.Context(), "B", 0, 60)
		l.join(t.Context(), "C", 0, 30)
		if got := strings.Join(l.order(), " "); got != "A0 C0" || !isOverloaded(l.errors()["B0"]) {
			t.Errorf("after the eviction: got %s and %v, want A0 C0 at once", got, l.errors())
		}
	})
}

func TestGateIsFreeAfterAPanic(t *testing.T) {
	t.Parallel()
	g := newGate(t, password.GateOptions{Slots: 1})
	func() {
		defer func() {
			if r := recover(); r != "boom" {
				t.Errorf("recovered %v, want the panic of fn", r)
			}
		}()
		_ = g.Do(t.Context(), "", 1, func() error { panic("boom") })
	}()
	gone := make(chan bool)
	go func() {
		defer close(gone)
		_ = g.Do(t.Context(), "", 1, func() error { runtime.Goexit(); return nil })
	}()
	<-gone
	assertFree(t, g, 1)
}

func TestGateCallsNothingForWhoIsCancelled(t *testing.T) {
	t.Parallel()
	g := newGate(t, password.GateOptions{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a cause"))
	if err := g.Do(ctx, "", 1, func() error { t.Error("fn was called"); return nil }); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestGateReturnsWhatFnReturns(t *testing.T) {
	t.Parallel()
	g := newGate(t, password.GateOptions{})
	want := errors.New("of fn")
	if err := g.Do(t.Context(), "", 1, func() error { return want }); err != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestGateCancelledCallersLeaveAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, password.GateOptions{Slots: 1, Queue: 2})
		l.join(t.Context(), "A", 0, 1)
		ctx, cancel := context.WithCancel(t.Context())
		l.join(ctx, "A", 1, 1)
		timed, cancel2 := context.WithTimeout(t.Context(), hashTime/2)
		defer cancel2()
		l.join(timed, "A", 2, 1)
		if _, busy := l.gate.Overloaded("A"); !busy {
			t.Error("the queue is not full")
		}
		cancel()
		synctest.Wait()
		if err := l.errors()["A1"]; err != context.Canceled {
			t.Errorf("canceled: got %v, want %v", err, context.Canceled)
		}
		if _, busy := l.gate.Overloaded("A"); busy {
			t.Error("who was canceled still takes a place in the queue")
		}
		l.pause(hashTime / 2)
		if err := l.errors()["A2"]; err != context.DeadlineExceeded {
			t.Errorf("timed out: got %v, want %v", err, context.DeadlineExceeded)
		}
		l.join(ctx, "A", 3, 1)
		if err := l.errors()["A3"]; err != context.Canceled {
			t.Errorf("canceled before: got %v, want %v", err, context.Canceled)
		}
		l.pause(time.Second)
		if got := strings.Join(l.order(), " "); got != "A0" {
			t.Errorf("served %s, want A0 alone", got)
		}
	})
}

// The place belongs to the hash: a caller that is canceled while it hashes
// keeps it until the hash is done.
func TestGatePlaceBelongsToTheHash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, password.GateOptions{Slots: 1})
		ctx, cancel := context.WithCancel(t.Context())
		l.join(ctx, "A", 0, 1)
		l.join(t.Context(), "A", 1, 1)
		cancel()
		synctest.Wait()
		if len(l.order()) != 1 {
			t.Errorf("served %v while the first still hashes", l.order())
		}
		l.pause(time.Second)
		if len(l.order()) != 2 || len(l.errors()) != 0 {
			t.Errorf("served %v, refused %v, want both served", l.order(), l.errors())
		}
	})
}

func TestGateWaitIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, want time.Duration }{{0, 10 * time.Second}, {3 * time.Second, 3 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t, password.GateOptions{Slots: 1, MaxWait: c.set})
			release := make(chan bool)
			var wg sync.WaitGroup
			wg.Go(func() { _ = g.Do(t.Context(), "A", 1, func() error { <-release; return nil }) })
			synctest.Wait()
			start := time.Now()
			err := g.Do(t.Context(), "A", 1, func() error { t.Error("ran beside another"); return nil })
			if took := time.Since(start); !isOverloaded(err) || took != c.want {
				t.Errorf("got %v after %v, want *OverloadedError after %v", err, took, c.want)
			}
			close(release)
			wg.Wait()
			assertFree(t, g, 1)
		})
	}
}

func TestGateRetryAfterFollowsQueueAndHashTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		hash  time.Duration
		queue int
		want  time.Duration
	}{
		{"a short queue", hashTime, 4, time.Second},
		{"9 of 2 s, 1 slot", 2 * time.Second, 8, 18 * time.Second},
		{"101 of 120 ms, rounded up", 120 * time.Millisecond, 100, 13 * time.Second},
		{"bounded", time.Hour, 100, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, password.GateOptions{Slots: 1, Queue: c.queue, MaxWait: 1000 * time.Hour})
				for range 60 { // until the average is there
					_ = g.Do(t.Context(), "", 1, func() error { time.Sleep(c.hash); return nil })
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for range c.queue + 1 {
					go func() {
						_ = g.Do(ctx, "", 1, func() error { <-ctx.Done(); return nil })
					}()
				}
				synctest.Wait()
				after, busy := g.Overloaded("")
				if !busy || after != c.want {
					t.Errorf("Overloaded: got %v, %v, want %v, true", after, busy, c.want)
				}
				var o *password.OverloadedError
				if err := g.Do(ctx, "", 1, func() error { return nil }); !errors.As(err, &o) || o.RetryAfter != c.want {
					t.Errorf("Do: got %v, want to retry after %v", err, c.want)
				}
			})
		})
	}
}

func TestGateDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, err := password.NewGate(nil)
		if err != nil {
			t.Fatal(err)
		}
		l := &line{gate: g, refused: map[string]error{}}
		slots := runtime.GOMAXPROCS(0)
		for i := range slots + 128*slots {
			l.join(t.Context(), "A", i, 64<<20)
		}
		if len(l.order()) != slots {
			t.Errorf("%d of 64 MiB run at once, want %d", len(l.order()), slots)
		}
		if len(l.errors()) != 0 {
			t.Errorf("%d were refused, want room for 128 a slot", len(l.errors()))
		}
		l.join(t.Context(), "A", -1, 1)
		if len(l.errors()) != 1 {
			t.Errorf("%d were refused, want the one over 128 a slot", len(l.errors()))
		}
		l.pause(time.Minute)
	})
}

func TestNewGateNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]password.GateOptions{
		"Slots": {Slots: -1}, "Bytes": {Bytes: -1}, "Queue": {Queue: -1}, "MaxWait": {MaxWait: -1},
	} {
		if g, err := password.NewGate(&o); g != nil || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, %v, want an error that names %s", g, err, name)
		}
	}
}

// The next two count memory and allocations: they do not run beside others.

func TestGateAllocatesNothingWhenItIsFree(t *testing.T) {
	g := newGate(t, password.GateOptions{Slots: 1})
	ctx, n := t.Context(), 0
	if got := testing.AllocsPerRun(1000, func() {
		_ = g.Do(ctx, "A", 1, func() error { n++; return nil })
	}); got != 0 {
		t.Errorf("Do: %v allocations, want 0", got)
	}
	if got := testing.AllocsPerRun(1000, func() { g.Overloaded("A") }); got != 0 {
		t.Errorf("Overloaded: %v allocations, want 0", got)
	}
}

func TestGateForgetsSharesWithNobodyWaiting(t *testing.T) {
	g := newGate(t, password.GateOptions{Slots: 1})
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	round := func(i int) {
		inside, release, done := make(chan bool), make(chan bool), make(chan bool)
		go func() {
			_ = g.Do(t.Context(), "A", 1, func() error { inside <- true; <-release; return nil })
			done <- true
		}()
		<-inside
		go func() { // waits in a line of its own
			short, cancel := context.WithTimeout(t.Context(), time.Microsecond)
			defer cancel()
			_ = g.Do(short, strings.Repeat(fmt.Sprint(i), 1000), 1, func() error { return nil })
			done <- true
		}()
		<-done
		close(release)
		<-done
	}
	round(0)
	before := live()
	for i := range 3000 {
		round(1000 + i)
	}
	if grown := live() - before; grown > 2<<20 {
		t.Errorf("3,000 shares with names of 4 kB left %d bytes behind", grown)
	}
	runtime.KeepAlive(g)
}

func TestGateIsSafeForCallersOfManyKinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, password.GateOptions{Slots: 2, Bytes: 50, Queue: 20, MaxWait: 7 * hashTime})
		var outcomes []string
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 2000 {
			wg.Go(func() {
				time.Sleep(time.Duration(rand.IntN(20_000)) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(20))*hashTime)
				defer cancel()
				outcome := "panic"
				defer func() {
					_ = recover()
					mu.Lock()
					outcomes = append(outcomes, outcome)
					mu.Unlock()
				}()
				err := g.Do(ctx, fmt.Sprint(rand.IntN(i%10+1)), rand.Int64N(80), func() error {
					time.Sleep(hashTime)
					if i%50 == 0 {
						panic("boom")
					}
					return nil
				})
				outcome = fmt.Sprintf("%T", err)
			})
		}
		wg.Wait()
		slices.Sort(outcomes)
		if kinds := slices.Compact(slices.Clone(outcomes)); len(kinds) != 4 {
			t.Errorf("got %v, want success, panic, overload and deadline", kinds)
		}
		assertFree(t, g, 2)
	})
}
