package outbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/gousers/users"
)

// The defaults of Options, and the least number of attempts.
const (
	DefaultWorkers     = 4
	DefaultLease       = 45 * time.Second
	DefaultTimeout     = 30 * time.Second
	DefaultPoll        = time.Second
	DefaultPurgeEvery  = 10 * time.Minute
	DefaultMaxAttempts = 20 // about ten hours
	MinAttempts        = 8  // about eighty minutes
)

// minMargin is what a lease must leave for the claim and for storing the outcome.
const minMargin = time.Second

// The wait before another attempt: uniformly between the n-th step and twice
// that, the steps being 1 s, 4 s, 16 s and so on up to half of MaxBackoff.
const (
	MinBackoff = time.Second
	MaxBackoff = time.Hour
)

// Options configures a Relay. The zero value suits notifications of the kind
// account_created; set_password needs SetPasswordURL.
type Options struct {
	// SetPasswordURL makes the link that goes into a set_password message. A
	// token in the fragment ("#token") stays out of the logs of web servers.
	// Without it these notifications fail with an error that says so.
	SetPasswordURL func(app users.Application, token string) string
	// Workers is how many notifications are delivered at once; 0: 4.
	Workers int
	// Timeout is how long one delivery may take; 0: 30 s. What comes later is
	// a failed attempt, even if the notifier does not honour its context.
	Timeout time.Duration
	// Lease is how long a claimed row belongs to this relay; 0: 45 s, or half
	// as much again as Timeout if that is more. It must exceed Timeout by a second or more. If a
	// process dies, what it was delivering is repeated when the lease ends.
	Lease time.Duration
	// MaxAttempts is how often a notification is attempted before it is
	// abandoned; 0: 20, at least 8. Service.Notifications lists what was
	// abandoned, Service.RetryNotification starts it again.
	MaxAttempts int
	// Poll is how often an idle relay looks for due rows; 0: 1 s.
	Poll time.Duration
	// PurgeEvery is how often expired tokens and idempotency records are
	// deleted while Run runs; 0: 10 min.
	PurgeEvery time.Duration
	// Logger gets a line for each failed attempt (Warn), each abandoned
	// notification and each failure of the store (Error). None holds a token.
	// nil: nothing is logged.
	Logger *slog.Logger
	// Rand gives numbers in [0, 1) for the jitter of waits and must be safe for
	// concurrent use; nil: math/rand/v2.
	Rand func() float64
}

// Relay delivers notifications. It is safe for concurrent use: Run and Drain
// may run at the same time, in as many processes as there are.
type Relay struct {
	svc      *users.Service
	box      users.OutboxStore
	notifier users.Notifier
	o        Options
	grace    time.Duration // for a notifier to return after its context ended
	name     string
	claims   atomic.Uint64
	calls    chan struct{} // a place for each call of the notifier that has not returned
}

// lateCalls is how many calls for each worker may outlive their Timeout, by a
// notifier that does not honour its context, before the relay waits for them.
const lateCalls = 8

// New makes a Relay that delivers svc's notifications through n. o may be nil;
// it is copied. A store without an outbox is users.ErrUnsupported.
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

func (o *Options) complete() error {
	if o.Workers < 0 {
		return errors.New("option Workers is negative")
	}
	for name, d := range map[string]time.Duration{"Timeout": o.Timeout, "Lease": o.Lease, "Poll": o.Poll, "PurgeEvery": o.PurgeEvery} {
		if d < 0 {
			return errors.New("option " + name + " is negative")
		}
	}
	if o.MaxAttempts != 0 && o.MaxAttempts < MinAttempts {
		return fmt.Errorf("option MaxAttempts is less than %d", MinAttempts)
	}
	setDefault(&o.Workers, DefaultWorkers)
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.Lease, max(DefaultLease, o.Timeout+o.Timeout/2))
	setDefault(&o.MaxAttempts, DefaultMaxAttempts)
	setDefault(&o.Poll, DefaultPoll)
	setDefault(&o.PurgeEvery, DefaultPurgeEvery)
	if o.Lease < o.Timeout+minMargin {
		return fmt.Errorf("option Lease does not exceed Timeout by %v or more", minMargin)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = slog.New(calmHandler{o.Logger.Handler()})
	if o.Rand == nil {
		o.Rand = mathrand.Float64
	}
	o.Rand = calmRand(o.Rand)
	return nil
}

// calmHandler is the host's handler without its panics: the relay logs while
// it recovers from others. A record that panics is lost.
type calmHandler struct{ slog.Handler }

func (h calmHandler) Enabled(ctx context.Context, l slog.Level) (on bool) {
	defer func() { _ = recover() }()
	return h.Handler.Enabled(ctx, l)
}

func (h calmHandler) Handle(ctx context.Context, r slog.Record) error {
	defer func() { _ = recover() }()
	return h.Handler.Handle(ctx, r)
}

// calmRand is the host's source of jitter without its panics.
func calmRand(rand func() float64) func() float64 {
	return func() (f float64) {
		defer func() { _ = recover() }()
		return rand()
	}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// backoff is the wait after so many attempts.
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

// jittered is a time between d and 2d.
func (r *Relay) jittered(d time.Duration) time.Duration {
	return d + time.Duration(r.o.Rand()*float64(d))
}

// sleep waits, or returns early when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
