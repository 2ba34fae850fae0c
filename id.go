package users

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// newULID returns a fresh ULID. The entropy is crypto/rand's for each id: a
// monotonic source would overflow within a millisecond and run backwards with
// the clock, and ulid.Make draws from math/rand.
func newULID() (string, error) {
	id, err := ulid.New(ulid.Timestamp(time.Now()), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("users: new id: %w", err)
	}
	return id.String(), nil
}

// parseID returns the canonical form of a ULID (26 characters, upper case) or a
// UUID (36 characters with hyphens, lower case; RFC 9562 section 4). Letters of
// either case are read, other forms are not ids.
func parseID(s string) (string, bool) {
	switch len(s) {
	case ulid.EncodedSize:
		if _, err := ulid.ParseStrict(s); err != nil {
			return "", false
		}
		return strings.ToUpper(s), true
	case 36:
		for i := range len(s) {
			switch c := s[i]; {
			case i == 8 || i == 13 || i == 18 || i == 23:
				if c != '-' {
					return "", false
				}
			case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			default:
				return "", false
			}
		}
		return strings.ToLower(s), true
	}
	return "", false
}

// optionalID is parseID for an id that may be absent: empty, or what isZeroID
// finds. It returns "" then.
func optionalID(s string) (id string, ok bool) {
	if s == "" || isZeroID(s) {
		return "", true
	}
	return parseID(s)
}

// isZeroID reports whether s is made of zeros, in any number and with hyphens
// between them, which generated clients send for "none".
func isZeroID(s string) bool {
	return strings.Trim(s, "0-") == "" && strings.Contains(s, "0")
}
