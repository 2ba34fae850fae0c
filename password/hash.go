package password

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
)

// Hash is a hashed password in the form that is stored: a PHC string such as
// "$argon2id$v=19$m=19456,t=2,p=1$…", or a modular crypt string such as
// "$2a$10$…". It names its own scheme and parameters.
//
// fmt and slog show a placeholder, and marshalling it is an error, because a
// hash in a log can be attacked at leisure. string(h) gives it for storage; as an
// argument of database/sql it is stored as it is. As a plain string type it is not
// as closed as [Text]: fmt prints it from an unexported field of a struct.
type Hash string

// String returns a placeholder. string(h) gives the hash.
func (h Hash) String() string { return redacted }

// GoString returns a placeholder.
func (h Hash) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (h Hash) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue returns a placeholder.
func (h Hash) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always returns an error, which holds nothing of the hash.
func (h Hash) MarshalText() ([]byte, error) { return nil, errSecret }

// Value returns the hash itself, for database/sql: some drivers store what
// String returns, which would lose it.
func (h Hash) Value() (driver.Value, error) { return string(h), nil }

// Match is the outcome of [Hasher.Verify].
type Match struct {
	// OK says that the password is the one that was hashed.
	OK bool
	// Outdated says that the Hasher would hash it with other parameters today,
	// so that it is worth hashing again now that the password is at hand. It is
	// only true together with OK.
	Outdated bool
}

// A Hasher makes and verifies hashes of one scheme. Passwords are bytes as
// [Normalize] returns them. Implementations are safe for concurrent use and keep
// nothing of what they were given. They take their time on purpose: call them
// through a [Gate].
type Hasher interface {
	// Hash returns a new hash with a fresh salt. A password that the scheme
	// cannot take whole is ErrTooLong, never shortened.
	Hash(pw []byte) (Hash, error)

	// Verify reports whether h was made from pw. A wrong password is not an
	// error. A hash of another scheme, a malformed one and one whose parameters
	// are beyond the Hasher's limits are ErrUnknownHash, at once.
	Verify(h Hash, pw []byte) (Match, error)

	// Memory returns the bytes of working memory that verifying h takes, or
	// that hashing takes if h is "". It is 0 for a hash that Verify would not
	// accept. It costs next to nothing.
	Memory(h Hash) int64
}

var (
	// ErrTooLong is returned by a [Hasher] whose scheme takes fewer bytes than
	// the password has. Such a Hasher says its limit in a method MaxBytes() int,
	// to be found by a type assertion.
	ErrTooLong = errors.New("password: too long for the hash scheme")

	// ErrUnknownHash is returned by [Hasher.Verify] for what it cannot verify.
	ErrUnknownHash = errors.New("password: unknown hash")
)
