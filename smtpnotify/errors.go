package smtpnotify

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"time"

	"github.com/gousers/users/outbox"
)

// Error says why a message was not sent. It never holds the token or the
// password: of what a server that has seen them answers, only its codes are kept.
type Error struct {
	// Step is what failed, for example "recipient".
	Step string
	// Code is the server's reply code (RFC 5321 section 4.2); 0 if it did not answer.
	Code int
	// Permanent means that the same message will fail again: the server refused
	// it for good (a code from 500 on), or it can't be written. A relay discards
	// the notification at once ([outbox.Discard]).
	Permanent bool
	// Unknown means that the server was sent the whole message and has not
	// answered: it may deliver it.
	Unknown bool

	detail string
	cause  error // the context's, or nil
}

// Error returns the step, the code and what is known beside them.
func (e *Error) Error() string {
	text := "smtpnotify: " + e.Step
	if e.Code != 0 {
		text += fmt.Sprintf(": %d", e.Code)
	}
	if e.detail != "" {
		text += ": " + e.detail
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the context's error, if that ended the delivery, or nil.
func (e *Error) Unwrap() error { return e.cause }

// final returns err as the relay is to see it: one that is permanent ends the
// notification.
func final(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Permanent {
		return outbox.Discard(err)
	}
	return err
}

// enhancedCode is that of RFC 3463, which says more than the reply code.
var enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// stepError returns the *Error of what went wrong with the server. In a secret
// step it has just been sent the token or the password: no text of it is kept.
func stepError(ctx context.Context, step string, err error, secret bool) *Error {
	e := &Error{Step: step, cause: ended(ctx)}
	var reply *textproto.Error
	switch {
	case e.cause != nil: // the connection was closed for it
	case errors.As(err, &reply):
		e.Code = reply.Code
		e.Permanent = permanent(step, reply.Code)
		e.detail = reply.Msg
		if secret {
			e.detail = enhancedCode.FindString(reply.Msg)
		}
	case secret:
		e.detail = "the connection broke or was refused"
	default:
		e.detail = err.Error()
	}
	return e
}

// ended returns the context's error. A [net.Dialer] stops at the deadline, a moment
// before the context may know of it.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// aboutTheSession are permanent replies that say nothing about the message: a
// command that is not known or out of place (RFC 5321), a host that takes no mail
// (RFC 7504), authentication or encryption that is missing (RFC 4954). Whoever
// runs the mailer can mend that, and the message is then taken.
var aboutTheSession = []int{502, 503, 521, 530, 534, 535, 538}

// permanent reports whether a reply is the server's last word on the message.
func permanent(step string, code int) bool {
	switch step {
	case stepSender, stepRcpt, stepData:
		return code >= 500 && !slices.Contains(aboutTheSession, code)
	}
	return false
}

// replyCode returns the code of a reply that was not the expected one, or 0.
func replyCode(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

// lost reports whether err means that a connection that had been used before was
// closed before the server received anything of the message.
func lost(ctx context.Context, err error) bool {
	var e *Error
	return errors.As(err, &e) && ctx.Err() == nil && e.Step == stepSender && (e.Code == 0 || e.Code == 421)
}
