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

// Match is the outcome of [Verifier.Verify].
type Match struct {
	// OK says that the password is the one that was hashed.
	OK bool
	// Outdated says that it would be hashed in another way today,
	// so that it is worth hashing again now that the password is at hand. It is
	// only true together with OK.
	Outdated bool
}

// A Hasher makes hashes of one scheme, and verifies those that it made and their like.
// Passwords are bytes as [Normalize] returns them. It is a [Verifier], and what is said
// there holds for Hash too.
type Hasher interface {
	// Verifier takes any parameters of the scheme within the Hasher's limits. A
	// password that the scheme cannot take whole is ErrTooLong. Memory returns what
	// hashing takes if h is zero.
	Verifier

	// Hash returns a new hash with a fresh salt. A password that the scheme
	// cannot take whole is ErrTooLong, never shortened.
	Hash(pw []byte) (Hash, error)
}

var (
	// ErrTooLong is returned by a [Hasher] whose scheme takes fewer bytes than
	// the password has. Such a Hasher says its limit in a method MaxBytes() int,
	// to be found by a type assertion.
	ErrTooLong = errors.New("password: too long for the hash scheme")

	// ErrUnknownHash is returned by a [Verifier] for what it cannot verify.
	ErrUnknownHash = errors.New("password: unknown hash")
)
