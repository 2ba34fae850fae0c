package outbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gousers/users"
)

// The defaults of [Options], and the least number of attempts.
const (
	DefaultWorkers       = 8
	DefaultLease         = 45 * time.Second
	DefaultTimeout       = 30 * time.Second
	DefaultPoll          = time.Second
	DefaultPurgeEvery    = 10 * time.Minute
	DefaultKeepDiscarded = 30 * 24 * time.Hour
	DefaultMaxAttempts   = 20 // about ten hours
	MinAttempts          = 8  // about eighty minutes
)

// The wait before another attempt: uniformly between the n-th step and twice
// that, the steps being 1 s, 4 s, 16 s and so on up to half of MaxBackoff.
const (
	MinBackoff = time.Second
	MaxBackoff = time.Hour
)

const (
	// minMargin is what a lease must leave for the claim and for storing the outcome.
	minMargin = time.Second
	// lateCalls is how many calls for each worker may outlive their Timeout, by a
	// notifier that ignores its context, before the relay waits for them.
	lateCalls = 8
)

// Options configures a [Relay]. The zero value suits all notifications but those of
// [users.KindSetPassword], which need SetPasswordURL.
type Options struct {
	// SetPasswordURL returns the link of a set_password message. A token in the
	// fragment ("#token") stays out of the logs of web servers. It must be safe
	// for concurrent use and must not keep or log the token. Without it these
	// notifications fail with an error that says so.
	SetPasswordURL func(app users.Application, token string) string
	// Workers is how many notifications are delivered at once, at most half of
	// them, rounded up, for one application; 0: 8. Where one application's
	// deliveries hang, others have the rest; a single worker leaves none.
	Workers int
	// Timeout is how long one delivery may take; 0: 30 s. A delivery that takes
	// longer is a failed attempt, even if the notifier ignores its context.
	Timeout time.Duration
	// Lease is how long a claimed row belongs to this relay; 0: 45 s, or one and
	// a half times Timeout if that is more. It must exceed Timeout by at least one
	// second. If a process dies, what it was delivering is repeated when the
	// lease ends.
	Lease time.Duration
	// MaxAttempts is how often a notification is attempted before it is
	// discarded; 0: 20, at least 8. What the notifier calls final ([Discard]) is
	// discarded at once. [users.Service.Notifications] lists what was discarded,
	// [users.Service.RetryNotification] starts it again.
	MaxAttempts int
	// Poll is how often an idle relay looks for due rows; 0: 1 s.
	Poll time.Duration
	// PurgeEvery is how often Run deletes expired tokens and idempotency
	// records, and notifications discarded long ago; 0: 10 min.
	PurgeEvery time.Duration
	// KeepDiscarded is how long a discarded notification stays for
	// RetryNotification before Run deletes it; 0: 30 days.
	KeepDiscarded time.Duration
	// Logger gets a line for each postponed delivery (Info), each failed attempt
	// (Warn), each discarded notification, each failure of the store and each
	// panic (Error). None holds a token. nil: nothing is logged.
	Logger *slog.Logger
	// Rand returns numbers in [0, 1) for the jitter of waits and must be safe for
	// concurrent use; nil: math/rand/v2.
	Rand func() float64
}

// complete checks o and sets its defaults. Of several bad options the error
// names the first.
func (o *Options) complete() error {
	for _, option := range []struct {
		name  string
		value int64
	}{
		{"Workers", int64(o.Workers)},
		{"Timeout", int64(o.Timeout)},
		{"Lease", int64(o.Lease)},
		{"MaxAttempts", int64(o.MaxAttempts)},
		{"Poll", int64(o.Poll)},
		{"PurgeEvery", int64(o.PurgeEvery)},
		{"KeepDiscarded", int64(o.KeepDiscarded)},
	} {
		if option.value < 0 {
			return fmt.Errorf("option %s is negative", option.name)
		}
	}

	setDefault(&o.Workers, DefaultWorkers)
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.Lease, max(DefaultLease, o.Timeout+o.Timeout/2))
	setDefault(&o.MaxAttempts, DefaultMaxAttempts)
	setDefault(&o.Poll, DefaultPoll)
	setDefault(&o.PurgeEvery, DefaultPurgeEvery)
	setDefault(&o.KeepDiscarded, DefaultKeepDiscarded)
	if o.Lease-o.Timeout < minMargin {
		return fmt.Errorf("option Lease does not exceed Timeout by at least %v", minMargin)
	}
	if o.MaxAttempts < MinAttempts {
		return fmt.Errorf("option MaxAttempts is less than %d", MinAttempts)
	}

	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = slog.New(recoverHandler{o.Logger.Handler()})
	if o.Rand == nil {
		o.Rand = mathrand.Float64
	}
	o.Rand = recoverRand(o.Rand)
	return nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Relay delivers notifications. It is safe for concurrent use: Run and Drain
// may run at the same time, in any number of processes.
type Relay struct {
	svc      *users.Service
	box      users.OutboxStore
	notifier users.Notifier
	o        Options
	grace    time.Duration // for a notifier to return after its context ended
	name     string
	claims   atomic.Uint64
	calls    chan struct{} // an element for each call of the notifier that has not returned
}

// New returns a Relay that delivers svc's notifications through n. o may be nil;
// it is copied. The error of a store without an outbox is [users.ErrUnsupported];
// that of a bad option names it.
func New(svc *users.Service, n users.Notifier, o *Options) (*Relay, error) {
	if svc == nil {
		return nil, errors.New("outbox: New: service is nil")
	}
	if n == nil {
		return nil, errors.New("outbox: New: notifier is nil")
	}
	box, err := svc.Outbox()
	if err != nil {
		return nil, fmt.Errorf("outbox: New: %w", err)
	}

	r := &Relay{svc: svc, box: box, notifier: n, name: rand.Text()}
	if o != nil {
		r.o = *o
	}
	if err := r.o.complete(); err != nil {
		return nil, fmt.Errorf("outbox: New: %w", err)
	}
	r.grace = min((r.o.Lease-r.o.Timeout)/4, time.Second)
	r.calls = make(chan struct{}, r.o.Workers*(1+lateCalls))
	return r, nil
}

// Run delivers until ctx ends. It then finishes what it was delivering, which
// takes at most Timeout and a few seconds, and releases the rows that it had
// claimed but not begun. It does not wait for a call of a notifier that does not
// return after its own context has ended.
//
// Run always returns nil; the result is for errgroup.Group.Go.
func (r *Relay) Run(ctx context.Context) error {
	var purging sync.WaitGroup
	purging.Go(func() { r.purgeUntil(ctx) })
	defer purging.Wait()

	_ = r.work(ctx, context.WithoutCancel(ctx), false) // an error is of draining only
	return nil
}

// Drain delivers what is due, whoever wrote it, and returns when a claim finds
// no more due row and everything that it claimed has been settled. What is not
// due yet, such as another attempt of what failed, stays for later.
//
// When ctx ends, deliveries are canceled and Drain returns the context's error.
// When a claim fails, it returns the store's. A delivery that fails is not an
// error of Drain: see the log and [users.Service.Notifications].
func (r *Relay) Drain(ctx context.Context) error { return r.work(ctx, ctx, true) }

// backoff returns the wait after so many attempts.
func (r *Relay) backoff(attempts int) time.Duration {
	step := MinBackoff
	for range attempts - 1 {
		if step *= 4; step >= MaxBackoff/2 {
			step = MaxBackoff / 2
			break
		}
	}
	return r.jittered(step)
}

// jittered returns a time between d and 2d.
func (r *Relay) jittered(d time.Duration) time.Duration {
	return d + time.Duration(r.o.Rand()*float64(d))
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// recovered returns err or, if v was recovered from a panic during op, logs that
// and returns an error that quotes v. The log gets the stack alone, because v may
// hold a secret.
func (r *Relay) recovered(op string, v any, err error) error {
	if v == nil {
		return err
	}
	r.o.Logger.Error("outbox: panic during "+op, slog.String("stack", string(debug.Stack())))
	return fmt.Errorf("panic: %v", v)
}

// recoverHandler wraps a handler and discards its panics, because the relay logs
// while it recovers from others. A record that panics is lost.
type recoverHandler struct{ slog.Handler }

func (h recoverHandler) Enabled(ctx context.Context, l slog.Level) (on bool) {
	defer func() { _ = recover() }()
	return h.Handler.Enabled(ctx, l)
}

func (h recoverHandler) Handle(ctx context.Context, r slog.Record) error {
	defer func() { _ = recover() }()
	return h.Handler.Handle(ctx, r)
}

// recoverRand wraps a source of jitter and returns 0 where that panics.
func recoverRand(rand func() float64) func() float64 {
	return func() (f float64) {
		defer func() { _ = recover() }()
		return rand()
	}
}
