package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
)

func TestNotifierThatNeverReturnsHoldsUpNeitherCreateNorOtherRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		stuck := f.create(false)
		release := make(chan struct{})
		var got outbox.Recorder
		n := users.NotifierFunc(func(ctx context.Context, n users.Notification) error {
			if n.User.ID == stuck.ID {
				<-release // its context is ignored
			}
			return got.Notify(ctx, n)
		})
		r := relay(t, f.svc, n, outbox.Options{Workers: 1, Timeout: 10 * time.Second, Lease: 20 * time.Second})
		stop := run(r)
		time.Sleep(time.Second)
		start := time.Now()
		f.create(false)
		if took := time.Since(start); took != 0 {
			t.Errorf("Create took %v, want no time", took)
		}

		time.Sleep(13 * time.Second)
		synctest.Wait()
		if len(got.All()) != 1 {
			t.Errorf("others delivered: got %d, want 1", len(got.All()))
		}
		if row := f.onlyRow(users.StatePending); !strings.Contains(row.LastError, "did not return") {
			t.Errorf("got %+v, want the blocked row with its error", row)
		}
		stop() // does not wait for the blocked call
		close(release)
		synctest.Wait() // and synctest.Test fails if a goroutine is left over
	})
}

func TestCallsThatIgnoreTheirContextAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 50 {
			f.create(false)
		}
		release := make(chan struct{})
		var calls atomic.Int32
		n := users.NotifierFunc(func(context.Context, users.Notification) error {
			calls.Add(1)
			<-release
			return nil
		})
		r := relay(t, f.svc, n, outbox.Options{Workers: 2, Timeout: time.Second, Lease: 3 * time.Second})
		stop := run(r)
		time.Sleep(time.Hour)
		if got := calls.Load(); got != 18 {
			t.Errorf("got %d calls, want 2 workers times 9", got)
		}

		close(release)
		time.Sleep(time.Hour)
		stop()
		f.noRows()
	})
}

// overtake returns a Service with one notification, whose first outcome takes 4 s
// to store. If its delivery takes 9 s, the lease of shortLease ends before that.
func overtake(f *fixture) *users.Service {
	f.create(false)
	var settled atomic.Int32
	return f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.Settle && settled.Add(1) == 1 {
			time.Sleep(4 * time.Second)
		}
		return do()
	})
}

var shortLease = outbox.Options{Timeout: 10 * time.Second, Lease: 11 * time.Second}

func TestOutcomeOfALostLeaseIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		slow := overtake(f)
		n := &attempts{err: func(users.Notification) error { time.Sleep(9 * time.Second); return nil }}
		var log bytes.Buffer
		o := shortLease
		o.Poll = time.Hour // it does not claim the row again
		o.Logger = logTo(&log)
		stop := run(relay(t, slow, n, o))
		time.Sleep(12 * time.Second)
		n.answer(always(errors.New("no")))
		drain(t, relay(t, f.svc, n, outbox.Options{}))
		stop()
		if row := f.onlyRow(users.StatePending); row.LastError != "no" || row.Attempts != 2 {
			t.Errorf("got %+v, want the outcome of the other relay", row)
		}
		if !strings.Contains(log.String(), `msg="outbox: lease lost, outcome dropped"`) {
			t.Errorf("log: got %q, want a line about the lost lease", log.String())
		}
	})
}

// The late outcome of an earlier lease does not pass for that of a later one,
// even if one relay held both.
func TestLateOutcomeDoesNotSettleTheNextLeaseOfTheSameRelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		slow := overtake(f)
		n := &attempts{}
		n.err = func(users.Notification) error {
			if len(n.All()) == 1 {
				time.Sleep(9 * time.Second)
				return nil
			}
			time.Sleep(5 * time.Second)
			return errors.New("the second")
		}
		stop := run(relay(t, slow, n, shortLease))
		time.Sleep(14 * time.Second)
		f.onlyRow(users.StatePending)
		stop()
		if row := f.onlyRow(users.StatePending); row.LastError != "the second" || len(n.All()) != 2 {
			t.Errorf("got %+v after %d calls, want the outcome of the second", row, len(n.All()))
		}
	})
}

// A relay that was fast claims many rows at a time. When it becomes slow it
// releases what would outlive its lease here, and nothing is sent twice.
func TestRowsThatWaitTooLongAreReleasedAndNotSentTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 300 {
			f.create(false)
		}
		got := tally{then: func(delivered int) {
			if delivered > 100 {
				time.Sleep(9 * time.Second)
			}
		}}
		var log bytes.Buffer
		o := outbox.Options{Workers: 2, Timeout: 10 * time.Second, Lease: 20 * time.Second, Logger: logTo(&log)}
		stopA, stopB := run(relay(t, f.svc, &got, o)), run(relay(t, f.svc, &got, o))
		time.Sleep(time.Hour)
		stopA()
		stopB()
		got.eachOnce(t, 300)
		f.noRows()
		if !strings.Contains(log.String(), `"outbox: released, lease too short"`) {
			t.Error("no line of the log says that a row was released")
		}
	})
}

// A delivery may take Timeout, and a notifier a little longer to return. Both must
// fit into what is left of the lease: otherwise another relay sends the same meanwhile.
func TestNoDeliveryBeginsThatCouldOutliveItsLease(t *testing.T) {
	t.Parallel()
	const enough = 3 * time.Second // a lease of 14 s, less the Timeout of 10 s and the grace of 1 s
	for name, tt := range map[string]struct {
		claim time.Duration // how long it takes
		want  int
	}{
		"all that it needs is left": {enough, 1},
		"a moment less is left":     {enough + time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setUp(t)
				f.create(false)
				svc := f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
					err := do()
					if m == storefake.Claim {
						time.Sleep(tt.claim)
					}
					return err
				})
				var got outbox.Recorder
				o := outbox.Options{Timeout: 10 * time.Second, Lease: 14 * time.Second, Poll: time.Hour}
				stop := run(relay(t, svc, &got, o))
				time.Sleep(time.Minute)
				stop()
				if len(got.All()) != tt.want {
					t.Errorf("got %d delivered, want %d", len(got.All()), tt.want)
				}
				if rows := f.rows(); tt.want == 0 && (len(rows) != 1 || rows[0].Attempts != 0) {
					t.Errorf("got %+v, want the row without an attempt", rows)
				}
			})
		})
	}
}

func TestWaitGrowsWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		start := time.Now()
		var claims []time.Duration
		svc := f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
			if m != storefake.Claim {
				return do()
			}
			claims = append(claims, time.Since(start))
			if len(claims) < 7 {
				return users.ErrUnavailable
			}
			return do()
		})
		var got outbox.Recorder
		stop := run(relay(t, svc, &got, outbox.Options{}))
		time.Sleep(time.Hour)
		stop()
		want := []time.Duration{0, 1, 5, 21, 81, 141, 201} // waits of 1, 4 and 16 s, then a minute each
		for i := range want {
			want[i] *= time.Second
		}
		if len(claims) < len(want) || !slices.Equal(claims[:len(want)], want) || len(got.All()) != 1 {
			t.Errorf("claims: got %v, want them at %v and so on", claims[:min(len(claims), 10)], want)
		}
	})
}

func TestRowOfADeadProcessIsDeliveredWhenItsLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		f.die(45*time.Second, 1)
		var got outbox.Recorder
		stop := run(relay(t, f.svc, &got, outbox.Options{}))
		time.Sleep(44 * time.Second)
		if len(got.All()) != 0 {
			t.Error("delivered before the lease of the dead process ended")
		}

		time.Sleep(3 * time.Second)
		stop()
		if len(got.All()) != 1 {
			t.Errorf("got %d delivered, want 1", len(got.All()))
		}
	})
}

func TestRowThatKillsEachProcessIsDiscarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		for range 8 {
			f.die(45*time.Second, 1)
			time.Sleep(46 * time.Second)
		}
		var got outbox.Recorder
		drain(t, relay(t, f.svc, &got, outbox.Options{MaxAttempts: 8}))
		row := f.onlyRow(users.StateDiscarded)
		if len(got.All()) != 0 || !strings.Contains(row.LastError, "unknown") {
			t.Errorf("got %d delivered and %+v, want none and the reason", len(got.All()), row)
		}
	})
}

func TestRowsOfADeadProcessAreClaimedOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 8 {
			f.create(false)
		}
		f.die(time.Second, 100)
		time.Sleep(time.Minute)

		var limits []int
		svc := f.around(func(_ context.Context, m storefake.Method, arg any, do func() error) error {
			if m == storefake.Claim {
				limits = append(limits, arg.(users.Claim).Limit)
			}
			return do()
		})
		var got tally
		drain(t, relay(t, svc, &got, outbox.Options{Workers: 4}))
		got.eachOnce(t, 8)
		if want := []int{4, 1, 1}; len(limits) < 3 || !slices.Equal(limits[:3], want) {
			t.Errorf("limits of the claims: got %v, want %v first", limits, want)
		}
	})
}

func TestWaitingRowsTakeBoundedMemory(t *testing.T) {
	store := &endless{Store: memstore.New(), left: 100_000}
	f := &fixture{t: t, store: store.Store}
	f.svc = f.service(store, nil)
	app, err := f.svc.CreateApplication(t.Context(), users.Application{APIKey: apiKey})
	if err != nil {
		t.Fatal(err)
	}
	store.app, store.user = app.ID, f.create(false).ID

	var calls, peak atomic.Int64
	n := users.NotifierFunc(func(context.Context, users.Notification) error {
		if calls.Add(1)%5000 == 0 {
			peak.Store(max(peak.Load(), heap()))
		}
		return nil
	})
	before := heap()
	drain(t, relay(t, f.svc, n, outbox.Options{}))
	if grown := peak.Load() - before; calls.Load() != 100_000 || grown > 10<<20 {
		t.Errorf("got %d delivered and %d more bytes of heap, want 100000 and at most 10 MiB", calls.Load(), grown)
	}
	if got := store.most; got < 16 || got > 256 {
		t.Errorf("largest batch: got %d, want it grown, to at most 256", got)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// endless is an outbox whose rows take no memory themselves.
type endless struct {
	*memstore.Store
	app, user  string
	mu         sync.Mutex
	left, most int
}

func (e *endless) Claim(_ context.Context, c users.Claim) ([]users.NotificationRecord, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if slices.Contains(c.Except, e.app) {
		return nil, nil
	}
	n := min(c.Limit, e.left)
	e.left -= n
	e.most = max(e.most, n)
	rows := make([]users.NotificationRecord, n)
	for i := range rows {
		rows[i] = users.NotificationRecord{
			ID: "01JABCDEFGHJKMNPQRSTVWXYZ0", ApplicationID: e.app, UserID: e.user,
			Kind: users.KindAccountCreated, State: users.StatePending, Attempts: 1,
		}
	}
	return rows, nil
}

func (*endless) Settle(context.Context, users.Settlement) error { return nil }
