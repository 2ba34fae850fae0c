package users

import (
	"context"
	"errors"
	"time"

	"github.com/gousers/users/password"
)

// ErrUnknownRole is what [UserEditor.EditUser] returns for a role that does not
// exist. The [Service] reads the user and the roles anew then.
var ErrUnknownRole = errors.New("users: unknown role")

// UserEditor is the capability of a [Store] to change and delete users.
type UserEditor interface {
	// EditUser replaces the user with e's ID by e, all or nothing, if the stored
	// version is e.Version, and stores that plus one. CreatedBy, CreationDate,
	// DateCreated, LastLogin and Login stay as they are stored; so do Hash and
	// PasswordChanged without SetHash. Of each element of Roles the ID counts.
	//
	// A user that does not exist is ErrNotFound, another version ErrStale, keys that
	// another user of the application has are a *ConflictError that names every one
	// ("userName", "email"), a role that does not exist is ErrUnknownRole. They are
	// judged in this order, and nothing changes then. A Store without an outbox
	// returns ErrUnsupported for an e with Notifications.
	EditUser(ctx context.Context, e *UserEdit) error
	// DeleteUser deletes the user with its roles, its tokens and its notifications, in
	// one transaction: its keys are free from then on, and nothing that is under way
	// for it adds to what is deleted. Idempotency records stay. A user that does not
	// exist is ErrNotFound, another version than d.IfVersion is ErrStale.
	DeleteUser(ctx context.Context, d UserDeletion) error
}

// UserEdit is a user as it is to be.
type UserEdit struct {
	UserRecord
	// SetHash replaces Hash and PasswordChanged too, and ends a lock after failed
	// sign-ins (Login: Failures 0, LockedUntil zero).
	SetHash bool
	// DropTokens deletes the user's tokens, DropIssued those without a NotificationID.
	DropTokens, DropIssued bool
	// Notifications are added with the change, at most one of each kind; a zero
	// Created or Due is now. Where one of the kind is pending already it stays, and
	// none is added, unless a worker holds it: what that one tells may be what was
	// before. Then the new one takes its place.
	Notifications []NotificationRecord
}

// UserDeletion names the user to delete.
type UserDeletion struct {
	ApplicationID, ID string
	IfVersion         int64
}

// RoleEditor is the capability of a [Store] to change and delete roles.
type RoleEditor interface {
	// UpdateRole changes what u names. A role that does not exist is ErrNotFound; a
	// NameKey that another role of the application has is a *ConflictError with the
	// member "name", and nothing changes.
	UpdateRole(ctx context.Context, u RoleUpdate) error
	// DeleteRole deletes the role: from then on nobody has it. It costs the same
	// however many had it; what is left of their links is Purge's. The versions of
	// users do not change, and ids of deleted roles are not used again. A role that
	// does not exist is ErrNotFound.
	DeleteRole(ctx context.Context, applicationID, id string) error
}

// RoleUpdate changes one role; nil members stay as they are.
type RoleUpdate struct {
	ApplicationID, ID string
	Name              *RoleName
	Description       *string
	DateUpdated       time.Time
}

// RoleName is the name of a role with its key.
type RoleName struct{ Name, NameKey string }

// ApplicationEditor is the capability of a [Store] to list and change applications.
type ApplicationEditor interface {
	// ListApplications returns applications in order of ID: those with an ID greater
	// than p.After, at most p.Limit of them (0: all).
	ListApplications(ctx context.Context, p Page) ([]Application, error)
	// UpdateApplication replaces the application with a's ID, but for APIKey and
	// DateCreated, if the stored version is a.Version, and stores that plus one. One
	// that does not exist is ErrUnknownApplication, another version ErrStale.
	UpdateApplication(ctx context.Context, a Application) error
}

// LoginStore is the capability of a [Store] to count sign-ins. It never changes a
// user's version or DateUpdated.
type LoginStore interface {
	// BeginLogin counts a failure in advance and returns how many there are in a row
	// now, unless the user is locked by the Store's clock: then it changes nothing and
	// returns 0. From the a.Free-th failure on each one sets LockedUntil to now plus
	// a.First, doubled with each further failure, at most a.Max. Of calls that race each
	// counts, and no two that count return the same number. A user that does not exist
	// is 0, after the same work.
	BeginLogin(ctx context.Context, a LoginAttempt) (failures int, err error)
	// EndLogin forgets the failures, ends the lock and sets LastLogin to l.Now, unless
	// that is zero. If l.Hash is not zero it replaces l.OldHash, and leaves any other hash alone: a
	// password that was changed meanwhile stays. A user that is gone is no error.
	EndLogin(ctx context.Context, l LoginEnd) error
}

// LoginAttempt is a password that is about to be judged.
type LoginAttempt struct {
	ApplicationID, UserID string
	Free                  int // the failure that locks first, at least 1
	First, Max            time.Duration
}

// Lock returns how long the n-th failure in a row locks; 0: it does not.
func (a LoginAttempt) Lock(n int) time.Duration {
	free := max(a.Free, 1)
	if n < free {
		return 0
	}
	lock := min(a.First, a.Max)
	for ; n > free && 0 < lock && lock < a.Max; n-- {
		lock += min(lock, a.Max-lock) // no further: the double might be too much for a Duration
	}
	return lock
}

// LoginEnd is a password that was right.
type LoginEnd struct {
	ApplicationID, UserID string
	Now                   time.Time     // zero: LastLogin stays
	OldHash, Hash         password.Hash // Hash zero: no new one
}
