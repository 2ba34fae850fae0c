package users

import (
	"context"
	"errors"
	"time"

	"github.com/gousers/users/password"
)

// Store keeps applications, roles, users and idempotency records. It holds no
// policy: it persists what it is given, all or nothing, and reports conflicts.
// The [Service] has validated, normalized and authorized everything before.
//
// The contract, which package storetest checks clause by clause:
//
//   - Every method is safe for concurrent use, except on a Store inside a
//     transaction of the host's, and honors ctx: when ctx is done before the
//     write took effect, nothing is written and the error matches the context's.
//   - Everything but an application's own id and apiKey belongs to one
//     application; nothing is ever found or in conflict across applications.
//   - Keys (ids, apiKeys, NameKey, EmailKey, idempotency keys) are compared byte
//     for byte: no collation, no padding, no case folding.
//   - Values are returned as they were given: times to the microsecond in UTC
//     from year 1 to 9999, DashboardSettings byte for byte, strings unchanged.
//   - Slices, maps and pointers passed in stay the caller's, those returned are
//     the caller's own: a Store copies.
//   - What is absent is [ErrNotFound] for methods that return or change one thing,
//     and an empty slice for those that return a slice. An application that does
//     not exist is [ErrUnknownApplication] where the method says so, and otherwise
//     like one without contents.
//   - A Find method without keys finds nothing; what lists is called List. The
//     order of ids is that of their bytes.
//   - A back end that can't be reached is [ErrUnavailable], wrapped with its cause.
//   - What processes must agree on, what is due and what has ended, is judged by the
//     Store's own clock alone: a [Service] tells it durations, not times.
//
// # Capabilities
//
// What not every Store can do is a small interface of its own, which a Store may
// implement as well: [OutboxStore], [TokenStore], [UserLister], [UserEditor],
// [RoleEditor], [ApplicationEditor], [LoginStore], [BatchStore]. Without it the
// methods of [Service] that need it return [ErrUnsupported]. A Store that wraps another,
// for logging or metrics, has a method
//
//	Unwrap() users.Store
//
// and then need not repeat the capabilities of the one inside; see [StoreAs].
//
// # Transactions of the host's own
//
// A Store can write inside a transaction that the host begins and ends, as the
// one that sqlstore's WithTx returns does. It promises besides, and RunTx of
// package storetest checks:
//
//   - Writes become durable only when the host commits, and not if it rolls back.
//   - A call that returns an error has written nothing, even if the host ignores
//     the error and commits.
//   - An error other than ErrRetryTx and ErrUnavailable leaves the transaction
//     usable; on PostgreSQL that takes a savepoint.
//   - Of two transactions that race, the one whose write comes second is answered
//     as if it began after the end of the first. Where the isolation level does
//     not allow that, it is ErrRetryTx, and the repeated transaction is answered so.
//   - A NewUser without HostTx is refused.
//
// # How the contract grows
//
// A field is added to a struct below only where a Store that ignores it still
// answers truly. Everything else is a new interface: an older Store must never
// return nil and drop what it did not know of.
type Store interface {
	ApplicationStore
	RoleStore
	UserStore
	IdempotencyStore
}

// What a Store returns, beside [ErrNotFound], [ErrUnknownApplication] and
// [*ConflictError].
var (
	// ErrStale: the row changed since it was read, or its lease belongs to another
	// worker by now. Nothing was written. A [Service] returns it where its caller asked
	// for a version, see UserChange.IfVersion, and inside the host's own transaction,
	// where another writer's change is not visible: roll back and retry.
	ErrStale = errors.New("users: changed by another writer")
	// ErrIdempotencyKeyUsed is returned by [UserStore.CreateUser] when a live
	// record of the same key exists. [Service.Create] turns it into the user of
	// that key or a mismatch; hosts see it only where the record vanished in
	// between: retry the whole operation.
	ErrIdempotencyKeyUsed = errors.New("users: idempotency key used")
	// ErrRetryTx: the database aborted the host's own transaction (serialization
	// failure, deadlock). Roll it back and repeat it as a whole.
	ErrRetryTx = errors.New("users: transaction aborted, retry it")
	// ErrUnavailable: the Store can't be reached now. The outcome of a write may
	// be unknown: repeat it with the same idempotency key to find out.
	ErrUnavailable = errors.New("users: store unavailable")
	// ErrUnsupported: the Store lacks the capability that this needs.
	ErrUnsupported = errors.New("users: the store does not support this")
)

// StoreAs returns the first value of type T in the chain of s: s itself, or what
// its method Unwrap() Store leads to, as errors.As does for errors. It is how a
// [Service] finds capabilities, so that a wrapper keeps those of what it wraps.
func StoreAs[T any](s Store) (T, bool) {
	for s != nil {
		if t, ok := s.(T); ok {
			return t, true
		}

		wrapper, ok := s.(interface{ Unwrap() Store })
		if !ok {
			break
		}
		s = wrapper.Unwrap()
	}
	var none T
	return none, false
}

// ApplicationStore keeps applications.
type ApplicationStore interface {
	// CreateApplication adds a. A taken ID or APIKey is a *ConflictError with
	// the members "id" and "apiKey".
	CreateApplication(ctx context.Context, a Application) error
	// FindApplication returns the application with q's ID or, if that is empty,
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
	// FindRoles returns the roles of q.ApplicationID whose ID is in q.IDs or
	// whose NameKey is in q.NameKeys, each once, in order of ID.
	FindRoles(ctx context.Context, q RoleQuery) ([]RoleRecord, error)
	// ListRoles returns the roles of the application in order of ID: those with
	// an ID greater than p.After, at most p.Limit of them (0: all).
	ListRoles(ctx context.Context, applicationID string, p Page) ([]RoleRecord, error)
}

// RoleRecord is a role as it is stored.
type RoleRecord struct {
	Role
	NameKey string
}

// RoleQuery selects roles of one application by any of the keys.
type RoleQuery struct {
	ApplicationID string
	IDs, NameKeys []string
}

// UserStore keeps users.
type UserStore interface {
	// CreateUser writes everything in n in one transaction: the user with its
	// credential, its role links, n.Idempotency, n.Notifications; then it runs
	// n.OnCreate inside that transaction. When it returns nil all of that is durable
	// together; if it returns an error and knows that the transaction was rolled
	// back, nothing was stored. It never changes n.
	//
	// A conflict with the unique keys of the application (ID, NameKey, EmailKey)
	// is a *ConflictError that names every member in conflict, as CheckConflict
	// does. A live n.Idempotency key is ErrIdempotencyKeyUsed, and that comes
	// before a conflict; a record whose Lifetime has passed is dead and is replaced.
	// A zero Created or Due of n.Notifications is now. An application that does not
	// exist is ErrUnknownApplication, a role of n.Roles that does not exist in it is
	// ErrNotFound. An error of n.OnCreate rolls everything back and is returned
	// wrapped. A Store that keeps no outbox returns ErrUnsupported for an n with
	// Notifications.
	//
	// A Store that owns its transaction retries it after a serialization failure
	// or a deadlock, n.OnCreate included; a conflict with the row of its own earlier
	// attempt (same ID) is then success.
	CreateUser(ctx context.Context, n *NewUser) error
	// FindUsers returns every user of q.ApplicationID whose ID is in q.IDs, whose
	// NameKey is in q.NameKeys or whose EmailKey is in q.EmailKeys, each once, in
	// order of ID. With KeysOnly only ApplicationID, ID, NameKey and EmailKey
	// need to be filled.
	FindUsers(ctx context.Context, q UserQuery) ([]UserRecord, error)
	// SetUserStatus changes what u names and adds one to the version, if the
	// stored version is u.IfVersion: otherwise ErrStale. A user that does not
	// exist is ErrNotFound.
	SetUserStatus(ctx context.Context, u StatusUpdate) error
}

// UserRecord is a user as it is stored. Times are UTC, truncated to microseconds.
type UserRecord struct {
	// User has its Roles in full, as they are now, in order of ID. The Service sets
	// Version to 1 for a new user, the Store adds one for each change.
	User
	ApplicationID string
	// NameKey and EmailKey are the canonical keys, each unique in the application.
	// A Store must hold 1,024 bytes of the first and 320 bytes of the second.
	NameKey, EmailKey string
	// KeyVersion is the version of the rules that made the keys.
	KeyVersion int
	// DisplayKey is the form of Name in which it is sorted and searched; at most
	// 1,024 bytes, not unique.
	DisplayKey string
	// Hash is empty while the user has no usable password; at most 1,024 bytes.
	Hash  password.Hash
	Login LoginState
}

// LoginState is what sign-ins that fail leave behind.
type LoginState struct {
	Failures    int       // since the last success
	LockedUntil time.Time // zero: not locked
}

// NewUser is everything that is created together with a user, atomically.
type NewUser struct {
	// UserRecord holds the user. Of each element of Roles only the ID is used.
	UserRecord
	Idempotency   *IdempotencyRecord   // nil: no idempotency key
	Notifications []NotificationRecord // at most one of each kind
	// OnCreate is host code to run inside the transaction; nil: none. See Options.OnCreate.
	OnCreate func(ctx context.Context) error
	// HostTx says that the Service knows that the host ends the transaction
	// (see Service.InTx). A Store inside such a transaction refuses a NewUser
	// without it: what follows a commit must not run before it.
	HostTx bool
}

// CheckConflict returns the *ConflictError of adding r beside existing, which
// are rows of the same application that share a key with it, and nil if none
// does. Stores should use it, so that all name the same members in the same
// order: "userName", "email", "id".
func CheckConflict(r *UserRecord, existing []UserRecord) error {
	var name, email, id bool
	for i := range existing {
		name = name || existing[i].NameKey == r.NameKey
		email = email || existing[i].EmailKey == r.EmailKey
		id = id || existing[i].ID == r.ID
	}

	var members []string
	if name {
		members = append(members, "userName")
	}
	if email {
		members = append(members, "email")
	}
	if id {
		members = append(members, "id")
	}
	if members == nil {
		return nil
	}
	return &ConflictError{Members: members}
}

// UserQuery selects users of one application by any of the keys.
type UserQuery struct {
	ApplicationID            string
	IDs, NameKeys, EmailKeys []string
	KeysOnly                 bool
}

// StatusUpdate changes the status of one user; nil members stay as they are.
type StatusUpdate struct {
	ApplicationID, ID       string
	IfVersion               int64
	IsApproved, IsLockedOut *bool
	DateUpdated             time.Time
}

// IdempotencyStore keeps idempotency records. Only CreateUser writes them.
type IdempotencyStore interface {
	// FindIdempotencyRecord returns the record, dead or alive, with the Lifetime
	// that is left; ErrNotFound if there is none.
	FindIdempotencyRecord(ctx context.Context, k IdempotencyKey) (IdempotencyRecord, error)
	// Purge deletes up to limit of what is of no more use, of all applications, and
	// returns how many: dead idempotency records, in a [TokenStore] tokens that ended a
	// RecoveryWindow ago or earlier, and in a [RoleEditor] what deleted roles left. A
	// limit of 0 or less deletes none.
	Purge(ctx context.Context, limit int) (int, error)
}

// IdempotencyKey names an idempotency record: the application, whose key it is,
// and the key.
type IdempotencyKey struct{ ApplicationID, Caller, Key string }

// IdempotencyRecord remembers which user an idempotency key created.
type IdempotencyRecord struct {
	IdempotencyKey
	Fingerprint [32]byte // of the parameters without the password
	UserID      string
	Lifetime    time.Duration // from the call on; 0 or less: dead
}
