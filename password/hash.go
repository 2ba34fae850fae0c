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
// It is as closed as a [Secret], because a hash in a log can be attacked at
// leisure. [Hash.Reveal] returns the string; as an argument of database/sql a
// Hash is stored as it is, and null if it is zero. The zero Hash, and one made
// from "", stand for "none".
type Hash struct{ s Secret }

// NewHash returns the hash that is written s.
func NewHash(s string) Hash { return Hash{New(s)} }

// Reveal returns the hash as it is stored.
func (h Hash) Reveal() string { return h.s.Reveal() }

// IsZero reports whether there is no hash.
func (h Hash) IsZero() bool { return h.s.IsZero() }

// Equal reports whether both are the same bytes.
func (h Hash) Equal(other Hash) bool { return h.s.Equal(other.s) }

// String returns a placeholder.
func (h Hash) String() string { return redacted }

// GoString returns a placeholder.
func (h Hash) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (h Hash) Format(f fmt.State, verb rune) { h.s.Format(f, verb) }

// LogValue returns a placeholder.
func (h Hash) LogValue() slog.Value { return h.s.LogValue() }

// MarshalText always returns an error, which holds nothing of the hash.
func (h Hash) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalBinary always returns an error, which holds nothing of the hash.
// encoding/gob asks it.
func (h Hash) MarshalBinary() ([]byte, error) { return nil, errSecret }

// UnmarshalText sets h to b, which must be valid UTF-8.
func (h *Hash) UnmarshalText(b []byte) error { return h.s.UnmarshalText(b) }

// Value returns the hash itself, for database/sql; nil if it is zero.
func (h Hash) Value() (driver.Value, error) {
	if h.IsZero() {
		return nil, nil
	}
	return h.Reveal(), nil
}

// Scan sets h to a value of a database, and to the zero Hash for null.
func (h *Hash) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		*h = Hash{}
	case string:
		*h = NewHash(src)
	case []byte:
		*h = NewHash(string(src))
	default:
		return fmt.Errorf("password: a hash can't be a %T", src)
	}
	return nil
}

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
	// that hashing takes if h is zero. It is 0 for a hash that Verify would not
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
