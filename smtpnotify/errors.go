package smtpnotify

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
)

// Error says why a message was not sent. It never holds the token or the
// password: what the server answers to these steps is reduced to its codes.
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

// Unwrap gives the context's error, if that ended the delivery.
func (e *Error) Unwrap() error { return e.cause }

// enhancedCode is RFC 3463's, which says more than the reply code.
var enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// stepError makes an *Error of what the SMTP client said. Of a secret step,
// in which the server has just been told the token or the password, no text is kept.
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

// lost reports whether a connection that had been used before turned out to be
// closed, before the server heard of the message.
func lost(ctx context.Context, err error) bool {
	var e *Error
	return errors.As(err, &e) && ctx.Err() == nil && e.Step == stepSender && (e.Code == 0 || e.Code == 421)
}
