package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gousers/users"
)

// outcome is what became of one attempt.
type outcome struct {
	err      error         // nil: delivered, or there was nobody to tell
	postpone time.Duration // not 0: the notifier was not asked, and this was no attempt
}

// deliver makes the message and has it delivered, in a goroutine of its own: a
// notifier that ignores its context must not keep the worker. That goroutine
// gives back its place in s.calls when the call returns, however late.
func (s *shift) deliver(j job) outcome {
	ctx, cancel := context.WithTimeout(s.calling, s.o.Timeout)
	defer cancel()
	done := make(chan outcome, 1)
	go func() {
		defer func() { <-s.calls }()
		// Stands unless the notifier ends its goroutine (runtime.Goexit).
		out := outcome{err: errors.New("the notifier ended without an outcome")}
		defer func() { done <- out }()
		out = s.call(ctx, j)
	}()
	select {
	case out := <-done:
		return out
	case <-ctx.Done():
	}
	late := time.NewTimer(s.grace)
	defer late.Stop()
	select {
	case out := <-done:
		return out
	case <-late.C:
		return outcome{err: fmt.Errorf("the notifier ignores that its context has ended: %w", ctx.Err())}
	}
}

// call makes the message of a row and gives it to the notifier.
func (s *shift) call(ctx context.Context, j job) outcome {
	if j.Kind == users.KindSetPassword && s.o.SetPasswordURL == nil {
		return outcome{err: errors.New("outbox: Options.SetPasswordURL is missing: a set_password message needs it")}
	}
	n, err := s.message(ctx, j.OutboxRow)
	switch {
	case errors.Is(err, users.ErrNotFound), errors.Is(err, users.ErrUnknownApplication):
		s.o.Logger.InfoContext(ctx, "outbox: dropped, the user is gone", attrs(j)...)
		return outcome{}
	case errors.Is(err, users.ErrForbidden):
		return outcome{errors.New("the application is disabled"), s.jittered(MaxBackoff / 2)}
	case errors.Is(err, users.ErrUnavailable):
		return outcome{err, s.backoff(j.Attempts)}
	case err != nil:
		return outcome{err: err}
	}
	return outcome{err: s.notify(ctx, n)}
}

func (r *Relay) message(ctx context.Context, row users.OutboxRow) (n users.Notification, err error) {
	defer func() { err = r.recovered(recover(), err) }()
	return r.svc.Notification(ctx, row)
}

// notify runs the host's code. Neither its error nor its panic tells the token.
func (r *Relay) notify(ctx context.Context, n users.Notification) (err error) {
	defer func() {
		if err = r.recovered(recover(), err); err != nil {
			err = scrubbed(err, n)
		}
	}()
	if n.Kind == users.KindSetPassword {
		n.URL = r.o.SetPasswordURL(n.Application, n.Token)
	}
	return r.notifier.Notify(ctx, n)
}

// recovered makes an error of what recover returned; without a panic it is err.
func (r *Relay) recovered(p any, err error) error {
	if p == nil {
		return err
	}
	r.o.Logger.Error("outbox: panic", slog.String("stack", string(debug.Stack())))
	return fmt.Errorf("panic: %v", p)
}

// scrubbed is err as it may be stored, logged and returned. It wraps nothing but
// the context's errors: what host code made may hold the token in any of its parts.
func scrubbed(err error, n users.Notification) (clean error) {
	// The methods of a host's error can panic too: on a nil pointer, for example.
	defer func() {
		if recover() != nil {
			clean = errors.New("an error that cannot be read")
		}
	}()
	secrets := []string{n.Token}
	if !strings.Contains(n.URL, n.Token) { // the host wraps the token in one of its own
		secrets = append(secrets, n.URL)
	}
	text := scrub(err.Error(), secrets...)
	for _, cause := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, cause) {
			return &contextError{text, cause}
		}
	}
	return errors.New(text)
}

type contextError struct {
	text  string
	cause error
}

func (e *contextError) Error() string { return e.text }
func (e *contextError) Unwrap() error { return e.cause }

// settlement is what the store is told of an attempt.
func (s *shift) settlement(j job, out outcome) users.Settlement {
	if out.err == nil {
		return users.Settlement{ApplicationID: j.ApplicationID, ID: j.ID, Worker: j.worker}
	}
	text := scrub(out.err.Error())
	switch {
	case out.postpone > 0:
		later := s.untouched(j, out.postpone)
		later.LastError = text
		return later
	case j.Attempts >= s.o.MaxAttempts:
		return s.abandoned(j, text)
	}
	wait := s.backoff(j.Attempts)
	s.o.Logger.WarnContext(s.calling, "outbox: delivery failed", attrs(j, "error", text, "retry_in", wait)...)
	return users.Settlement{
		ApplicationID: j.ApplicationID, ID: j.ID, Worker: j.worker,
		State: users.StatePending, LastError: text, RetryIn: wait,
	}
}

// abandoned gives a row up, for people to look at.
func (s *shift) abandoned(j job, text string) users.Settlement {
	s.o.Logger.ErrorContext(s.calling, "outbox: notification abandoned", attrs(j, "error", text)...)
	return users.Settlement{
		ApplicationID: j.ApplicationID, ID: j.ID, Worker: j.worker,
		State: users.StateAbandoned, LastError: text,
	}
}

// untouched gives a row back that the notifier has not seen.
func (s *shift) untouched(j job, wait time.Duration) users.Settlement {
	return users.Settlement{
		ApplicationID: j.ApplicationID, ID: j.ID, Worker: j.worker,
		State: users.StatePending, LastError: j.LastError, RetryIn: wait, NotTried: true,
	}
}
