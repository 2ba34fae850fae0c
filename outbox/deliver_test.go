package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
)

func TestFailedAttemptsBackOffUntilDiscarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		n := &attempts{err: always(errors.New("mail server: no"))}
		var log bytes.Buffer
		stop := run(relay(t, f.svc, n, outbox.Options{MaxAttempts: 8, Logger: logTo(&log)}))
		time.Sleep(3 * time.Hour)
		stop()

		want := []time.Duration{1, 4, 16, 64, 256, 1024, 1800}
		waits := n.waits()
		if len(waits) != len(want) {
			t.Fatalf("got waits %v, want one before each of %d more attempts", waits, len(want))
		}
		for i, got := range waits {
			if w := want[i] * time.Second; got < w || got > w+outbox.DefaultPoll {
				t.Errorf("wait after attempt %d: got %v, want %v", i+1, got, w)
			}
		}
		row := f.onlyRow(users.StateDiscarded)
		if row.LastError != "mail server: no" || row.Attempts != 8 {
			t.Errorf("got %+v, want the last error and 8 attempts", row)
		}
		line := `level=ERROR msg="outbox: notification discarded" notificationId=` + row.ID
		if failures := strings.Count(log.String(), `msg="outbox: delivery failed"`); failures != 7 || !strings.Contains(log.String(), line) {
			t.Errorf("log: got %q, want 7 lines about failures and one with %q", log.String(), line)
		}
	})
}

func TestFinalErrorIsDiscardedAtOnceWithItsReason(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(error) error{
		"as it is": func(err error) error { return err },
		"wrapped":  func(err error) error { return fmt.Errorf("mail: %w", err) },
		"joined":   func(err error) error { return errors.Join(errors.New("two"), err) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t)
			f.create(true)
			n := &attempts{err: func(n users.Notification) error {
				return wrap(outbox.Discard(errors.New("550 no such mailbox for " + n.Token.Reveal())))
			}}
			var log bytes.Buffer
			r := relay(t, f.svc, n, outbox.Options{Logger: logTo(&log)})
			drain(t, r)
			drain(t, r)

			row := f.onlyRow(users.StateDiscarded)
			if row.Attempts != 1 || !strings.Contains(row.LastError, "550 no such mailbox for [removed]") || len(n.All()) != 1 {
				t.Errorf("got %+v after %d calls, want the reason after one", row, len(n.All()))
			}
			if !strings.Contains(log.String(), `level=ERROR msg="outbox: notification discarded" notificationId=`+row.ID) {
				t.Errorf("log: got %q, want an error about the row", log.String())
			}
		})
	}
}

func TestDeliveryThatWasNotBegunCostsNoAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(true)
		n := &attempts{err: always(fmt.Errorf("mail: %w", outbox.Release(errors.New("busy"))))}
		var log bytes.Buffer
		stop := run(relay(t, f.svc, n, outbox.Options{MaxAttempts: 8, Logger: logTo(&log)}))
		time.Sleep(24*time.Hour + time.Millisecond)
		row := f.onlyRow(users.StatePending)
		if row.Attempts != 0 || row.LastError != "mail: busy" {
			t.Errorf("got %+v, want a row without attempts", row)
		}
		// Each one leaves a token.
		if calls := len(n.All()); calls < 24 || calls > 64 {
			t.Errorf("got %d calls in a day, want 24 to 64", calls)
		}
		least := outbox.MinBackoff
		for i, wait := range n.waits() {
			if i == 0 && wait > 2*least || wait < least || wait > outbox.MaxBackoff {
				t.Errorf("wait %d: got %v, want waits that grow from %v to %v", i, wait, outbox.MinBackoff, outbox.MaxBackoff)
			}
			least = wait - time.Millisecond
		}

		n.answer(nil)
		time.Sleep(outbox.MaxBackoff)
		stop()
		f.noRows()
		if !strings.Contains(log.String(), `level=INFO msg="outbox: delivery postponed"`) || strings.Contains(log.String(), "WARN") {
			t.Errorf("log: got %q, want lines about what was postponed and no warning", log.String())
		}
	})
}

func TestVerdictsAboutNothingAreNil(t *testing.T) {
	t.Parallel()
	if err := outbox.Discard(nil); err != nil {
		t.Errorf("Discard: got %v, want nil", err)
	}
	if err := outbox.Release(nil); err != nil {
		t.Errorf("Release: got %v, want nil", err)
	}
}

func TestVerdictKeepsTheError(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(error) error{"Discard": outbox.Discard, "Release": outbox.Release} {
		if err := f(context.Canceled); !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
			t.Errorf("%s: got %v, want the error that it was given inside", name, err)
		}
	}
}

func TestRepeatsHaveTheSameID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(true)
		n := &attempts{err: always(errors.New("no"))}
		stop := run(relay(t, f.svc, n, outbox.Options{}))
		time.Sleep(time.Minute)
		stop()
		all := n.All()
		if len(all) < 3 {
			t.Fatalf("got %d attempts, want at least 3", len(all))
		}
		for _, got := range all[1:] {
			if got.ID != all[0].ID {
				t.Errorf("id of a repeat: got %s, want %s", got.ID, all[0].ID)
			}
		}
	})
}

func TestRetryNotificationStartsADiscardedOneAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		n := &attempts{err: always(errors.New("no"))}
		stop := run(relay(t, f.svc, n, outbox.Options{MaxAttempts: 8}))
		time.Sleep(3 * time.Hour)
		n.answer(nil)
		if err := f.svc.RetryNotification(t.Context(), apiKey, f.onlyRow(users.StateDiscarded).ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		stop()
		f.noRows()
		if got := len(n.All()); got != 9 {
			t.Errorf("got %d attempts, want 9", got)
		}
	})
}

func TestJitterStaysBetweenOneSecondAndOneHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		n := &attempts{err: always(errors.New("no"))}
		r, err := outbox.New(f.svc, n, &outbox.Options{MaxAttempts: 12})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(r)
		time.Sleep(10 * time.Hour)
		stop()
		for i, got := range n.waits() {
			if got < time.Second || got > time.Hour+outbox.DefaultPoll {
				t.Errorf("wait after attempt %d: got %v, want 1 s to 1 h", i+1, got)
			}
		}
		if got := len(n.All()); got != 12 {
			t.Errorf("got %d attempts, want 12", got)
		}
	})
}

func TestSetPasswordWithoutURLSaysSo(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.create(true)
	r, err := outbox.New(f.svc, &outbox.Recorder{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	drain(t, r)
	if row := f.onlyRow(users.StatePending); !strings.Contains(row.LastError, "Options.SetPasswordURL") {
		t.Errorf("got %+v, want an error that names Options.SetPasswordURL", row)
	}
}

func TestDisabledApplicationsWaitWithoutLosingAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		store := &switchable{Store: f.store}
		store.disabled.Store(true)
		var got outbox.Recorder
		stop := run(relay(t, f.service(store, nil), &got, outbox.Options{MaxAttempts: 8}))
		time.Sleep(24*time.Hour + time.Minute) // between two looks at it
		if row := f.onlyRow(users.StatePending); row.Attempts != 0 || len(got.All()) != 0 {
			t.Errorf("got %+v, want a row without attempts", row)
		}

		store.disabled.Store(false)
		time.Sleep(time.Hour)
		stop()
		if len(got.All()) != 1 {
			t.Errorf("enabled again: got %d delivered, want 1", len(got.All()))
		}
	})
}

func TestDisabledApplicationNeverWaitsBeyondTheMaximum(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		store := &switchable{Store: f.store}
		store.disabled.Store(true)
		var waits []time.Duration
		svc := f.service(storefake.Around(store, func(_ context.Context, m storefake.Method, arg any, do func() error) error {
			if m == storefake.Settle {
				waits = append(waits, arg.(users.Settlement).RetryIn)
			}
			return do()
		}), nil)
		last := 1 - 1e-9
		stop := run(relay(t, svc, &outbox.Recorder{}, outbox.Options{Rand: func() float64 { return last }}))
		time.Sleep(5*time.Hour - time.Minute) // not when one is due: what a stop releases waits for nothing
		stop()
		if len(waits) < 4 {
			t.Fatalf("got waits %v, want one in each hour at least", waits)
		}
		for _, got := range waits {
			if got <= outbox.MaxBackoff/2 || got > outbox.MaxBackoff {
				t.Errorf("wait: got %v, want more than half of %v and at most that", got, outbox.MaxBackoff)
			}
		}
	})
}

// switchable is a store whose applications can be disabled.
type switchable struct {
	*memstore.Store
	disabled atomic.Bool
}

func (s *switchable) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	a, err := s.Store.FindApplication(ctx, q)
	a.Disabled = s.disabled.Load()
	return a, err
}

func TestUnavailableStoreCostsNoAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		var back atomic.Bool
		svc := f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
			if m == storefake.FindUsers && !back.Load() {
				return users.ErrUnavailable
			}
			return do()
		})
		var got outbox.Recorder
		var log bytes.Buffer
		stop := run(relay(t, svc, &got, outbox.Options{MaxAttempts: 8, Logger: logTo(&log)}))
		time.Sleep(24*time.Hour + time.Millisecond) // between two looks at it
		if row := f.onlyRow(users.StatePending); row.Attempts != 0 || !strings.Contains(row.LastError, "unavailable") {
			t.Errorf("got %+v, want a row with the reason and without attempts", row)
		}
		if !strings.Contains(log.String(), `msg="outbox: prepare failed"`) {
			t.Error("no line of the log says that the store failed")
		}

		back.Store(true)
		time.Sleep(time.Minute)
		stop()
		if len(got.All()) != 1 {
			t.Errorf("available again: got %d delivered, want 1", len(got.All()))
		}
	})
}

// A read may lag behind the write that queued the notification (a replica, a
// cluster's other node), so what is not found may be there the next time.
func TestNotificationWhoseUserIsNotVisibleYetIsTriedAgain(t *testing.T) {
	t.Parallel()
	for method, missing := range map[storefake.Method]error{
		storefake.FindUsers:       users.ErrNotFound,
		storefake.FindApplication: users.ErrUnknownApplication,
	} {
		t.Run(missing.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setUp(t)
				f.create(false)
				f.create(true)
				var visible atomic.Bool
				svc := f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
					if m == method && !visible.Load() {
						return missing
					}
					return do()
				})
				var got outbox.Recorder
				stop := run(relay(t, svc, &got, outbox.Options{}))
				defer stop()

				time.Sleep(time.Second / 2)
				for _, row := range f.rows(users.StatePending) {
					if row.Attempts != 1 || !strings.Contains(row.LastError, missing.Error()) {
						t.Errorf("got %+v, want a failed attempt with its reason", row)
					}
				}
				if n := len(f.rows()); n != 2 {
					t.Errorf("got %d rows left, want 2", n)
				}

				visible.Store(true)
				time.Sleep(time.Minute)
				f.noRows()
				if n := len(got.All()); n != 2 {
					t.Errorf("visible: got %d delivered, want 2", n)
				}
			})
		})
	}
}

func TestNotificationWhoseUserStaysAwayIsDiscarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		svc := f.service(forgetful{f.store}, nil)
		var got outbox.Recorder
		stop := run(relay(t, svc, &got, outbox.Options{MaxAttempts: 8}))
		time.Sleep(time.Hour)
		stop()
		if row := f.onlyRow(users.StateDiscarded); !strings.Contains(row.LastError, "the user: users: not found") {
			t.Errorf("got %+v, want a reason that names the user", row)
		}
		if n := len(got.All()); n != 0 {
			t.Errorf("got %d delivered, want none", n)
		}
	})
}

// forgetful is a store that knows no user any more.
type forgetful struct{ *memstore.Store }

func (forgetful) FindUsers(context.Context, users.UserQuery) ([]users.UserRecord, error) {
	return nil, nil
}

// host is code of a host's, all around the relay.
type host struct {
	store  storefake.Interceptor
	now    func() time.Time
	notify func() error
	url    func()
	logger *slog.Logger
	rand   func() float64
}

// survives checks that three users get their messages within an hour beside h.
func survives(t *testing.T, h host) {
	f := setUp(t)
	for range 3 {
		f.create(true)
	}
	var store users.Store = f.store
	if h.store != nil {
		store = storefake.Around(store, h.store)
	}
	var got outbox.Recorder
	n := users.NotifierFunc(func(ctx context.Context, n users.Notification) error {
		if h.notify != nil {
			if err := h.notify(); err != nil {
				return err
			}
		}
		return got.Notify(ctx, n)
	})
	url := func(a users.Application, token string) string {
		if h.url != nil {
			h.url()
		}
		return link(a, token)
	}
	stop := run(relay(t, f.service(store, h.now), n, outbox.Options{SetPasswordURL: url, Logger: h.logger, Rand: h.rand}))
	time.Sleep(time.Hour)
	stop()
	f.noRows()
	if len(got.All()) != 3 {
		t.Errorf("got %d delivered, want 3", len(got.All()))
	}
}

// once returns a function that runs f the first time it is called.
func once(f func() error) func() error {
	var n atomic.Int32
	return func() error {
		if n.Add(1) == 1 {
			return f()
		}
		return nil
	}
}

func panics() error { panic("boom") }

// breaks returns an Interceptor with f before the first call of m.
func breaks(m storefake.Method, f func() error) storefake.Interceptor {
	first := once(f)
	return func(_ context.Context, called storefake.Method, _ any, do func() error) error {
		if called == m {
			if err := first(); err != nil {
				return err
			}
		}
		return do()
	}
}

func TestPanicsAndErrorsOfTheHostCostAtMostOneAttempt(t *testing.T) {
	t.Parallel()
	fails := func() error { return users.ErrUnavailable }
	panicsOnce := once(panics)
	for name, h := range map[string]host{
		"Notifier panics":          {notify: once(panics)},
		"Notifier ends goroutine":  {notify: once(func() error { runtime.Goexit(); return nil })},
		"Notifier's error panics":  {notify: once(func() error { return (*badError)(nil) })},
		"SetPasswordURL panics":    {url: func() { _ = panicsOnce() }},
		"Claim panics":             {store: breaks(storefake.Claim, panics)},
		"Claim fails":              {store: breaks(storefake.Claim, fails)},
		"Claim's error panics":     {store: breaks(storefake.Claim, func() error { return (*badError)(nil) })},
		"Settle panics":            {store: breaks(storefake.Settle, panics)},
		"Settle fails":             {store: breaks(storefake.Settle, fails)},
		"Settle's error panics":    {store: breaks(storefake.Settle, func() error { return (*badError)(nil) })},
		"FindUsers panics":         {store: breaks(storefake.FindUsers, panics)},
		"FindUsers fails":          {store: breaks(storefake.FindUsers, fails)},
		"FindUsers's error panics": {store: breaks(storefake.FindUsers, func() error { return (*badError)(nil) })},
		"CreateToken panics":       {store: breaks(storefake.CreateToken, panics)},
		"Purge panics":             {store: breaks(storefake.Purge, panics)},
		"clock panics":             {now: clock(once(panics))},
		"Logger panics":            {notify: once(panics), logger: slog.New(panicking{slog.DiscardHandler})},
		"Rand panics":              {notify: once(panics), rand: func() float64 { panic("no number") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { survives(t, h) })
		})
	}
}

// clock returns a clock that runs f first.
func clock(f func() error) func() time.Time {
	return func() time.Time { _ = f(); return time.Now() }
}

// badError panics where its methods are called on nil.
type badError struct{ text string }

func (e *badError) Error() string { return e.text }

func (e *badError) Is(error) bool { return e.text == "" }

// panicking is a slog.Handler of the host's that panics.
type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool { return true }

func (panicking) Handle(_ context.Context, r slog.Record) error { panic("log: " + r.Message) }

// A user that is deleted gets nothing from then on: neither what waits, nor what a relay
// holds, before or after it read the user for its token.
func TestDeletedUserGetsNoMail(t *testing.T) {
	t.Parallel()
	for _, at := range []storefake.Method{storefake.Claim, storefake.FindApplication, storefake.FindUsers, storefake.CreateToken} {
		f := setUp(t)
		u := f.create(true)
		var claimed, deleted atomic.Bool
		svc := f.around(func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
			if m == storefake.Claim {
				claimed.Store(true)
			}
			if m == at && claimed.Load() && deleted.CompareAndSwap(false, true) { // before the relay's call of it
				if err := f.svc.DeleteUser(context.WithoutCancel(ctx), apiKey, u.ID, 0); err != nil {
					t.Error(err)
				}
			}
			return do()
		})
		n := &attempts{err: always(nil)}
		drain(t, relay(t, svc, n, outbox.Options{}))
		if !deleted.Load() || len(n.All()) > 0 {
			t.Errorf("deleted before %s (%t): got %v, want no notification", at, deleted.Load(), n.All())
		}
		f.noRows()
	}
}
