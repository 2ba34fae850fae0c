package users

import (
	"context"
	"time"
)

// The kinds of Notification.
const (
	// KindAccountCreated tells the user that the account exists.
	KindAccountCreated = "account_created"
	// KindSetPassword gives the user a one-time link to set a password: the
	// account was made without one, or the user asked to recover it.
	KindSetPassword = "set_password"
)

// Notification is one message to one user. The only secret in it is the
// one-time token, in Token and inside URL; it is made when the message is sent.
type Notification struct {
	// ID is the same at every attempt: receivers drop repeats by it.
	ID          string
	Kind        string // KindAccountCreated or KindSetPassword
	Application Application
	User        User      // as it is now, not as it was created
	Token       string    // empty unless Kind is KindSetPassword
	URL         string    // the set-password link, empty unless Kind is KindSetPassword
	Expires     time.Time // of the token
}

// Notifier delivers notifications: by mail, by a queue, by whatever the host has.
//
// Notify is called by a relay (package outbox), never by Create. nil means
// delivered; an error means that the relay tries again later, with the same ID.
// A notification is delivered at least once: a process that dies after Notify
// and before the result was stored repeats it. Notify must end when ctx does
// and must be safe for concurrent use. It must not keep or log Token or URL.
type Notifier interface {
	Notify(ctx context.Context, n Notification) error
}

// NotifierFunc makes a function a Notifier.
type NotifierFunc func(ctx context.Context, n Notification) error

// Notify calls f.
func (f NotifierFunc) Notify(ctx context.Context, n Notification) error { return f(ctx, n) }
