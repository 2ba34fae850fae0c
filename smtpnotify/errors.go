package smtpnotify

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
)

// Error says why a message was not sent. It never holds the token or the
// password: of what a server that has seen them answers, only its codes are kept.
type Error struct {
	// Step is what failed, for example "recipient".
	Step string
	// Code is the server's reply code (RFC 5321 section 4.2); 0 if it did not answer.
	Code int
	// Permanent means that the same message will fail again.
	Permanent bool

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

// enhancedCode is that of RFC 3463, which says more than the reply code.
var enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// stepError returns the *Error of what the SMTP client returned. In a secret step
// the server has just been sent the token or the password: no text of it is kept.
func stepError(ctx context.Context, step string, err error, secret bool) error {
	e := &Error{Step: step}
	var reply *textproto.Error
	switch {
	case ctx.Err() != nil: // the connection was closed for it
		e.cause = ctx.Err()
	case errors.As(err, &reply):
		e.Code = reply.Code
		e.Permanent = reply.Code >= 500 && (step == stepSender || step == stepRcpt || step == stepData)
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

// lost reports whether err means that a connection that had been used before was
// closed before the server received anything of the message.
func lost(ctx context.Context, err error) bool {
	var e *Error
	return errors.As(err, &e) && ctx.Err() == nil && e.Step == stepSender && (e.Code == 0 || e.Code == 421)
}
