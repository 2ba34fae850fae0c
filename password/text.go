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

// errSecret is what marshalling a [Text] or a [Hash] returns.
var errSecret = errors.New("password: a secret is not marshalled")

// errNotText is what decoding something else than a text into a [Text] returns.
var errNotText = errors.New("password: not a string of valid Unicode")

// Text is a password as its owner wrote it. It refuses to print: fmt, log/slog,
// encoding/json, encoding/xml and everything else that asks a value for its text
// get a fixed placeholder or an error. [Text.Reveal] is the one way to the
// characters.
//
// It holds a pointer because fmt and slog do not call the methods of a value in
// an unexported field: there they reach an address instead of the text.
//
// The zero Text, and one made from "", stand for "no password". Compare Texts
// with [Text.Equal]; == compares pointers. A Text is immutable and safe for
// concurrent use, except while one of its Unmarshal methods runs.
type Text struct{ p *string }

// New returns s as a Text. New("") is the zero Text.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{&s}
}

// Reveal returns the password exactly as it was given. Do not pass it to
// anything that prints, stores or compares it: see [Normalize] and [Text.Equal].
func (t Text) Reveal() string {
	if t.p == nil {
		return ""
	}
	return *t.p
}

// IsZero reports whether there is no password.
func (t Text) IsZero() bool { return t.p == nil || *t.p == "" }

// Equal reports whether both are the same bytes, as a confirmation must be. The
// time it takes tells the lengths and nothing else.
func (t Text) Equal(o Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(o.Reveal())) == 1
}

// String returns a placeholder.
func (t Text) String() string { return redacted }

// GoString returns a placeholder.
func (t Text) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (t Text) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue returns a placeholder.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always returns an error, which holds nothing of the password.
func (t Text) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalJSON always returns an error, which holds nothing of the password.
func (t Text) MarshalJSON() ([]byte, error) { return nil, errSecret }

// UnmarshalText sets t to b, which must be valid UTF-8.
func (t *Text) UnmarshalText(b []byte) error {
	if !utf8.Valid(b) {
		return errNotText
	}
	*t = New(string(b))
	return nil
}

// UnmarshalJSON sets t to a JSON string, and to the zero Text for null. Invalid
// UTF-8 and lone surrogates are errors: encoding/json makes U+FFFD of them, and
// two different passwords would become equal.
func (t *Text) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*t = Text{}
		return nil
	}
	var s string
	if len(b) == 0 || b[0] != '"' || !utf8.Valid(b) || loneSurrogate(b) || json.Unmarshal(b, &s) != nil {
		return errNotText
	}
	*t = New(s)
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
