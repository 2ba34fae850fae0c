package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
)

const apiKey = "acme"

// fixture is a Service with an application on a memstore.
type fixture struct {
	t     testing.TB
	store *memstore.Store
	svc   *users.Service
	made  int
}

func setUp(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, store: memstore.New()}
	f.svc = f.service(f.store, nil)
	if _, err := f.svc.CreateApplication(t.Context(), users.Application{APIKey: apiKey}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) service(store users.Store, now func() time.Time) *users.Service {
	f.t.Helper()
	svc, err := users.New(store, &users.Options{Hasher: password.InsecureForTests(), Now: now})
	if err != nil {
		f.t.Fatal(err)
	}
	return svc
}

// create adds a user who is sent a link, or only told.
func (f *fixture) create(link bool) *users.User {
	f.t.Helper()
	f.made++
	p := users.CreateUserParams{
		UserName: fmt.Sprintf("user%d", f.made), Email: fmt.Sprintf("user%d@example.com", f.made),
		AutoCreatePassword: link, SendEmailNotification: true,
	}
	if !link {
		p.Password = password.New("lime hat under 4 umbrellas")
		p.ConfirmPassword = p.Password
	}
	u, err := f.svc.Create(f.t.Context(), apiKey, p)
	if err != nil {
		f.t.Fatal(err)
	}
	return u
}

func (f *fixture) rows(states ...string) []users.OutboxRow {
	f.t.Helper()
	rows, err := f.svc.Notifications(context.Background(), apiKey, users.NotificationQuery{States: states})
	if err != nil {
		f.t.Fatal(err)
	}
	return rows
}

func link(_ users.Application, token string) string { return "https://example.com/#" + token }

// relay makes a Relay without jitter whose links are those of link.
func relay(t testing.TB, svc *users.Service, n users.Notifier, o outbox.Options) *outbox.Relay {
	t.Helper()
	if o.SetPasswordURL == nil {
		o.SetPasswordURL = link
	}
	o.Rand = func() float64 { return 0 }
	r, err := outbox.New(svc, n, &o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func drain(t testing.TB, r *outbox.Relay) {
	t.Helper()
	if err := r.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// run runs r until the returned function is called.
func run(r *outbox.Relay) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	return func() { cancel(); <-done }
}

func TestDeliversWhatCreateWrote(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	told, asked := f.create(false), f.create(true)
	var got outbox.Recorder
	r := relay(t, f.svc, &got, outbox.Options{})
	drain(t, r)
	drain(t, r)
	byUser := map[string]users.Notification{}
	for _, n := range got.All() {
		byUser[n.User.ID] = n
	}
	if len(got.All()) != 2 || len(f.rows()) != 0 {
		t.Fatalf("got %d messages and %d rows, want 2 and none", len(got.All()), len(f.rows()))
	}
	if n := byUser[told.ID]; n.Kind != users.KindAccountCreated || n.Token != "" || n.URL != "" || n.Application.APIKey != apiKey {
		t.Errorf("got %+v, want account_created without a token", n)
	}
	if n := byUser[asked.ID]; n.Kind != users.KindSetPassword || len(n.Token) != 43 || n.URL != "https://example.com/#"+n.Token || !n.Expires.After(time.Now()) {
		t.Errorf("got %+v, want set_password with token and link", n)
	} else if err := f.svc.SetPassword(t.Context(), apiKey, n.Token, password.New("lime hat under 4 umbrellas")); err != nil {
		t.Errorf("the delivered token: got %v, want none", err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	bare := f.service(struct{ users.Store }{f.store}, nil)
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
		"negative":        {f.svc, &outbox.Recorder{}, outbox.Options{Poll: -1}, "Poll"},
		"minus 1 workers": {f.svc, &outbox.Recorder{}, outbox.Options{Workers: -1}, "Workers"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := outbox.New(tt.svc, tt.n, &tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error about %q", err, tt.want)
			}
		})
	}
}

// failing keeps when it was called and with what, and answers as err says.
type failing struct {
	outbox.Recorder
	mu    sync.Mutex
	times []time.Time
	err   func(n users.Notification) error
}

func (f *failing) Notify(ctx context.Context, n users.Notification) error {
	f.mu.Lock()
	f.times = append(f.times, time.Now())
	err := f.err
	f.mu.Unlock()
	_ = f.Recorder.Notify(ctx, n)
	if err == nil {
		return nil
	}
	return err(n)
}

func TestFailedAttemptsBackOffUntilAbandonedAndRetryStartsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		n := &failing{err: func(users.Notification) error { return errors.New("mail server: no") }}
		var log bytes.Buffer
		r := relay(t, f.svc, n, outbox.Options{MaxAttempts: 8, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		stop := run(r)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		want := []time.Duration{time.Second, 4 * time.Second, 16 * time.Second, 64 * time.Second, 256 * time.Second, 1024 * time.Second, 1800 * time.Second}
		if len(n.times) != 8 {
			t.Fatalf("got %d attempts, want 8", len(n.times))
		}
		for i, w := range want {
			if got := n.times[i+1].Sub(n.times[i]); got < w || got > w+outbox.DefaultPoll {
				t.Errorf("wait after attempt %d: got %v, want %v", i+1, got, w)
			}
		}
		for _, got := range n.All() {
			if got.ID != n.All()[0].ID {
				t.Errorf("id of a repeat: got %s, want %s", got.ID, n.All()[0].ID)
			}
		}
		rows := f.rows(users.StateAbandoned)
		if len(rows) != 1 || rows[0].LastError != "mail server: no" || rows[0].Attempts != 8 {
			t.Fatalf("got %+v, want one abandoned row with its last error", rows)
		}
		if !strings.Contains(log.String(), "level=ERROR msg=\"outbox: notification abandoned\" notification="+rows[0].ID) {
			t.Errorf("log: got %q, want a line about the abandoned notification", log.String())
		}
		n.mu.Lock()
		n.err = nil
		n.mu.Unlock()
		if err := f.svc.RetryNotification(t.Context(), apiKey, rows[0].ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		stop()
		if len(n.times) != 9 || len(f.rows()) != 0 {
			t.Errorf("after RetryNotification: got %d attempts and rows %+v, want 9 and none", len(n.times), f.rows())
		}
	})
}

func TestJitterStaysBetweenOneSecondAndOneHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		n := &failing{err: func(users.Notification) error { return errors.New("no") }}
		r, err := outbox.New(f.svc, n, &outbox.Options{MaxAttempts: 12})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(r)
		time.Sleep(10 * time.Hour)
		stop()
		for i := range len(n.times) - 1 {
			if got := n.times[i+1].Sub(n.times[i]); got < time.Second || got > time.Hour+outbox.DefaultPoll {
				t.Errorf("wait after attempt %d: got %v, want 1 s to 1 h", i+1, got)
			}
		}
		if len(n.times) != 12 {
			t.Errorf("got %d attempts, want 12", len(n.times))
		}
	})
}

func TestFourRelaysShareTenThousandRowsAndSendNoneTwice(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	const rows = 10_000
	for range rows {
		f.create(false)
	}
	var mu sync.Mutex
	seen := make(map[string]int, rows)
	n := users.NotifierFunc(func(_ context.Context, n users.Notification) error {
		mu.Lock()
		defer mu.Unlock()
		seen[n.ID]++
		return nil
	})
	var wg sync.WaitGroup
	for i := range 4 {
		skew := time.Duration(i) * 5 * time.Minute / 3 // the clocks of the processes
		svc := f.service(f.store, func() time.Time { return time.Now().Add(skew) })
		r := relay(t, svc, n, outbox.Options{})
		wg.Go(func() { drain(t, r) })
	}
	wg.Wait()
	if len(seen) != rows || len(f.rows()) != 0 {
		t.Fatalf("got %d delivered and %d left, want %d and none", len(seen), len(f.rows()), rows)
	}
	for id, times := range seen {
		if times != 1 {
			t.Fatalf("row %s: delivered %d times, want once", id, times)
		}
	}
}

func TestNotificationOfAProcessWhoseClockIsWrongIsDueAtOnce(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	var got outbox.Recorder
	for i, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		f.svc = f.service(f.store, func() time.Time { return time.Now().Add(skew) })
		f.create(false)
		drain(t, relay(t, f.svc, &got, outbox.Options{}))
		if len(got.All()) != i+1 {
			t.Errorf("clock off by %v: got %d delivered, want %d", skew, len(got.All()), i+1)
		}
	}
}

func TestNotifierThatNeverReturnsTakesItsSlotUntilTimeout(t *testing.T) {
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
		began := time.Now()
		f.create(false) // Create waits for nothing
		if took := time.Since(began); took != 0 {
			t.Errorf("Create took %v, want no time", took)
		}
		time.Sleep(13 * time.Second)
		synctest.Wait()
		if len(got.All()) != 1 {
			t.Errorf("others delivered: got %d, want 1", len(got.All()))
		}
		rows := f.rows()
		if len(rows) != 1 || !strings.Contains(rows[0].LastError, "ignores") {
			t.Errorf("got %+v, want the blocked row with its error", rows)
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
		if left := f.rows(); len(left) != 0 {
			t.Errorf("rows left once the notifier answers: got %d, want none", len(left))
		}
	})
}

func TestDeliveryThatOutlivesItsLeaseIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		first := make(chan struct{})
		var calls atomic.Int32
		n := users.NotifierFunc(func(ctx context.Context, _ users.Notification) error {
			if calls.Add(1) == 1 {
				<-first
			}
			return errors.New("no")
		})
		// The outcome of the first delivery can be stored only when the lease is gone.
		slow := &hooked{Store: f.store}
		slow.settle = func() error {
			if calls.Load() == 1 {
				time.Sleep(time.Minute)
			}
			return nil
		}
		var log bytes.Buffer
		a := relay(t, f.service(slow, nil), n, outbox.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		b := relay(t, f.svc, n, outbox.Options{})
		stop := run(a)
		time.Sleep(time.Second)
		close(first)
		time.Sleep(50 * time.Second) // the lease of 45 s is over
		drain(t, b)
		before := f.rows()
		time.Sleep(30 * time.Second)
		stop()
		if calls.Load() < 2 || len(before) != 1 || before[0].LastError != "no" {
			t.Fatalf("got %d calls and %+v, want a second delivery by the other relay", calls.Load(), before)
		}
		if !strings.Contains(log.String(), "the lease was lost") {
			t.Errorf("log: got %q, want that the outcome was dropped", log.String())
		}
	})
}

// The late outcome of an earlier lease does not pass for that of a later one,
// even if one relay held both.
func TestLateOutcomeDoesNotSettleTheNextLeaseOfTheSameRelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		var calls, settled atomic.Int32
		n := users.NotifierFunc(func(context.Context, users.Notification) error {
			if calls.Add(1) == 1 {
				return nil
			}
			time.Sleep(25 * time.Second)
			return errors.New("the second")
		})
		slow := &hooked{Store: f.store}
		slow.settle = func() error {
			if settled.Add(1) == 1 {
				time.Sleep(time.Minute) // the lease ends after 45 s
			}
			return nil
		}
		stop := run(relay(t, f.service(slow, nil), n, outbox.Options{}))
		time.Sleep(65 * time.Second)
		if rows := f.rows(); len(rows) != 1 || calls.Load() != 2 {
			t.Errorf("got %+v and %d calls, want the row of the second lease", rows, calls.Load())
		}
		stop()
		if rows := f.rows(); len(rows) != 1 || rows[0].LastError != "the second" {
			t.Errorf("got %+v, want the outcome of the second lease", rows)
		}
	})
}

// A relay that was fast claims many rows at a time. When it becomes slow it
// gives back what would outlive its lease here, and nothing is sent twice.
func TestRowsThatWaitTooLongAreGivenBackAndNotSentTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 300 {
			f.create(false)
		}
		var mu sync.Mutex
		seen := map[string]int{}
		n := users.NotifierFunc(func(_ context.Context, n users.Notification) error {
			mu.Lock()
			seen[n.ID]++
			slow := len(seen) > 100
			mu.Unlock()
			if slow {
				time.Sleep(9 * time.Second)
			}
			return nil
		})
		o := outbox.Options{Workers: 2, Timeout: 10 * time.Second, Lease: 20 * time.Second}
		stopA, stopB := run(relay(t, f.svc, n, o)), run(relay(t, f.svc, n, o))
		time.Sleep(time.Hour)
		stopA()
		stopB()
		for id, times := range seen {
			if times != 1 {
				t.Fatalf("row %s: delivered %d times, want once", id, times)
			}
		}
		if len(seen) != 300 || len(f.rows()) != 0 {
			t.Errorf("got %d delivered and %d left, want 300 and none", len(seen), len(f.rows()))
		}
	})
}

// hooked is a memstore whose outbox breaks as told.
type hooked struct {
	*memstore.Store
	claim, settle func() error
	find          func()
}

func (h *hooked) Claim(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
	if h.claim != nil {
		if err := h.claim(); err != nil {
			return nil, err
		}
	}
	return h.Store.Claim(ctx, c)
}

func (h *hooked) Settle(ctx context.Context, s users.Settlement) error {
	if h.settle != nil {
		if err := h.settle(); err != nil {
			return err
		}
	}
	return h.Store.Settle(context.WithoutCancel(ctx), s) // a call that was slow on its way
}

func (h *hooked) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	if h.find != nil {
		h.find()
	}
	return h.Store.FindUsers(ctx, q)
}

func TestPanicsAndErrorsCostOneAttemptAndHarmNoOther(t *testing.T) {
	t.Parallel()
	type broken struct {
		store  func(*hooked)
		now    func() time.Time
		notify func() error
		url    func()
	}
	once := func(f func()) func() {
		var n atomic.Int32
		return func() {
			if n.Add(1) == 1 {
				f()
			}
		}
	}
	boom := func() { panic("boom") }
	orNil := func(f func()) func() error { return func() error { f(); return nil } }
	var nilErr *typedNil
	for name, b := range map[string]broken{
		"Notifier panics":         {notify: orNil(once(boom))},
		"Notifier ends goroutine": {notify: orNil(once(runtime.Goexit))},
		"Notifier's error panics": {notify: func() func() error {
			var n atomic.Int32
			return func() error {
				if n.Add(1) == 1 {
					return nilErr
				}
				return nil
			}
		}()},
		"SetPasswordURL panics": {url: once(boom)},
		"Claim panics":          {store: func(h *hooked) { h.claim = orNil(once(boom)) }},
		"Claim fails":           {store: func(h *hooked) { h.claim = failOnce() }},
		"Settle panics":         {store: func(h *hooked) { h.settle = orNil(once(boom)) }},
		"Settle fails":          {store: func(h *hooked) { h.settle = failOnce() }},
		"a look-up panics":      {store: func(h *hooked) { h.find = once(boom) }},
		"clock panics":          {now: func() func() time.Time { f := once(boom); return func() time.Time { f(); return time.Now() } }()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setUp(t)
				for range 3 {
					f.create(true)
				}
				store := &hooked{Store: f.store}
				if b.store != nil {
					b.store(store)
				}
				var got outbox.Recorder
				n := users.NotifierFunc(func(ctx context.Context, n users.Notification) error {
					if b.notify != nil {
						if err := b.notify(); err != nil {
							return err
						}
					}
					return got.Notify(ctx, n)
				})
				r := relay(t, f.service(store, b.now), n, outbox.Options{SetPasswordURL: func(a users.Application, token string) string {
					if b.url != nil {
						b.url()
					}
					return link(a, token)
				}})
				stop := run(r)
				time.Sleep(time.Minute)
				stop()
				if len(got.All()) != 3 || len(f.rows()) != 0 {
					t.Errorf("got %d delivered and rows %+v, want 3 and none", len(got.All()), f.rows())
				}
			})
		})
	}
}

type typedNil struct{ text string }

func (e *typedNil) Error() string { return e.text }

func failOnce() func() error {
	var n atomic.Int32
	return func() error {
		if n.Add(1) == 1 {
			return users.ErrUnavailable
		}
		return nil
	}
}

func TestTokenIsNowhereButInTheMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(true)
		n := &failing{}
		fail := []func(users.Notification) error{
			func(n users.Notification) error {
				return fmt.Errorf("PUT %s: token %q refused\x00\r\n", n.URL, n.Token)
			},
			func(n users.Notification) error { panic("with " + n.Token) },
			func(n users.Notification) error { return errors.New("cut " + n.Token[:20] + "..." + n.Token[25:]) },
			func(n users.Notification) error {
				return errors.New(strings.Repeat("é", 250) + n.Token + strings.Repeat("x", 1e6))
			},
		}
		n.err = func(m users.Notification) error { return fail[(len(n.All())-1)%len(fail)](m) }
		var log bytes.Buffer
		r := relay(t, f.svc, n, outbox.Options{MaxAttempts: 8, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		for range 8 {
			drain(t, r)
			row := f.rows()[0]
			if len(row.LastError) > 512 || strings.ContainsAny(row.LastError, "\x00\r\n") || !strings.Contains(row.LastError, "[removed]") {
				t.Errorf("last error: got %q, want at most 512 bytes in one line, the token removed", row.LastError)
			}
			for _, m := range n.All() {
				for i := range len(m.Token) - 8 {
					if part := m.Token[i : i+8]; strings.Contains(row.LastError, part) || strings.Contains(log.String(), part) {
						t.Fatalf("a part of the token is in %q or in the log", row.LastError)
					}
				}
			}
			time.Sleep(2 * time.Hour)
		}
		if rows := f.rows(users.StateAbandoned); len(rows) != 1 {
			t.Errorf("got %+v, want it abandoned", rows)
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
	if rows := f.rows(); len(rows) != 1 || !strings.Contains(rows[0].LastError, "Options.SetPasswordURL") {
		t.Errorf("got %+v, want an error that names Options.SetPasswordURL", rows)
	}
}

// What a process that died had claimed is delivered when the lease ends, and a
// row that kills each process that touches it is given up.
func TestRowsOfDeadProcessesAreDeliveredOrGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		die := func() {
			if rows, err := f.store.Claim(t.Context(), users.Claim{Worker: "dead", Lease: 45 * time.Second, Limit: 1}); err != nil || len(rows) != 1 {
				t.Fatalf("got %v, %v, want the row", rows, err)
			}
		}
		die()
		var got outbox.Recorder
		r := relay(t, f.svc, &got, outbox.Options{MaxAttempts: 8})
		stop := run(r)
		time.Sleep(44 * time.Second)
		if len(got.All()) != 0 {
			t.Error("delivered before the lease of the dead process ended")
		}
		time.Sleep(3 * time.Second)
		stop()
		if len(got.All()) != 1 {
			t.Errorf("got %d delivered, want 1", len(got.All()))
		}
		f.create(false)
		for range 8 {
			die()
			time.Sleep(46 * time.Second)
		}
		drain(t, r)
		if rows := f.rows(users.StateAbandoned); len(rows) != 1 || len(got.All()) != 1 {
			t.Errorf("got %+v, want the row abandoned undelivered", rows)
		}
	})
}

func TestDisabledApplicationsWaitWithoutLosingTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		var disabled atomic.Bool
		store := &switchable{f.store, &disabled}
		disabled.Store(true)
		var got outbox.Recorder
		stop := run(relay(t, f.service(store, nil), &got, outbox.Options{MaxAttempts: 8}))
		time.Sleep(24*time.Hour + time.Minute) // between two looks at it
		if rows := f.rows(users.StatePending); len(rows) != 1 || rows[0].Attempts != 0 || len(got.All()) != 0 {
			t.Errorf("got %+v, want a pending row without attempts", rows)
		}
		disabled.Store(false)
		time.Sleep(time.Hour)
		stop()
		if len(got.All()) != 1 {
			t.Errorf("enabled again: got %d delivered, want 1", len(got.All()))
		}
	})
}

type switchable struct {
	*memstore.Store
	disabled *atomic.Bool
}

func (s *switchable) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	a, err := s.Store.FindApplication(ctx, q)
	a.Disabled = s.disabled.Load()
	return a, err
}

func TestRowOfAUserWhoIsGoneIsDropped(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.create(false)
	var got outbox.Recorder
	drain(t, relay(t, f.service(&forgetful{f.store}, nil), &got, outbox.Options{}))
	if len(got.All()) != 0 || len(f.rows()) != 0 {
		t.Errorf("got %d delivered and rows %+v, want none", len(got.All()), f.rows())
	}
}

type forgetful struct{ *memstore.Store }

func (*forgetful) FindUsers(context.Context, users.UserQuery) ([]users.UserRecord, error) {
	return nil, nil
}

func TestRunEndsWithItsContextAndFinishesWhatItDelivers(t *testing.T) {
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
		stop := run(relay(t, f.svc, n, outbox.Options{Workers: 4}))
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took != 4*time.Second || delivered.Load() != 4 {
			t.Errorf("got %d delivered after %v, want the 4 that had begun after 4 s", delivered.Load(), took)
		}
		// What had been claimed beyond that is free for others at once.
		var rest outbox.Recorder
		drain(t, relay(t, f.svc, &rest, outbox.Options{}))
		if got := len(rest.All()); got != 26 {
			t.Errorf("left for others: got %d, want 26", got)
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(false)
		n := users.NotifierFunc(func(ctx context.Context, _ users.Notification) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err := relay(t, f.svc, n, outbox.Options{}).Drain(ctx)
		if took := time.Since(began); took != 3*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v after %v, want the context's error after 3 s", err, took)
		}
		if rows := f.rows(users.StatePending); len(rows) != 1 {
			t.Errorf("got %+v, want the row to be there", rows)
		}
	})
}

func TestDrainGivesTheStoresError(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	store := &hooked{Store: f.store, claim: func() error { return users.ErrUnavailable }}
	err := relay(t, f.service(store, nil), &outbox.Recorder{}, outbox.Options{}).Drain(t.Context())
	if !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
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
		time.Sleep(25 * time.Hour)
		stop()
		if n, err := f.svc.Purge(t.Context(), 10); err != nil || n != 0 {
			t.Errorf("left to purge: got %d, %v, want none", n, err)
		}
	})
}

func TestWaitingRowsTakeBoundedMemory(t *testing.T) {
	store := &endless{Store: memstore.New(), left: 100_000}
	f := &fixture{t: t, store: store.Store}
	f.svc = f.service(store, nil)
	if _, err := f.svc.CreateApplication(t.Context(), users.Application{APIKey: apiKey}); err != nil {
		t.Fatal(err)
	}
	app, err := f.svc.Application(t.Context(), apiKey)
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

func (e *endless) Claim(_ context.Context, c users.Claim) ([]users.OutboxRow, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(c.Limit, e.left)
	e.left, e.most = e.left-n, max(e.most, n)
	rows := make([]users.OutboxRow, n)
	for i := range rows {
		rows[i] = users.OutboxRow{ID: "01JABCDEFGHJKMNPQRSTVWXYZ0", ApplicationID: e.app, UserID: e.user, Kind: users.KindAccountCreated, State: users.StatePending, Attempts: 1}
	}
	return rows, nil
}

func (*endless) Settle(context.Context, users.Settlement) error { return nil }

func TestRecorderGivesCopies(t *testing.T) {
	t.Parallel()
	var r outbox.Recorder
	roles := []users.Role{{Name: "editor"}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _ = r.Notify(t.Context(), users.Notification{User: users.User{Roles: roles}}); r.All() })
	}
	wg.Wait()
	roles[0].Name = "changed"
	r.All()[0].User.Roles[0].Name = "changed"
	if got := r.All(); len(got) != 8 || got[0].User.Roles[0].Name != "editor" {
		t.Errorf("got %+v, want 8 with the role editor", got)
	}
}

func TestLogTellsTheTokenOnlyWhenToldTo(t *testing.T) {
	t.Parallel()
	n := users.Notification{ID: "01J", Kind: users.KindSetPassword, Token: "tokentoken", URL: "https://example.com/#tokentoken", User: users.User{UserName: "ann"}}
	for _, tt := range []struct {
		opts []outbox.LogOption
		want bool
	}{{nil, false}, {[]outbox.LogOption{outbox.LogTokens}, true}} {
		var b bytes.Buffer
		if err := outbox.Log(slog.New(slog.NewTextHandler(&b, nil)), tt.opts...).Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "tokentoken"); got != tt.want || !strings.Contains(b.String(), "userName=ann") {
			t.Errorf("options %v: got %q, want the token in it: %v", tt.opts, b.String(), tt.want)
		}
	}
}

// panicking is a slog.Handler of the host's that breaks down.
type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool { return true }

func (panicking) Handle(_ context.Context, r slog.Record) error { panic("log: " + r.Message) }

func TestPanicsOfLoggerAndRandAreSurvived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		f.create(true)
		var once atomic.Bool
		var got outbox.Recorder
		n := users.NotifierFunc(func(ctx context.Context, n users.Notification) error {
			if once.CompareAndSwap(false, true) {
				panic("boom") // which the relay logs
			}
			return got.Notify(ctx, n)
		})
		stop := run(relay(t, f.svc, n, outbox.Options{
			Logger: slog.New(panicking{slog.DiscardHandler}),
			Rand:   func() float64 { panic("no number") },
		}))
		time.Sleep(time.Hour)
		stop()
		if len(got.All()) != 1 || len(f.rows()) != 0 {
			t.Errorf("got %d delivered and rows %+v, want 1 and none", len(got.All()), f.rows())
		}
	})
}

// counted keeps the limit of each claim.
type counted struct {
	*memstore.Store
	limits *[]int
}

func (c counted) Claim(ctx context.Context, q users.Claim) ([]users.OutboxRow, error) {
	*c.limits = append(*c.limits, q.Limit)
	return c.Store.Claim(ctx, q)
}

func TestRowsOfAProcessThatDiedAreClaimedOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setUp(t)
		for range 8 {
			f.create(false)
		}
		// A process that claims everything and dies without a word.
		if rows, err := f.store.Claim(t.Context(), users.Claim{Worker: "dead", Lease: time.Second, Limit: 100}); err != nil || len(rows) != 8 {
			t.Fatalf("got %d rows, %v, want 8", len(rows), err)
		}
		time.Sleep(time.Minute)
		var limits []int
		var got outbox.Recorder
		drain(t, relay(t, f.service(counted{f.store, &limits}, nil), &got, outbox.Options{Workers: 4}))
		if len(got.All()) != 8 || len(limits) < 3 || limits[0] != 4 || limits[1] != 1 || limits[2] != 1 {
			t.Errorf("got %d delivered by claims of %v, want 8 by claims of 4, 1, 1, ...", len(got.All()), limits)
		}
	})
}
