package users

import (
	"context"
	"time"

	"github.com/gousers/users/password"
)

// The states of a [NotificationRecord]. Delivered ones are deleted.
const (
	StatePending   = "pending"
	StateDiscarded = "discarded" // given up, kept for a while for somebody to retry it
)

// NotificationRecord is a notification as it is stored until it is delivered.
// Its JSON is what operators may see.
type NotificationRecord struct {
	ID            string    `json:"id"`
	ApplicationID string    `json:"-"`
	UserID        string    `json:"userId"`
	Kind          string    `json:"kind"`                // KindAccountCreated, KindSetPassword
	State         string    `json:"state"`               // StatePending or StateDiscarded
	LastError     string    `json:"lastError,omitempty"` // at most 512 bytes
	Urgent        bool      `json:"urgent"`              // a user waits for it
	Attempts      int       `json:"attempts"`
	Created       time.Time `json:"created"`
	Due           time.Time `json:"due"` // of a discarded one: when it was given up
}

// OutboxStore is the capability of a [Store] to hand out the notifications that
// CreateUser wrote. A lease is a duration, judged by the store's own clock
// alone: workers whose clocks differ can share the work.
//
// A user has at most one pending notification of a kind.
type OutboxStore interface {
	// Enqueue adds r, pending and due now whatever r says; a zero Created is now.
	//
	// The more messages a user got the rarer are further ones: while the youngest of
	// the user's tokens is less than n squared times minGap old, it adds none. n counts
	// the messages that the tokens of the last RecoveryWindow belong to, however many
	// a message has; those without a NotificationID count as one. (A [TokenStore]
	// knows.)
	//
	// When a notification of the same user and kind is pending already, it adds none
	// and makes that one due now, and urgent if r is, unless a worker holds it. Nor is
	// that one hastened before it is as old as its Attempts squared times minGap, or
	// while a token of the user is less than minGap old: asking must not use up its
	// attempts.
	//
	// All of these return nil. Of concurrent calls for one user one adds a row. A user
	// that does not exist is ErrNotFound; else a taken ID is an error, and nothing
	// changes.
	Enqueue(ctx context.Context, r NotificationRecord, minGap time.Duration) error
	// Claim leases up to c.Limit pending notifications that are due and not leased
	// to anyone, all of one application, adds one to their Attempts, and returns
	// them: urgent ones first, then the longest due. Applications take turns: of
	// those that have such and are not in c.Except it is the first after c.After, in
	// the order of ids and around the end. If there is none, nothing is claimed. A
	// limit of 0 or less claims none.
	Claim(ctx context.Context, c Claim) ([]NotificationRecord, error)
	// Settle ends the lease that s.Worker holds. A worker whose lease has passed
	// to another (or whose notification is gone) gets ErrStale and changes nothing.
	Settle(ctx context.Context, s Settlement) error
	// ListNotifications returns notifications of one application in order of ID.
	ListNotifications(ctx context.Context, q NotificationQuery) ([]NotificationRecord, error)
	// Retry makes a discarded notification pending, due now, with no attempts;
	// ErrNotFound if there is no such discarded one. Where another of the same
	// user and kind is pending by now it is a *ConflictError with the member
	// "kind", and nothing changes.
	Retry(ctx context.Context, applicationID, id string) error
	// PurgeDiscarded deletes up to limit discarded notifications, of all
	// applications, that were given up at least age ago, and returns how many.
	PurgeDiscarded(ctx context.Context, age time.Duration, limit int) (int, error)
}

// Claim says who takes notifications, for how long, how many and of which
// application.
type Claim struct {
	Worker string // unique to the claiming worker
	Lease  time.Duration
	Limit  int
	After  string   // the id of the application that was served last; empty: none was
	Except []string // ids of applications that are passed over
}

// Outcome is what became of a claimed notification.
type Outcome int

// The outcomes. The zero Outcome is none.
const (
	// OutcomeDelivered: it was delivered, or there was nobody to tell. It is deleted.
	OutcomeDelivered Outcome = iota + 1
	// OutcomeRetry: the attempt failed; it is pending and due in RetryIn.
	OutcomeRetry
	// OutcomeReleased: it was not attempted; it is pending and due in RetryIn, and
	// the attempt that Claim counted is taken back.
	OutcomeReleased
	// OutcomeDiscarded: given up; it is kept as StateDiscarded, and Due is now.
	OutcomeDiscarded
)

// Settlement is the outcome of one lease.
type Settlement struct {
	ApplicationID, ID, Worker string
	Outcome                   Outcome
	LastError                 string        // the relay cuts it to 512 bytes
	RetryIn                   time.Duration // for OutcomeRetry and OutcomeReleased
}

// NotificationQuery selects notifications of one application.
type NotificationQuery struct {
	ApplicationID string   // set by the Service
	States        []string // none: all
	Page          Page
}

// PurposeSetPassword is the purpose of a token that sets a password.
const PurposeSetPassword = "set_password"

// TokenStore is the capability of a [Store] to keep one-time tokens, by their
// SHA-256 alone.
type TokenStore interface {
	// CreateToken adds t; a zero Created is now. A user that does not exist is
	// ErrNotFound.
	CreateToken(ctx context.Context, t TokenRecord) error
	// FindToken returns the token, dead or alive, with the Lifetime that is left;
	// ErrNotFound if there is none.
	FindToken(ctx context.Context, applicationID string, sum [32]byte) (TokenRecord, error)
	// RedeemToken sets the user's hash, ends a lock after failed sign-ins (Login:
	// Failures 0, LockedUntil zero; IsLockedOut stays), sets EmailVerified to r.Now if
	// the token has a NotificationID, adds one to the version, deletes all tokens of the
	// user and adds r.Notifications, in one transaction, if the token exists, is alive
	// and has an EmailKey that is empty or still the user's: otherwise ErrBadToken and
	// nothing changes. Of several calls with one token exactly one succeeds. A Store
	// without an outbox returns ErrUnsupported for an r with Notifications, and changes
	// nothing.
	RedeemToken(ctx context.Context, r Redemption) error
}

// TokenRecord is a one-time token as it is stored.
type TokenRecord struct {
	ApplicationID, UserID string
	Sum                   [32]byte // SHA-256 of the token
	Purpose               string   // PurposeSetPassword
	EmailKey              string   // of the address that the user had; empty: not known
	NotificationID        string   // of the message that carries it; empty: the host delivers it
	Created               time.Time
	Lifetime              time.Duration // from the call on; 0 or less: dead
}

// Redemption uses a token up.
type Redemption struct {
	ApplicationID, UserID string
	Sum                   [32]byte
	Hash                  password.Hash
	Now                   time.Time // becomes the user's DateUpdated and PasswordChanged
	// Notifications are added with the new hash, at most one of each kind; a zero
	// Created or Due is now. Where one of the kind is pending already it stays, and
	// none is added, unless a worker holds it: what that one tells may be what was
	// before. Then the new one takes its place.
	Notifications []NotificationRecord
}
