package outbox

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// result is what became of a job.
type result struct {
	status status
	reason string // why it was not delivered; holds no secret
}

// status is a kind of [result].
type status int

const (
	failed      status = iota // an attempt without success
	delivered                 // an attempt with success
	discarded                 // an attempt after which no other makes sense: Discard
	postponed                 // not begun by the notifier: Release
	disabled                  // not attempted: the application is disabled
	unavailable               // not attempted: the store can't be reached
	released                  // not begun: the relay is stopping
	leaseShort                // not begun: too little of the lease is left
)

// event is a line about a job for the log. The zero event is none.
type event struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// decide returns what the store and the log are told of a job. It does neither.
func (r *Relay) decide(j job, res result) (s users.Settlement, e event) {
	s = users.Settlement{ApplicationID: j.ApplicationID, ID: j.ID, Worker: j.worker, LastError: res.reason}
	reason := slog.String("error", res.reason)

	switch res.status {
	case delivered:
		s.Outcome = users.OutcomeDelivered
	case disabled:
		s.Outcome, s.RetryIn = users.OutcomeReleased, r.jittered(MaxBackoff/2)
	case unavailable:
		s.Outcome, s.RetryIn = users.OutcomeReleased, r.backoff(j.Attempts)
		e = event{slog.LevelError, "outbox: prepare failed", []slog.Attr{reason, slog.Duration("retryIn", s.RetryIn)}}
	case released:
		s.Outcome, s.LastError = users.OutcomeReleased, j.LastError
	case leaseShort:
		s.Outcome, s.LastError = users.OutcomeReleased, j.LastError
		e = event{slog.LevelWarn, "outbox: released, lease too short", nil}
	case postponed:
		// Each attempt at a set-password message leaves a token, so they get rarer
		// as the row gets older.
		wait := min(max(j.Due.Sub(j.Created), MinBackoff), MaxBackoff/2)
		s.Outcome, s.RetryIn = users.OutcomeReleased, r.jittered(wait)
		e = event{slog.LevelInfo, "outbox: delivery postponed", []slog.Attr{reason, slog.Duration("retryIn", s.RetryIn)}}
	case failed, discarded:
		if res.status == discarded || j.Attempts >= r.o.MaxAttempts {
			s.Outcome = users.OutcomeDiscarded
			e = event{slog.LevelError, "outbox: notification discarded", []slog.Attr{reason}}
			break
		}
		s.Outcome, s.RetryIn = users.OutcomeRetry, r.backoff(j.Attempts)
		e = event{slog.LevelWarn, "outbox: delivery failed", []slog.Attr{reason, slog.Duration("retryIn", s.RetryIn)}}
	}
	return s, e
}

// log writes every line about a job.
func (p *pool) log(j job, e event) {
	if e.message == "" {
		return
	}
	attrs := []slog.Attr{
		slog.String("notificationId", j.ID),
		slog.String("applicationId", j.ApplicationID),
		slog.String("kind", j.Kind),
		slog.Int("attempt", j.Attempts),
	}
	p.o.Logger.LogAttrs(p.delivery, e.level, e.message, append(attrs, e.attrs...)...)
}

// deliver makes one attempt, in a goroutine of its own: a notifier that ignores
// its context must not keep the worker. That goroutine frees its place in p.calls
// when the call returns, however late.
func (p *pool) deliver(j job) result {
	ctx, cancel := context.WithTimeout(p.delivery, p.o.Timeout)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		defer func() { <-p.calls }()
		// What is sent if the notifier ends its goroutine (runtime.Goexit).
		res := result{reason: "the notifier ended its goroutine"}
		defer func() { done <- res }()
		res = p.attempt(ctx, j)
	}()

	select {
	case res := <-done:
		return res
	case <-ctx.Done():
	}
	late := time.NewTimer(p.grace)
	defer late.Stop()
	select {
	case res := <-done:
		return res
	case <-late.C:
		return result{reason: "the notifier did not return when its context ended: " + ctx.Err().Error()}
	}
}

// attempt prepares the message of a row and passes it to the notifier. Store and
// notifier are the host's code: their panics are failures, and what they say is
// redacted.
func (p *pool) attempt(ctx context.Context, j job) (res result) {
	var n users.Notification
	fail := func(s status, err error) result { return result{s, redactError(err, n)} }
	defer func() {
		if v := recover(); v != nil {
			res = fail(failed, p.recovered("delivery", v, nil))
		}
	}()

	if j.Kind == users.KindSetPassword && p.o.SetPasswordURL == nil {
		return result{reason: "outbox: Options.SetPasswordURL is missing: a set_password message needs it"}
	}
	n, err := p.svc.PrepareNotification(ctx, j.NotificationRecord)
	switch {
	case errors.Is(err, users.ErrForbidden):
		return result{disabled, "the application is disabled"}
	case errors.Is(err, users.ErrUnavailable):
		return fail(unavailable, err)
	case err != nil:
		// ErrNotFound too: a read that lags behind a write does not see the user yet.
		return fail(failed, err)
	}

	if n.Kind == users.KindSetPassword {
		n.URL = password.New(p.o.SetPasswordURL(n.Application, n.Token.Reveal()))
	}
	err = p.notifier.Notify(ctx, n)
	var v *verdict
	switch {
	case err == nil:
		return result{status: delivered}
	case errors.As(err, &v):
		return fail(v.status, err)
	}
	return fail(failed, err)
}
