package users

import (
	"errors"
	"strings"
)

// The classes of failure. Test for them with errors.Is; the structs below carry
// the detail for errors.As. An error that is none of these is the host's own
// (from a hook, a Store or a context) and is passed on wrapped.
var (
	// ErrValidation is the class of *ValidationError: members were not understood. Nothing was written.
	ErrValidation = errors.New("users: invalid")
	// ErrUnauthenticated: the caller in the context belongs to another
	// application, or there is none and Options.RequireCaller asks for one.
	// Nothing was written.
	ErrUnauthenticated = errors.New("users: not authenticated")
	// ErrUnknownApplication: no application has this apiKey.
	ErrUnknownApplication = errors.New("users: unknown application")
	// ErrForbidden is the class of *ForbiddenError: the caller may not do this. Nothing was written.
	ErrForbidden = errors.New("users: forbidden")
	// ErrConflict is the class of *ConflictError: a unique member is taken. Nothing was written.
	ErrConflict = errors.New("users: conflict")
	// ErrNotFound: what was asked for is not there.
	ErrNotFound = errors.New("users: not found")
	// ErrIdempotencyMismatch: the idempotency key was used before, by the same
	// caller, with other parameters. Nothing was written.
	ErrIdempotencyMismatch = errors.New("users: idempotency key used with other parameters")
	// ErrIdempotencyKeyUsed is what [UserStore.CreateUser] answers when a live
	// record of the same key exists. Service.Create turns it into a replay or a
	// mismatch; hosts see it only where the record vanished in between: try again.
	ErrIdempotencyKeyUsed = errors.New("users: idempotency key used")
	// ErrOverloaded: the hashing queue is full. Nothing was written; errors.As
	// finds a *password.OverloadedError that says when to try again.
	ErrOverloaded = errors.New("users: overloaded")
	// ErrUnavailable: the store can't be reached now. The outcome of a write may
	// be unknown: the same idempotency key tells.
	ErrUnavailable = errors.New("users: store unavailable")
	// ErrRetryTx: the host's own transaction was aborted by the database
	// (serialization failure, deadlock) and must be repeated as a whole.
	ErrRetryTx = errors.New("users: transaction aborted, repeat it")
	// ErrStale is what [UserStore.UpdateUser] answers when the row has another
	// version than the update names.
	ErrStale = errors.New("users: changed by another writer")
	// ErrBadToken: a set-password token that is unknown, used or expired; the
	// three can't be told apart.
	ErrBadToken = errors.New("users: bad token")
	// ErrUnsupported: the Store lacks the optional capability that this needs.
	ErrUnsupported = errors.New("users: the store does not support this")
)

// FieldError is one invalid member.
type FieldError struct {
	// Pointer is the JSON pointer (RFC 6901) of the member in the request
	// object, for example "/roles/0/name"; empty where the fault is not in a
	// member (an idempotency key).
	Pointer string
	// Code is stable and meant for programs, for example "required".
	Code string
	// Detail is a plain English sentence. It never quotes what was sent.
	Detail string
}

// ValidationError lists every invalid member of one request, in the order of
// the contract's table. It matches [ErrValidation].
type ValidationError struct{ Fields []FieldError }

func (e *ValidationError) Error() string {
	var b strings.Builder
	b.WriteString(ErrValidation.Error())
	for i, f := range e.Fields {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		if f.Pointer != "" {
			b.WriteString(f.Pointer)
			b.WriteString(": ")
		}
		b.WriteString(f.Detail)
	}
	return b.String()
}

// Is reports whether target is [ErrValidation].
func (e *ValidationError) Is(target error) bool { return target == ErrValidation }

// ConflictError names every member whose value is already taken in the
// application: "userName", "email", "id", or "apiKey" and "name" where an
// application or a role is made. It matches [ErrConflict].
type ConflictError struct{ Members []string }

func (e *ConflictError) Error() string {
	return membersText(ErrConflict, "already taken: ", e.Members)
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// ForbiddenError says that the caller may not do this. Members names the
// privileged members that asked for too much; it is empty where the operation
// as a whole is refused. It matches [ErrForbidden].
type ForbiddenError struct{ Members []string }

func (e *ForbiddenError) Error() string {
	return membersText(ErrForbidden, "no permission for: ", e.Members)
}

// Is reports whether target is [ErrForbidden].
func (e *ForbiddenError) Is(target error) bool { return target == ErrForbidden }

func membersText(class error, lead string, members []string) string {
	if len(members) == 0 {
		return class.Error()
	}
	return class.Error() + ": " + lead + strings.Join(members, ", ")
}
