package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
)

func TestAccountCreatedIsDeliveredWithoutToken(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	u := f.create(false)
	n := f.deliverOne()
	if n.Kind != users.KindAccountCreated || n.User.ID != u.ID || n.Application.APIKey != apiKey {
		t.Errorf("got %+v, want account_created for the user", n)
	}
	if !n.Token.IsZero() || !n.URL.IsZero() {
		t.Error("got a token or a link, want none")
	}
}

func TestSetPasswordIsDeliveredWithATokenThatWorks(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	u := f.create(true)
	n := f.deliverOne()
	if n.Kind != users.KindSetPassword || n.User.ID != u.ID || !n.Expires.After(time.Now()) {
		t.Errorf("got %+v, want set_password for the user", n)
	}
	token := n.Token.Reveal()
	if len(token) != 43 || n.URL.Reveal() != "https://example.com/#"+token {
		t.Errorf("got token %q and link %q, want 43 characters, which the link ends with", token, n.URL.Reveal())
	}
	if err := f.svc.SetPassword(t.Context(), apiKey, n.Token, password.New(passphrase)); err != nil {
		t.Errorf("the delivered token: got %v, want none", err)
	}
}

func TestDrainTwiceDeliversOnce(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.create(false)
	var got tally
	r := relay(t, f.svc, &got, outbox.Options{})
	drain(t, r)
	drain(t, r)
	got.eachOnce(t, 1)
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	bare := f.service(storefake.Without(f.store), nil)
	for name, tt := range map[string]struct {
		svc  *users.Service
		n    users.Notifier
		o    outbox.Options
		want string
	}{
		"no service":      {nil, &outbox.Recorder{}, outbox.Options{}, "service"},
		"no notifier":     {f.svc, nil, outbox.Options{}, "notifier"},
		"no outbox":       {bare, &outbox.Recorder{}, outbox.Options{}, "OutboxStore"},
		"few attempts":    {f.svc, &outbox.Recorder{}, outbox.Options{MaxAttempts: 7}, "MaxAttempts"},
		"short lease":     {f.svc, &outbox.Recorder{}, outbox.Options{Lease: time.Second, Timeout: time.Second}, "Lease"},
		"no margin":       {f.svc, &outbox.Recorder{}, outbox.Options{Lease: 30*time.Second + time.Millisecond, Timeout: 30 * time.Second}, "Lease"},
		"endless timeout": {f.svc, &outbox.Recorder{}, outbox.Options{Timeout: 1<<63 - 1}, "Lease"},
		"negative":        {f.svc, &outbox.Recorder{}, outbox.Options{Poll: -1}, "Poll"},
		"minus 1 kept":    {f.svc, &outbox.Recorder{}, outbox.Options{KeepDiscarded: -1}, "KeepDiscarded"},
		"minus 1 workers": {f.svc, &outbox.Recorder{}, outbox.Options{Workers: -1}, "Workers"},
		"all negative": {f.svc, &outbox.Recorder{}, outbox.Options{
			Timeout: -1, Lease: -1, MaxAttempts: -1, Poll: -1, PurgeEvery: -1, KeepDiscarded: -1,
		}, "Timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := outbox.New(tt.svc, tt.n, &tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error about %q", err, tt.want)
			}
		})
	}
}

func TestRelayFindsTheOutboxOfAWrappedStore(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.create(true)
	var got tally
	drain(t, relay(t, f.service(storefake.Wrapped(f.store), nil), &got, outbox.Options{}))
	got.eachOnce(t, 1)
	f.noRows()
}

func TestFourRelaysShareTenThousandRowsAndSendNoneTwice(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	const rows = 10_000
	for range rows {
		f.create(false)
	}

	var got tally
	var wg sync.WaitGroup
	for i := range 4 {
		skew := time.Duration(i) * 5 * time.Minute / 3 // the clocks of the processes
		svc := f.service(f.store, func() time.Time { return time.Now().Add(skew) })
		r := relay(t, svc, &got, outbox.Options{})
		wg.Go(func() { drain(t, r) })
	}
	wg.Wait()
	got.eachOnce(t, rows)
	f.noRows()
}

func TestNotificationOfAProcessWhoseClockIsWrongIsDueAtOnce(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			f := setUp(t)
			f.svc = f.service(f.store, func() time.Time { return time.Now().Add(skew) })
			f.create(false)
			var got tally
			drain(t, relay(t, f.svc, &got, outbox.Options{}))
			got.eachOnce(t, 1)
		})
	}
}

func TestRunFinishesWhatItDeliversAndReleasesTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 30 {
			f.create(false)
		}
		var delivered atomic.Int32
		n := users.NotifierFunc(func(ctx context.Context, _ users.Notification) error {
			time.Sleep(5 * time.Second)
			if err := ctx.Err(); err != nil {
				return err
			}
			delivered.Add(1)
			return nil
		})
		stop := run(relay(t, f.svc, n, outbox.Options{Workers: 8})) // of which an application has half
		time.Sleep(time.Second)
		start := time.Now()
		stop()
		if took := time.Since(start); took != 4*time.Second || delivered.Load() != 4 {
			t.Errorf("got %d delivered after %v, want the 4 that had begun after 4 s", delivered.Load(), took)
		}

		for _, row := range f.rows() {
			if row.Attempts != 0 {
				t.Errorf("got %+v, want no attempt counted for what was not begun", row)
			}
		}
		var rest tally
		drain(t, relay(t, f.svc, &rest, outbox.Options{}))
		rest.eachOnce(t, 26)
	})
}

func TestRunPurgesWhatHasExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		u := f.create(false)
		if _, err := f.svc.IssueSetPasswordToken(t.Context(), apiKey, u.ID); err != nil {
			t.Fatal(err)
		}
		stop := run(relay(t, f.svc, &outbox.Recorder{}, outbox.Options{Poll: time.Hour}))
		time.Sleep(outbox.DefaultPurgeEvery + 24*time.Hour + users.RecoveryWindow)
		stop()
		if n, err := f.svc.Purge(t.Context(), 10); err != nil || n != 0 {
			t.Errorf("left to purge: got %d, %v, want none", n, err)
		}
	})
}

// Processes that are started together do not all purge at once.
func TestTheFirstPurgeIsAtARandomTime(t *testing.T) {
	t.Parallel()
	for _, random := range []float64{0.25, 0.75} {
		synctest.Test(t, func(t *testing.T) {
			f := setUp(t)
			start := time.Now()
			var purged []time.Duration
			svc := f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
				if m == storefake.Purge {
					purged = append(purged, time.Since(start))
				}
				return do()
			})
			stop := run(relay(t, svc, &outbox.Recorder{}, outbox.Options{
				PurgeEvery: time.Hour, Poll: time.Hour, Rand: func() float64 { return random },
			}))
			time.Sleep(2 * time.Hour)
			stop()
			first := time.Duration(random * float64(time.Hour))
			if want := []time.Duration{first, first + time.Hour}; !slices.Equal(purged, want) {
				t.Errorf("with %v of 1: purged after %v, want %v", random, purged, want)
			}
		})
	}
}

func TestWhatIsDeliveredIsNotLogged(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.create(true)
	var log bytes.Buffer
	drain(t, relay(t, f.svc, &outbox.Recorder{}, outbox.Options{Logger: logTo(&log)}))
	if log.Len() > 0 {
		t.Errorf("got %s, want nothing", &log)
	}
}

func TestDrainEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		n := users.NotifierFunc(func(ctx context.Context, _ users.Notification) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := relay(t, f.svc, n, outbox.Options{}).Drain(ctx)
		if took := time.Since(start); took != 3*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v after %v, want the context's error after 3 s", err, took)
		}
		f.onlyRow(users.StatePending)
	})
}

// The context ends while the claim runs that would have been the last.
func TestDrainOfAnEmptyOutboxEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	ctx, cancel := context.WithCancel(t.Context())
	var claims atomic.Int32
	svc := f.around(func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.Claim && claims.Add(1) == 1 {
			cancel()
			return ctx.Err()
		}
		return do()
	})
	err := relay(t, svc, &outbox.Recorder{}, outbox.Options{}).Drain(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// What becomes due while the last job runs is delivered, though a claim found
// nothing meanwhile.
func TestDrainLooksAgainAfterTheLastSettlement(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.create(false)
	var claims atomic.Int32
	second := make(chan struct{})
	svc := f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		err := do()
		if m == storefake.Claim && claims.Add(1) == 2 {
			close(second)
		}
		return err
	})
	var delivered atomic.Int32
	n := users.NotifierFunc(func(context.Context, users.Notification) error {
		if delivered.Add(1) == 1 {
			<-second
			f.create(false)
		}
		return nil
	})
	drain(t, relay(t, svc, n, outbox.Options{Workers: 2}))
	f.noRows()
	if got := delivered.Load(); got != 2 {
		t.Errorf("delivered: got %d, want 2", got)
	}
}

func TestDrainReturnsTheStoresError(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	svc := f.service(storefake.Failing(f.store, users.ErrUnavailable, storefake.Claim), nil)
	err := relay(t, svc, &outbox.Recorder{}, outbox.Options{}).Drain(t.Context())
	if !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}
