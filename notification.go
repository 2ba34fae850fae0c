package users

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gousers/users/password"
)

// The kinds of Notification.
const (
	// KindAccountCreated tells the user that the account exists.
	KindAccountCreated = "account_created"
	// KindSetPassword sends the user a one-time link to set a password: the
	// account was made without one, or the user asked to recover it.
	KindSetPassword = "set_password"
	// KindPasswordChanged tells the user that its password was changed.
	KindPasswordChanged = "password_changed"
)

// Notification is one message to one user. Its secrets, the one-time token in
// Token and inside URL, are made when the message is sent and print nothing.
type Notification struct {
	// ID is the same at every attempt: receivers drop repeats by it.
	ID          string
	Kind        string // KindAccountCreated, KindSetPassword or KindPasswordChanged
	Application Application
	User        User            // as it is now, not as it was created
	Token       password.Secret // zero unless Kind is KindSetPassword
	URL         password.Secret // the set-password link, zero unless Kind is KindSetPassword
	Expires     time.Time       // of the token
}

// Notifier delivers notifications: by mail, by a queue, by whatever the host has.
//
// Notify is called by a relay (package outbox), never by Create. nil means
// delivered; an error means that the relay tries again later, with the same ID
// (outbox.Discard and outbox.Release say otherwise).
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

// NotificationList is a page of notifications.
type NotificationList struct {
	Notifications []NotificationRecord // in order of ID; never nil
	Next          string               // Page.After of the next page; empty: this is the last
}

// Notifications lists the application's notifications that are pending or
// discarded, in order of ID, a page at a time. It needs the permission
// ManageNotifications.
func (s *Service) Notifications(ctx context.Context, apiKey string, q NotificationQuery) (*NotificationList, error) {
	app, _, err := s.authorize(ctx, apiKey, ManageNotifications)
	if err != nil {
		return nil, err
	}
	box, err := s.Outbox()
	if err != nil {
		return nil, err
	}
	page, err := q.Page.checked()
	if err != nil {
		return nil, err
	}

	q.ApplicationID, q.Page = app.ID, page.more()
	rows, err := box.ListNotifications(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("users: list notifications: %w", err)
	}
	rows, next := cut(rows, page, func(r NotificationRecord) string { return r.ID })
	return &NotificationList{append([]NotificationRecord{}, rows...), next}, nil
}

// RetryNotification makes a discarded notification pending and due now, with its
// attempts reset to 0. It needs the permission ManageNotifications. It is
// ErrNotFound if there is no such discarded notification, and a *ConflictError if
// another one of its kind is pending for the user by now.
func (s *Service) RetryNotification(ctx context.Context, apiKey, id string) error {
	app, _, err := s.authorize(ctx, apiKey, ManageNotifications)
	if err != nil {
		return err
	}
	box, err := s.Outbox()
	if err != nil {
		return err
	}
	key, ok := parseID(id)
	if !ok {
		return ErrNotFound
	}
	if err := box.Retry(ctx, app.ID, key); err != nil {
		return fmt.Errorf("users: retry notification: %w", err)
	}
	return nil
}

var errNoOutbox = lacks("OutboxStore")

// Outbox returns the store's outbox, for a relay; ErrUnsupported if it has none.
func (s *Service) Outbox() (OutboxStore, error) {
	if s.outbox == nil {
		return nil, errNoOutbox
	}
	return s.outbox, nil
}

// PrepareNotification returns the message of a row, with the application and the
// user as they are now. For KindSetPassword it stores a new token, which goes to
// the user's address; URL is left to the relay. It is for relays, which are the
// host's own: a Caller in ctx is ignored. A user that the store does not see is
// ErrNotFound, an application ErrUnknownApplication, a disabled one ErrForbidden.
// A kind that this version does not know is an error: a newer process knows it.
func (s *Service) PrepareNotification(ctx context.Context, row NotificationRecord) (Notification, error) {
	switch row.Kind {
	case KindAccountCreated, KindSetPassword, KindPasswordChanged:
	default:
		return Notification{}, errors.New("users: prepare notification: unknown kind")
	}
	app, err := s.store.FindApplication(ctx, ApplicationQuery{ID: row.ApplicationID})
	if err != nil {
		return Notification{}, fmt.Errorf("users: prepare notification: %w", err)
	}
	if app.Disabled {
		return Notification{}, &ForbiddenError{}
	}
	found, err := s.findUsers(ctx, UserQuery{ApplicationID: app.ID, IDs: []string{row.UserID}})
	if err != nil {
		return Notification{}, err
	}
	if len(found) == 0 {
		return Notification{}, fmt.Errorf("users: prepare notification: the user: %w", ErrNotFound)
	}
	n := Notification{ID: row.ID, Kind: row.Kind, Application: app, User: *answer(found[0].User)}
	if row.Kind == KindSetPassword {
		t, err := s.issueToken(ctx, TokenRecord{
			ApplicationID: app.ID, UserID: row.UserID, EmailKey: found[0].EmailKey, NotificationID: row.ID,
		})
		if err != nil {
			return Notification{}, err
		}
		n.Token, n.Expires = t.Secret, t.Expires
	}
	return n, nil
}
