package password

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"unicode/utf8"
)

const redacted = "[redacted]"

// errSecret is what marshaling a [Secret] or a [Hash] returns.
var errSecret = errors.New("password: a secret is not marshaled")

// errNotString is what decoding anything but a string into a [Secret] returns.
var errNotString = errors.New("password: not a string of valid Unicode")

// Secret is a password as its owner wrote it, or another text that must not be
// seen, such as a one-time token. It refuses to print: fmt, log/slog,
// encoding/json, encoding/xml and everything else that asks a value for its text
// get a fixed placeholder or an error. [Secret.Reveal] is the one way to the
// characters.
//
// It holds a pointer because fmt and slog do not call the methods of a value in
// an unexported field: there they reach an address instead of the text.
//
// The zero Secret, and one made from "", stand for "none". Compare Secrets with
// [Secret.Equal]; == does not compile. A Secret is immutable and safe for
// concurrent use, except while one of its Unmarshal methods runs.
type Secret struct {
	_ [0]func() // no ==, which would compare pointers
	p *string
}

// New returns s as a Secret. New("") is the zero Secret.
func New(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{p: &s}
}

// Reveal returns the secret exactly as it was given. Do not pass it to anything
// that prints, stores or compares it: see [Normalize] and [Secret.Equal].
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.p == nil || *s.p == "" }

// Equal reports whether both are the same bytes, as a confirmation must be. The
// time it takes tells the lengths and nothing else.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns a placeholder.
func (s Secret) String() string { return redacted }

// GoString returns a placeholder.
func (s Secret) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always returns an error, which holds nothing of the secret.
func (s Secret) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalJSON always returns an error, which holds nothing of the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalBinary always returns an error, which holds nothing of the secret.
// encoding/gob asks it.
func (s Secret) MarshalBinary() ([]byte, error) { return nil, errSecret }

// UnmarshalText sets s to b, which must be valid UTF-8.
func (s *Secret) UnmarshalText(b []byte) error {
	if !utf8.Valid(b) {
		return errNotString
	}
	*s = New(string(b))
	return nil
}

// UnmarshalJSON sets s to a JSON string, and to the zero Secret for null. Invalid
// UTF-8 and lone surrogates are errors: encoding/json makes U+FFFD of them, and
// two different passwords would become equal.
func (s *Secret) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*s = Secret{}
		return nil
	}
	var text string
	if len(b) == 0 || b[0] != '"' || !utf8.Valid(b) || loneSurrogate(b) || json.Unmarshal(b, &text) != nil {
		return errNotString
	}
	*s = New(text)
	return nil
}

// loneSurrogate reports whether a JSON string holds half of a surrogate pair.
func loneSurrogate(b []byte) bool {
	high := false // what precedes is the first half of a pair
	for len(b) > 0 {
		n, low := 1, false
		if b[0] == '\\' && len(b) >= 2 {
			n = 2
			if b[1] == 'u' && len(b) >= 6 {
				n = 6
				u, _ := strconv.ParseUint(string(b[2:6]), 16, 16)
				low = u >= 0xDC00 && u < 0xE000
				if low && !high {
					return true
				}
				if u >= 0xD800 && u < 0xDC00 {
					if high {
						return true
					}
					high, b = true, b[6:]
					continue
				}
			}
		}
		if high && !low {
			return true
		}
		high, b = false, b[n:]
	}
	return false
}
