package outbox_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
)

const (
	apiKey     = "acme"
	passphrase = "lime hat under 4 umbrellas"
)

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

// around returns a Service whose store is the fixture's with i around it.
func (f *fixture) around(i storefake.Interceptor) *users.Service {
	f.t.Helper()
	return f.service(storefake.Around(f.store, i), nil)
}

// countingClaims returns a Service on the fixture's store, and how often that is
// asked for rows.
func (f *fixture) countingClaims() (svc *users.Service, claims *atomic.Int64) {
	f.t.Helper()
	claims = new(atomic.Int64)
	return f.around(func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.Claim {
			claims.Add(1)
		}
		return do()
	}), claims
}

// application adds an application.
func (f *fixture) application(key string) users.Application {
	f.t.Helper()
	app, err := f.svc.CreateApplication(f.t.Context(), users.Application{APIKey: key})
	if err != nil {
		f.t.Fatal(err)
	}
	return *app
}

// create adds a user who is sent a link, or only told.
func (f *fixture) create(link bool) *users.User {
	f.t.Helper()
	return f.createIn(apiKey, link)
}

// createIn is create in an application.
func (f *fixture) createIn(apiKey string, link bool) *users.User {
	f.t.Helper()
	f.made++
	p := users.CreateUserParams{
		UserName:              fmt.Sprintf("user%d", f.made),
		Email:                 fmt.Sprintf("user%d@example.com", f.made),
		AutoCreatePassword:    link,
		SendEmailNotification: true,
	}
	if !link {
		p.Password = password.New(passphrase)
		p.ConfirmPassword = p.Password
	}
	u, err := f.svc.Create(f.t.Context(), apiKey, p)
	if err != nil {
		f.t.Fatal(err)
	}
	return u
}

// rows returns the first notifications in one of the states; none: in any.
func (f *fixture) rows(states ...string) []users.NotificationRecord {
	f.t.Helper()
	list, err := f.svc.Notifications(context.Background(), apiKey, users.NotificationQuery{
		States: states, Page: users.Page{Limit: users.MaxPage},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return list.Notifications
}

// onlyRow returns the one notification that there must be in state.
func (f *fixture) onlyRow(state string) users.NotificationRecord {
	f.t.Helper()
	rows := f.rows()
	if len(rows) != 1 || rows[0].State != state {
		f.t.Fatalf("got rows %+v, want one that is %s", rows, state)
	}
	return rows[0]
}

func (f *fixture) noRows() {
	f.t.Helper()
	if rows := f.rows(); len(rows) != 0 {
		f.t.Errorf("got %d rows, the first one %+v, want none", len(rows), rows[0])
	}
}

// die claims up to limit rows, as a process does that then dies.
func (f *fixture) die(lease time.Duration, limit int) {
	f.t.Helper()
	rows, err := f.store.Claim(f.t.Context(), users.Claim{Worker: "dead", Lease: lease, Limit: limit})
	if err != nil || len(rows) == 0 {
		f.t.Fatalf("Claim: got %v, %v, want rows", rows, err)
	}
}

func link(_ users.Application, token string) string { return linkStart + token }

// relay returns a Relay without jitter whose links are those of link.
func relay(t testing.TB, svc *users.Service, n users.Notifier, o outbox.Options) *outbox.Relay {
	t.Helper()
	if o.SetPasswordURL == nil {
		o.SetPasswordURL = link
	}
	if o.Rand == nil {
		o.Rand = func() float64 { return 0 }
	}
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

// logTo returns a logger that writes to b.
func logTo(b *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// attempts is a Notifier that keeps what it was called with and when, and
// answers as err says.
type attempts struct {
	outbox.Recorder
	mu    sync.Mutex
	times []time.Time
	err   func(n users.Notification) error // nil: delivered
}

func (a *attempts) Notify(ctx context.Context, n users.Notification) error {
	a.mu.Lock()
	a.times = append(a.times, time.Now())
	err := a.err
	a.mu.Unlock()

	_ = a.Recorder.Notify(ctx, n)
	if err == nil {
		return nil
	}
	return err(n)
}

// answer sets how later calls are answered.
func (a *attempts) answer(err func(users.Notification) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// waits returns the times between the attempts.
func (a *attempts) waits() (waits []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := 1; i < len(a.times); i++ {
		waits = append(waits, a.times[i].Sub(a.times[i-1]))
	}
	return waits
}

// always returns an answer for attempts.
func always(err error) func(users.Notification) error {
	return func(users.Notification) error { return err }
}

// tally is a Notifier that counts the deliveries of each notification.
type tally struct {
	mu    sync.Mutex
	count map[string]int
	then  func(delivered int) // runs unlocked after each; may be nil
}

func (c *tally) Notify(_ context.Context, n users.Notification) error {
	c.mu.Lock()
	if c.count == nil {
		c.count = map[string]int{}
	}
	c.count[n.ID]++
	delivered := len(c.count)
	c.mu.Unlock()

	if c.then != nil {
		c.then(delivered)
	}
	return nil
}

// eachOnce checks that want notifications were delivered, none of them twice.
func (c *tally) eachOnce(t *testing.T, want int) {
	t.Helper()
	if len(c.count) != want {
		t.Errorf("got %d delivered, want %d", len(c.count), want)
	}
	for id, times := range c.count {
		if times != 1 {
			t.Fatalf("notification %s: delivered %d times, want once", id, times)
		}
	}
}

// deliverOne delivers the one message that there must be, and returns it.
func (f *fixture) deliverOne() users.Notification {
	f.t.Helper()
	var got outbox.Recorder
	drain(f.t, relay(f.t, f.svc, &got, outbox.Options{}))
	f.noRows()
	if len(got.All()) != 1 {
		f.t.Fatalf("got %d messages, want 1", len(got.All()))
	}
	return got.All()[0]
}
