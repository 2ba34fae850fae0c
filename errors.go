package users

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The classes of failure. Test for them with errors.Is; the structs below carry
// the detail for errors.As. What a [Store] returns besides is declared beside it.
// An error that is none of these is the host's own (from a hook, a Store or a
// context) and is returned wrapped.
var (
	// ErrValidation is the class of *ValidationError: members are invalid. Nothing was written.
	ErrValidation = errors.New("users: invalid")
	// ErrUnauthenticated: the caller in the context belongs to another
	// application, or there is none and Options.RequireCaller asks for one.
	// Nothing was written.
	ErrUnauthenticated = errors.New("users: not authenticated")
	// ErrUnknownApplication: no application has this apiKey. Nothing was written.
	ErrUnknownApplication = errors.New("users: unknown application")
	// ErrForbidden is the class of *ForbiddenError: the caller may not do this. Nothing was written.
	ErrForbidden = errors.New("users: forbidden")
	// ErrConflict is the class of *ConflictError: a unique member is taken. Nothing was written.
	ErrConflict = errors.New("users: conflict")
	// ErrNotFound: what was asked for does not exist. Nothing was written.
	ErrNotFound = errors.New("users: not found")
	// ErrIdempotencyMismatch: the idempotency key was used before, by the same
	// caller, with other parameters. Nothing was written.
	ErrIdempotencyMismatch = errors.New("users: idempotency key used with other parameters")
	// ErrOverloaded: the hashing queue is full, or that of RecoverPassword. Nothing
	// was written; errors.As finds a *password.OverloadedError that says when to retry.
	ErrOverloaded = errors.New("users: overloaded")
	// ErrTooManyRequests is the class of *TooManyRequestsError: a hook of the host
	// wants this client to wait. Nothing was written.
	ErrTooManyRequests = errors.New("users: too many requests")
	// ErrBadToken: a set-password token that is unknown, used or expired; the
	// three can't be told apart. Nothing was written.
	ErrBadToken = errors.New("users: bad token")
	// ErrBadCredentials: no such user, a wrong password, a user without one, or too many
	// failures; they can't be told apart.
	ErrBadCredentials = errors.New("users: bad credentials")
	// ErrLockedOut: the password was right, but the user is locked out (User.IsLockedOut).
	ErrLockedOut = errors.New("users: locked out")
	// ErrNotApproved: the password was right, but the user is not approved
	// (User.IsApproved).
	ErrNotApproved = errors.New("users: not approved")
)

// FieldError is one invalid member.
type FieldError struct {
	// Pointer is the JSON pointer (RFC 6901) of the member in the request
	// object, for example "/roles/0/name"; empty where the fault is not in a
	// member (an idempotency key).
	Pointer string
	// Code is stable and meant for programs, for example "required".
	Code string
	// Detail continues, in plain English, a sentence that begins with the member.
	// It never quotes what was sent.
	Detail string
	// Limit is the number in Detail where the rule is a limit, such as 15 or 256,
	// for pages that say it in another language; otherwise 0.
	Limit int
}

// ValidationError lists every invalid member of one request, in the order of
// [CreateMembers]. It matches [ErrValidation].
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

// ConflictError names every member whose value is already taken: "userName",
// "email" and "id" of a user, "id" and "name" of a role, "id" and "apiKey" of an
// application, "kind" of a notification. It matches [ErrConflict].
type ConflictError struct{ Members []string }

func (e *ConflictError) Error() string {
	return membersText(ErrConflict, "already taken: ", e.Members)
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// ForbiddenError says that the caller may not do this. Members names the
// privileged members that asked for too much; it is empty where the operation
// as a whole is refused. It matches [ErrForbidden].
type ForbiddenError struct {
	Members []string
	// Detail is the sentence of a hook that refused, for the client to read;
	// empty: the library's own. See HookError.
	Detail string
}

func (e *ForbiddenError) Error() string {
	text := membersText(ErrForbidden, "no permission for: ", e.Members)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Is reports whether target is [ErrForbidden].
func (e *ForbiddenError) Is(target error) bool { return target == ErrForbidden }

// TooManyRequestsError is what a hook of the host, such as Options.Admit, returns for
// a client that asks too often; the library itself never does. It matches
// [ErrTooManyRequests].
type TooManyRequestsError struct {
	// RetryAfter is when to come again. Over HTTP it is rounded up to whole
	// seconds, at least 1.
	RetryAfter time.Duration
}

func (e *TooManyRequestsError) Error() string {
	return fmt.Sprintf("%v: retry in %v", ErrTooManyRequests, e.RetryAfter)
}

// Is reports whether target is [ErrTooManyRequests].
func (e *TooManyRequestsError) Is(target error) bool { return target == ErrTooManyRequests }

func membersText(class error, lead string, members []string) string {
	if len(members) == 0 {
		return class.Error()
	}
	return class.Error() + ": " + lead + strings.Join(members, ", ")
}
