package users

import (
	"context"
	"time"

	"github.com/gousers/users/password"
)

// Store keeps applications, roles, users and idempotency records. It holds no
// policy: it persists what it is given, all or nothing, and reports collisions.
// The Service has validated, normalised and authorised everything before.
//
// The contract, which package storetest checks clause by clause:
//
//   - Every method is safe for concurrent use and honours ctx: when ctx is done
//     before the write took effect, nothing is written and the error matches
//     the context's.
//   - Everything but an application's own id and apiKey belongs to one
//     application; nothing is ever found or clashes across applications.
//   - Keys (ids, apiKeys, NameKey, EmailKey, Replay keys) are compared byte for
//     byte: no collation, no padding, no case folding.
//   - Values come back as they were given: times to the microsecond in UTC from
//     year 1 to 9999, DashboardSettings byte for byte, strings unchanged.
//   - Slices, maps and pointers passed in stay the caller's, those returned are
//     the caller's own: a Store copies.
//   - What is absent is answered with [ErrNotFound] by single look-ups and with
//     an empty slice by the Find methods that take lists.
//   - A back end that can't be reached is [ErrUnavailable], wrapped with its cause.
//
// Optional capabilities are separate interfaces that a Store may implement as
// well: [OutboxStore], [TokenStore], [HostTx].
type Store interface {
	ApplicationStore
	RoleStore
	UserStore
	ReplayStore
}

// ApplicationStore keeps applications.
type ApplicationStore interface {
	// CreateApplication adds a. A taken ID or APIKey is a *ConflictError with
	// the members "id" and "apiKey".
	CreateApplication(ctx context.Context, a Application) error
	// FindApplication gives the application with q's ID or, if that is empty,
	// its APIKey; ErrUnknownApplication if there is none.
	FindApplication(ctx context.Context, q ApplicationQuery) (Application, error)
}

// ApplicationQuery names one application by ID or by APIKey.
type ApplicationQuery struct{ ID, APIKey string }

// RoleStore keeps the roles of applications.
type RoleStore interface {
	// CreateRole adds r to the application. A taken ID or NameKey is a
	// *ConflictError with the members "id" and "name"; an application that does
	// not exist is ErrUnknownApplication.
	CreateRole(ctx context.Context, applicationID string, r RoleRecord) error
	// FindRoles gives the roles of q.ApplicationID whose ID is in q.IDs or whose
	// NameKey is in q.NameKeys, each once, in order of ID. With neither it
	// lists all roles in order of ID, a page at a time.
	FindRoles(ctx context.Context, q RoleQuery) ([]RoleRecord, error)
}

// RoleRecord is a role as it is stored.
type RoleRecord struct {
	Role
	NameKey string
}

// RoleQuery selects roles of one application.
type RoleQuery struct {
	ApplicationID string
	IDs, NameKeys []string
	// Page applies to a listing (no IDs and no NameKeys): roles whose ID is
	// greater than After, at most Limit of them (0 is no limit).
	Page Page
}

// UserStore keeps users.
type UserStore interface {
	// CreateUser writes everything in n in one transaction: the user with its
	// credential, its role links, n.Replay, n.Notification; then it runs n.InTx
	// inside that transaction. When it returns nil all of that is durable, on
	// any error that it can vouch for none of it is. It never changes n.
	//
	// A clash with the unique keys of the application (ID, NameKey, EmailKey) is
	// a *ConflictError that names every clashing member in the order "userName",
	// "email", "id". A live n.Replay key is ErrIdempotencyKeyUsed, and that
	// comes before a conflict; a record whose Expires is not after n.DateCreated
	// is dead and is replaced. An application that does not exist is
	// ErrUnknownApplication, a role of n.Roles that does not exist in it is
	// ErrNotFound. An error of n.InTx undoes everything and is returned wrapped.
	// A Store that keeps no outbox answers ErrUnsupported to an n with a
	// Notification.
	//
	// A store that owns its transaction repeats it after a serialization
	// failure or a deadlock, n.InTx included; a clash with the row of its own
	// earlier attempt (same ID) is then success.
	CreateUser(ctx context.Context, n *NewUser) error
	// FindUsers gives every user of q.ApplicationID whose ID is in q.IDs, whose
	// NameKey is in q.NameKeys or whose EmailKey is in q.EmailKeys, each once, in
	// order of ID. With KeysOnly only ApplicationID, ID, NameKey and EmailKey
	// need to be filled.
	FindUsers(ctx context.Context, q UserQuery) ([]UserRecord, error)
	// UpdateUser changes what u names and adds one to the version, if the
	// stored version is u.IfVersion: otherwise ErrStale. A user that does not
	// exist is ErrNotFound.
	UpdateUser(ctx context.Context, u UserUpdate) error
}

// UserRecord is a user as it is stored. Times are UTC, truncated to microseconds.
type UserRecord struct {
	User
	ApplicationID string
	// NameKey (at most 1,024 bytes) and EmailKey (at most 320 bytes) are the
	// canonical keys, each unique in the application.
	NameKey, EmailKey string
	// KeyVersion is the version of the rules that made the keys.
	KeyVersion int
	// Hash is empty while the user has no usable password.
	Hash    password.Hash
	Login   LoginState
	Version int64 // 1 for a new user
}

// LoginState counts failed sign-ins.
type LoginState struct {
	Failures    int
	LockedUntil time.Time // zero: not locked
}

// NewUser is everything that comes into being with a user, atomically.
type NewUser struct {
	// UserRecord holds the user. Of each element of Roles the ID counts.
	UserRecord
	Replay       *Replay                         // nil: no idempotency key
	Notification *OutboxRow                      // nil: nothing to tell
	InTx         func(ctx context.Context) error // nil: no host code; see Options.OnCreate
}

// UserQuery selects users of one application by any of the keys.
type UserQuery struct {
	ApplicationID            string
	IDs, NameKeys, EmailKeys []string
	KeysOnly                 bool
}

// UserUpdate changes one user; nil members stay as they are.
type UserUpdate struct {
	ApplicationID, ID       string
	IfVersion               int64
	Hash                    *password.Hash
	IsApproved, IsLockedOut *bool
	Login                   *LoginState
	DateUpdated             time.Time
}

// ReplayStore keeps idempotency records. They are written by CreateUser only.
type ReplayStore interface {
	// FindReplay gives the record, dead or alive; ErrNotFound if there is none.
	FindReplay(ctx context.Context, k ReplayKey) (Replay, error)
	// Purge deletes up to limit idempotency records and, where the Store keeps
	// them, set-password tokens whose Expires is not after before, of all
	// applications, and reports how many.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)
}

// ReplayKey names an idempotency record: the application, whose key it is, and the key.
type ReplayKey struct{ ApplicationID, Scope, Key string }

// Replay remembers which user an idempotency key made.
type Replay struct {
	ReplayKey
	Fingerprint [32]byte // of the parameters, the password left out
	UserID      string
	Expires     time.Time
}

// HostTx is a capability of a Store whose writes become durable only when the
// host commits a transaction of its own, such as sqlstore's WithTx gives. A
// Service on such a Store does not call Options.AfterCreate.
type HostTx interface{ InHostTx() }

// The states of an OutboxRow. Delivered rows are deleted.
const (
	StatePending   = "pending"
	StateAbandoned = "abandoned"
)

// OutboxRow is a notification that waits to be delivered.
type OutboxRow struct {
	ID            string    `json:"id"`
	ApplicationID string    `json:"-"`
	UserID        string    `json:"userId"`
	Kind          string    `json:"kind"`                // KindAccountCreated, KindSetPassword
	State         string    `json:"state"`               // StatePending or StateAbandoned
	LastError     string    `json:"lastError,omitempty"` // at most 512 bytes
	Attempts      int       `json:"attempts"`
	Created       time.Time `json:"created"`
	Due           time.Time `json:"due"`
}

// OutboxStore is the capability of a Store to hand out the notifications that
// CreateUser wrote. A lease is a duration, judged by the store's own clock
// alone: workers whose clocks differ share the work all the same.
type OutboxStore interface {
	// Enqueue adds r, due now. It does nothing and returns nil when a pending
	// row of the same application, user and kind exists, or when a token of the
	// user was created less than minGap before r.Created (a [TokenStore] knows).
	// Of calls that race for one user one adds a row. A user that does not
	// exist is ErrNotFound.
	Enqueue(ctx context.Context, r OutboxRow, minGap time.Duration) error
	// Claim leases up to c.Limit pending rows that are due and not leased to
	// anyone, the longest due first, over all applications, adds one to
	// their Attempts, and gives them.
	Claim(ctx context.Context, c Claim) ([]OutboxRow, error)
	// Settle ends the lease that s.Worker holds on a row. A worker whose lease
	// has passed to another (or whose row is gone) gets ErrStale and changes nothing.
	Settle(ctx context.Context, s Settlement) error
	// FindNotifications gives the rows of one application in order of ID.
	FindNotifications(ctx context.Context, q NotificationQuery) ([]OutboxRow, error)
	// Retry makes an abandoned row pending, due now, with no attempts;
	// ErrNotFound if there is no such abandoned row.
	Retry(ctx context.Context, applicationID, id string) error
}

// Claim says who takes rows, for how long and how many.
type Claim struct {
	Worker string // unique to the claiming worker
	Lease  time.Duration
	Limit  int
}

// Settlement is the outcome of one delivery.
type Settlement struct {
	ApplicationID, ID, Worker string
	// State is empty when the row was delivered (it is deleted), StatePending
	// for another try in RetryIn, or StateAbandoned.
	State     string
	LastError string // at most 512 bytes
	RetryIn   time.Duration
	// NotTried takes the attempt back that Claim counted: the row was not
	// handed to the notifier.
	NotTried bool
}

// NotificationQuery selects notifications of one application. No States means all.
type NotificationQuery struct {
	ApplicationID string // set by the Service
	States        []string
	Page          Page
}

// TokenStore is the capability of a Store to keep one-time set-password tokens,
// by their SHA-256 alone.
type TokenStore interface {
	// CreateToken adds t. A user that does not exist is ErrNotFound.
	CreateToken(ctx context.Context, t TokenRecord) error
	// FindToken gives the token, dead or alive; ErrNotFound if there is none.
	FindToken(ctx context.Context, applicationID string, sum [32]byte) (TokenRecord, error)
	// RedeemToken sets the user's hash, adds one to the version and deletes all
	// tokens of the user, in one transaction, if the token exists and expires
	// after r.Now: otherwise ErrBadToken and nothing changes. Of several calls
	// with one token exactly one succeeds.
	RedeemToken(ctx context.Context, r Redemption) error
}

// TokenRecord is a set-password token as it is stored.
type TokenRecord struct {
	ApplicationID, UserID string
	Sum                   [32]byte // SHA-256 of the token
	Created, Expires      time.Time
}

// Redemption uses a token up.
type Redemption struct {
	TokenRecord
	Hash password.Hash
	Now  time.Time // becomes the user's DateUpdated
}
