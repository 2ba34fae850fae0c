package users_test

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
	"github.com/gousers/users/password"
)

// slowly returns store with a second for each look-up and each row that is
// written, and each call of more, and what was asked of it.
func slowly(store users.Store, more ...storefake.Method) (slow users.Store, looks, most *atomic.Int64) {
	looks, most = new(atomic.Int64), new(atomic.Int64)
	var now atomic.Int64
	return storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.FindUsers || m == storefake.Enqueue || slices.Contains(more, m) {
			raise(most, now.Add(1))
			defer now.Add(-1)
			if m == storefake.FindUsers {
				looks.Add(1)
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return do()
	}), looks, most
}

// slowService returns a Service on what slowly makes of store.
func slowService(t *testing.T, store users.Store, more ...storefake.Method) (svc *users.Service, looks, most *atomic.Int64) {
	t.Helper()
	slow, looks, most := slowly(store, more...)
	svc, err := users.New(slow, nil)
	if err != nil {
		t.Fatal(err)
	}
	return svc, looks, most
}

// However many ask at once for one user, the store is asked once, as for a user
// that does not exist, and all get their answer at the same time.
func TestConcurrentRecoveriesOfOneLoginAreOne(t *testing.T) {
	t.Parallel()
	for _, login := range []string{"ann", "ANN", "ann@example.com", "nobody", "no such login/"} {
		synctest.Test(t, func(t *testing.T) {
			store := memstore.New()
			invite(t, newServiceOn(t, store, users.Options{}), "ann")
			svc, looks, _ := slowService(t, store)
			var all sync.WaitGroup
			var took sync.Map
			for range 250 {
				all.Go(func() {
					start := time.Now()
					if err := svc.RecoverPassword(t.Context(), apiKey, login); err != nil {
						t.Errorf("%s: got %v, want none", login, err)
					}
					took.Store(time.Since(start), true)
				})
			}
			all.Wait()
			if looks.Load() > 1 {
				t.Errorf("%s: the store was asked %d times, want once", login, looks.Load())
			}
			times := 0
			took.Range(func(any, any) bool { times++; return true })
			equal(t, login+": different times", times, 1)
		})
	}
}

// An open route does not take all of the store's connections.
func TestRecoveriesUseTheStoreAFewAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		newServiceOn(t, store, users.Options{})
		svc, looks, most := slowService(t, store)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if err := svc.RecoverPassword(t.Context(), apiKey, fmt.Sprint("user", i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		equal(t, "look-ups", looks.Load(), 20)
		equal(t, "at a time", most.Load(), 4)
	})
}

// A crowd that asks for one application, or for what is none, keeps no other
// application waiting for longer than the calls that use the store.
func TestRecoveriesOfOneApplicationDoNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		crowd func(i int) (apiKey, login string)
		meets []string
	}{
		"of one application": {func(i int) (string, string) { return apiKey, fmt.Sprint("user", i) }, []string{"known", "unseen"}},
		"of made-up apiKeys": {func(i int) (string, string) { return fmt.Sprint("key", i), "user" }, []string{"known"}},
		"of invalid apiKeys": {func(i int) (string, string) { return fmt.Sprint("/", i), "user" }, []string{"known"}},
		"of both": {func(i int) (string, string) {
			return []string{apiKey, fmt.Sprint("key", i)}[i%2], fmt.Sprint("user", i)
		}, []string{"known"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := memstore.New()
			host := newServiceOn(t, store, users.Options{})
			addApplication(t, host, users.Application{APIKey: "known"})
			addApplication(t, host, users.Application{APIKey: "unseen"})
			svc, _, most := slowService(t, store, storefake.FindApplication)
			for _, seen := range []string{apiKey, "known"} {
				if err := svc.RecoverPassword(t.Context(), seen, "ann"); err != nil {
					t.Fatal(err)
				}
			}

			var all sync.WaitGroup
			for i := range 2000 {
				all.Go(func() {
					key, login := tt.crowd(i)
					if err := svc.RecoverPassword(t.Context(), key, login); err != nil && !errors.Is(err, users.ErrOverloaded) {
						t.Errorf("%s: got %v", name, err)
					}
				})
			}
			synctest.Wait()
			for _, key := range tt.meets {
				start := time.Now()
				if err := svc.RecoverPassword(t.Context(), key, "ann"); err != nil {
					t.Errorf("a crowd %s, %s: got %v, want none", name, key, err)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("a crowd %s, %s: took %v, want the time of one or two calls", name, key, took)
				}
			}
			all.Wait()
			if most.Load() > 4 {
				t.Errorf("a crowd %s: %d at a time, want at most 4", name, most.Load())
			}
		})
	}
}

// Who can't be served soon is told so, and when to come again.
func TestRecoveriesThatWaitTooLongAreOverloaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		newServiceOn(t, store, users.Options{})
		svc, looks, _ := slowService(t, store)
		const crowd = 1000
		var all sync.WaitGroup
		var refused atomic.Int64
		start := time.Now()
		for i := range crowd {
			all.Go(func() {
				err := svc.RecoverPassword(t.Context(), apiKey, fmt.Sprint("user", i))
				if err == nil {
					return
				}
				refused.Add(1)
				var overloaded *password.OverloadedError
				if !errors.Is(err, users.ErrOverloaded) || !errors.As(err, &overloaded) || overloaded.RetryAfter < time.Second {
					t.Errorf("got %v, want ErrOverloaded with a time", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took > 13*time.Second {
			t.Errorf("took %v, want 10s of waiting and a call of 2s", took)
		}
		equal(t, "served and refused", looks.Load()+refused.Load(), crowd)
		if looks.Load() < 20 {
			t.Errorf("served %d, want as many as 4 at a time are in 10s", looks.Load())
		}
	})
}

// A store that hangs holds neither the call nor the others that wait, whatever
// deadline their contexts have.
func TestRecoveryHasADeadlineOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, hangs := range []storefake.Method{storefake.FindApplication, storefake.FindUsers, storefake.Enqueue} {
		synctest.Test(t, func(t *testing.T) {
			store := memstore.New()
			invite(t, newServiceOn(t, store, users.Options{}), "ann")
			var hanging atomic.Bool
			hanging.Store(true)
			svc, err := users.New(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
				if m != hangs || !hanging.Load() {
					return do()
				}
				<-ctx.Done()
				return errStore // a driver's own error for a statement that was canceled
			}), nil)
			if err != nil {
				t.Fatal(err)
			}

			var all sync.WaitGroup
			start := time.Now()
			for i := range 8 { // two calls for each of the four slots
				all.Go(func() {
					err := svc.RecoverPassword(t.Context(), apiKey, fmt.Sprint("user", i/2))
					if !errors.Is(err, users.ErrUnavailable) || !errors.Is(err, errStore) {
						t.Errorf("%s hangs: got %v, want ErrUnavailable", hangs, err)
					}
				})
			}
			all.Wait()
			if took := time.Since(start); took > 11*time.Second {
				t.Errorf("%s hangs: took %v, want 10s", hangs, took)
			}

			hanging.Store(false)
			if err := svc.RecoverPassword(t.Context(), apiKey, "ann"); err != nil {
				t.Errorf("after %s hung: got %v, want none", hangs, err)
			}
			equal(t, "notifications", len(notifications(t, svc)), 1)

			hanging.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := svc.RecoverPassword(ctx, apiKey, "ann"); errors.Is(err, users.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s hangs: with a deadline of its own: got %v, want its context's error", hangs, err)
			}
		})
	}
}

// Who waits for another's call is not harmed by that one's end.
func TestRecoveryOutlivesTheCallThatItWaitedFor(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"canceled", "panic"} {
		synctest.Test(t, func(t *testing.T) {
			store := memstore.New()
			invite(t, newServiceOn(t, store, users.Options{}), "ann")
			panics := how == "panic"
			slow, _, _ := slowly(store)
			svc, err := users.New(storefake.Around(slow, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
				err := do()
				if m == storefake.FindUsers && panics {
					panics = false
					panic(errHost)
				}
				return err
			}), nil)
			if err != nil {
				t.Fatal(err)
			}

			ctx, cancel := context.WithCancel(t.Context())
			first, second := make(chan error, 1), make(chan error, 1)
			go func() {
				first <- recovered(func() error { return svc.RecoverPassword(ctx, apiKey, "ann") })
			}()
			synctest.Wait()
			go func() { second <- svc.RecoverPassword(t.Context(), apiKey, "ann") }()
			synctest.Wait()
			if how == "canceled" {
				cancel()
			}
			if err := <-first; !errors.Is(err, context.Canceled) && !errors.Is(err, errHost) {
				t.Errorf("%s: the first got %v", how, err)
			}
			if err := <-second; err != nil {
				t.Errorf("%s: the second got %v, want none", how, err)
			}
			cancel()
			equal(t, how+": notifications", len(notifications(t, svc)), 1)
		})
	}
}

// A store that does not wrap the context's error is answered with the canceled one no less.
func TestRecoveryIsNotHarmedByAnErrorOfWhoeverLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		invite(t, newServiceOn(t, store, users.Options{}), "ann")
		slow, _, _ := slowly(store)
		svc, err := users.New(storefake.Around(slow, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
			err := do()
			if m == storefake.FindUsers && ctx.Err() != nil {
				return errStore
			}
			return err
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- svc.RecoverPassword(ctx, apiKey, "ann") }()
		synctest.Wait()
		go func() { second <- svc.RecoverPassword(t.Context(), apiKey, "ann") }()
		synctest.Wait()
		cancel()
		<-first
		if err := <-second; err != nil {
			t.Errorf("the second got %v, want none", err)
		}
		equal(t, "notifications", len(notifications(t, svc)), 1)
	})
}

// What fails for one fails for all who asked for the same, also by a time-out that
// is the store's own.
func TestRecoveriesShareAFailure(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{errStore, fmt.Errorf("dial: %w", context.DeadlineExceeded), fmt.Errorf("pool: %w", context.Canceled)} {
		synctest.Test(t, func(t *testing.T) {
			store := memstore.New()
			newServiceOn(t, store, users.Options{})
			svc, looks, _ := slowService(t, storefake.Failing(store, failure, storefake.Enqueue))
			start := time.Now()
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if err := svc.RecoverPassword(t.Context(), apiKey, "nobody"); !errors.Is(err, failure) {
						t.Errorf("got %v, want %v", err, failure)
					}
				})
			}
			all.Wait()
			equal(t, "look-ups", looks.Load(), 1)
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("%v: took %v, want the time of one call", failure, took)
			}
		})
	}
}

// Callers who hang up hold up nobody who asks for the same login: the next in turn
// goes on, and no call waits for ever.
func TestRecoveryIsNotStarvedByCallersWhoHangUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		invite(t, newServiceOn(t, store, users.Options{}), "ann")
		svc, _, _ := slowService(t, store)
		var all sync.WaitGroup
		ask := func(patience time.Duration) {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := svc.RecoverPassword(ctx, apiKey, "ann"); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("who hangs up after %v: got %v, want the context's error", patience, err)
				}
			})
		}
		done := make(chan struct{})
		all.Go(func() {
			for {
				ask(1500 * time.Millisecond)
				select {
				case <-done:
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
		for range 10 {
			time.Sleep(10 * time.Second)
			start := time.Now()
			if err := svc.RecoverPassword(t.Context(), apiKey, "ann"); err != nil {
				t.Errorf("who waits: got %v, want none", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("who waits: got an answer after %v, want one when those before have hung up", took)
			}
		}
		close(done)
		all.Wait()
	})
}

// What is in front of a call may change again and again: it waits for 20 seconds.
func TestRecoveryWaitsForAnotherOneForAWhileOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := storefake.Around(memstore.New(), func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
			if m == storefake.FindApplication {
				time.Sleep(time.Minute) // whatever ctx says
			}
			return do()
		})
		svc, err := users.New(hangs, nil)
		if err != nil {
			t.Fatal(err)
		}
		var leader sync.WaitGroup
		leader.Go(func() { svc.RecoverPassword(t.Context(), apiKey, "ann") })
		synctest.Wait()
		start := time.Now()
		err = svc.RecoverPassword(t.Context(), apiKey, "ann")
		equal(t, "who waits for another call", class(err), "overloaded")
		if took := time.Since(start); took > 21*time.Second {
			t.Errorf("got it after %v, want 20 s", took)
		}
		leader.Wait()
	})
}
