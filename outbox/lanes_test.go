package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// deliveries is a Notifier that keeps what it delivered, in order.
type deliveries struct {
	outbox.Recorder
	takes time.Duration
	hangs map[string]bool // by apiKey: until the context ends
}

func (d *deliveries) Notify(ctx context.Context, n users.Notification) error {
	if d.hangs[n.Application.APIKey] {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(d.takes)
	return d.Recorder.Notify(ctx, n)
}

// of returns which of the deliveries were an application's: the first is 0.
func (d *deliveries) of(apiKey string) (places []int) {
	for i, n := range d.All() {
		if n.Application.APIKey == apiKey {
			places = append(places, i)
		}
	}
	return places
}

func TestBacklogOfOneApplicationDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 4000 {
			f.create(false)
		}
		f.application("other")
		f.createIn("other", false)
		d := &deliveries{takes: time.Second}
		stop := run(relay(t, f.svc, d, outbox.Options{}))
		time.Sleep(5*time.Minute + time.Second/2)
		f.createIn("other", false)
		time.Sleep(3 * time.Second)
		stop()

		const atOnce = 4
		places := d.of("other")
		if len(places) != 2 || places[0] > atOnce || places[1] > (300+3)*atOnce {
			t.Errorf("got the other application's at places %v of %d, want them at once", places, len(d.All()))
		}
	})
}

func TestHangingApplicationsHoldUpNobody(t *testing.T) {
	t.Parallel()
	for hanging := range 4 {
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setUp(t)
				d := &deliveries{hangs: map[string]bool{}}
				for i := range hanging {
					key := fmt.Sprint("hangs", i)
					f.application(key)
					d.hangs[key] = true
					for range 100 {
						f.createIn(key, false)
					}
				}
				stop := run(relay(t, f.svc, d, outbox.Options{}))
				defer stop()
				for i := range 100 { // at any time
					time.Sleep(7 * time.Second)
					f.create(false)
					time.Sleep(outbox.DefaultPoll + time.Millisecond)
					synctest.Wait()
					if got := len(d.All()); got != i+1 {
						t.Fatalf("got %d delivered within %v, want %d", got, outbox.DefaultPoll, i+1)
					}
				}
			})
		})
	}
}

func TestRecoveryGoesBeforeWhatIsNotClaimedYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		u := f.create(false)
		for range 1000 {
			f.create(false)
		}
		var claimed atomic.Int64
		n := &deliveries{takes: time.Second}
		count := &counting{Store: f.store, claimed: &claimed}
		stop := run(relay(t, f.service(count, nil), n, outbox.Options{}))
		time.Sleep(30 * time.Second)

		if err := f.svc.RecoverPassword(t.Context(), apiKey, u.UserName); err != nil {
			t.Fatal(err)
		}
		before := claimed.Load()
		time.Sleep(3 * time.Minute)
		stop()
		at := slices.IndexFunc(n.All(), func(n users.Notification) bool { return n.Kind == users.KindSetPassword })
		const atOnce = 4
		if at < 0 || int64(at) >= before+atOnce {
			t.Errorf("got the recovery message at place %d of %d, want it right behind the %d claimed before", at, len(n.All()), before)
		}
	})
}

// counting is a store that counts what is claimed.
type counting struct {
	users.Store
	claimed *atomic.Int64
}

func (c *counting) Unwrap() users.Store {
	box, _ := users.StoreAs[users.OutboxStore](c.Store)
	tokens, _ := users.StoreAs[users.TokenStore](c.Store)
	return countingBox{c.Store, box, tokens, c.claimed}
}

type countingBox struct {
	users.Store
	users.OutboxStore
	users.TokenStore
	claimed *atomic.Int64
}

func (c countingBox) Claim(ctx context.Context, q users.Claim) ([]users.NotificationRecord, error) {
	rows, err := c.OutboxStore.Claim(ctx, q)
	c.claimed.Add(int64(len(rows)))
	return rows, err
}

// More applications than workers have a backlog, the first ones the longest.
func TestApplicationsTakeTurnsInAllRelays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		const apps = 12
		for i := range apps {
			key := fmt.Sprint("app", i)
			f.application(key)
			for range 250 - 10*i {
				f.createIn(key, false)
			}
		}
		d := &deliveries{takes: time.Second}
		stopA, stopB := run(relay(t, f.svc, d, outbox.Options{})), run(relay(t, f.svc, d, outbox.Options{}))
		time.Sleep(time.Minute + time.Second/2)
		stopA()
		stopB()
		share := len(d.All()) / apps
		for i := range apps {
			if got := len(d.of(fmt.Sprint("app", i))); got < share/2 || got > 2*share {
				t.Errorf("application %d: got %d delivered, want %d, more or less", i, got, share)
			}
		}
	})
}

func TestApplicationHasHalfOfTheWorkersAtMost(t *testing.T) {
	t.Parallel()
	for workers, want := range map[int]int{0: 4, 1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 8: 4} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setUp(t)
				for range 50 {
					f.create(false)
				}
				var mu sync.Mutex
				now, most := 0, 0
				n := users.NotifierFunc(func(context.Context, users.Notification) error {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					now--
					mu.Unlock()
					return nil
				})
				start := time.Now()
				drain(t, relay(t, f.svc, n, outbox.Options{Workers: workers}))
				rounds := (50 + want - 1) / want
				if took := time.Since(start); most != want || took != time.Duration(rounds)*time.Second {
					t.Errorf("got %d at once, 50 in %v, want %d and %d s", most, took, want, rounds)
				}
			})
		})
	}
}

// A relay must not ask the store again and again for what it passes over.
func TestClaimsThatFindNothingWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 1000 {
			f.create(false)
		}
		svc, claims := f.countingClaims()
		d := &deliveries{hangs: map[string]bool{apiKey: true}}
		stop := run(relay(t, svc, d, outbox.Options{}))
		time.Sleep(10 * time.Minute)
		stop()
		if got := claims.Load(); got < 600 || got > 900 {
			t.Errorf("got %d claims in 10 minutes, want one each second and a few when deliveries end", got)
		}
	})
}

func TestRunPurgesWhatWasDiscardedLongAgo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ option, keeps time.Duration }{
		"by default": {0, 30 * 24 * time.Hour},
		"an hour":    {time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setUp(t)
				f.create(false)
				n := &attempts{err: always(outbox.Discard(errors.New("no such mailbox")))}
				stop := run(relay(t, f.svc, n, outbox.Options{KeepDiscarded: tt.option, Poll: time.Minute}))
				defer stop()
				time.Sleep(tt.keeps - time.Second)
				row := f.onlyRow(users.StateDiscarded)

				if err := f.svc.RetryNotification(t.Context(), apiKey, row.ID); err != nil { // and is discarded again
					t.Fatal(err)
				}
				time.Sleep(tt.keeps - 2*time.Second)
				f.onlyRow(users.StateDiscarded)
				time.Sleep(outbox.DefaultPurgeEvery + 2*time.Minute)
				f.noRows()
			})
		})
	}
}

// What an application was claimed with last says nothing to others once it is quiet.
func TestQuietApplicationDoesNotMakeTheClaimsOfOthersSmall(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		workers int
		dies    bool // the process that claimed the rows of the others first
	}{
		"one worker": {1, false}, "after a death": {8, true}, "one worker, after a death": {1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setUp(t)
				for _, key := range []string{"quiet", "as-quiet"} {
					f.application(key)
					f.createIn(key, false)
					if tt.dies {
						f.die(time.Second, 1)
					}
				}
				time.Sleep(2 * time.Second)
				for range 500 {
					f.create(false)
				}
				svc, claims := f.countingClaims()
				var got tally
				drain(t, relay(t, svc, &got, outbox.Options{Workers: tt.workers}))
				got.eachOnce(t, 502)
				if n := claims.Load(); n > 60 {
					t.Errorf("got %d claims for 502 rows, want batches", n)
				}
			})
		})
	}
}

// joined is a store whose Claim returns rows of two applications, which it must not.
type joined struct{ *memstore.Store }

func (s joined) Claim(ctx context.Context, c users.Claim) ([]users.NotificationRecord, error) {
	first, err := s.Store.Claim(ctx, c)
	if err != nil || len(first) == 0 {
		return first, err
	}
	c.After = first[0].ApplicationID
	second, err := s.Store.Claim(ctx, c)
	return append(first, second...), err
}

func TestStoreThatClaimsForTwoApplicationsEndsNoProcess(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.application("other")
	for range 20 {
		f.create(false)
		f.createIn("other", false)
	}
	var got tally
	drain(t, relay(t, f.service(joined{f.store}, nil), &got, outbox.Options{}))
	got.eachOnce(t, 40)
}

// A slow store is asked by as many as there are workers to release what was not begun.
func TestManyRowsAreReleasedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 2000 {
			f.create(false)
		}
		var stopping atomic.Bool
		svc := f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
			if m == storefake.Settle && stopping.Load() {
				time.Sleep(time.Second)
			}
			return do()
		})
		var delivered atomic.Int64
		n := users.NotifierFunc(func(ctx context.Context, _ users.Notification) error {
			if delivered.Add(1) > 1000 { // by then the batches are large
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		stop := run(relay(t, svc, n, outbox.Options{}))
		time.Sleep(time.Second)
		stopping.Store(true)
		stop()
		tried := 0
		for _, row := range f.rows(users.StatePending) {
			tried += row.Attempts
		}
		if tried > 4 {
			t.Errorf("got %d attempts counted, want those of the 4 that had begun", tried)
		}
	})
}
