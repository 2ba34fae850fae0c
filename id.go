package users

import (
	"crypto/rand"
	"encoding/hex"
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

// Bounds of a short id: 128 bits, six or five a digit.
const (
	minShortID = 22
	maxShortID = 26
)

// shortDigits are the digits of a short id, by value.
const shortDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ShortID returns the id, a ULID or a UUID, as the digits of base 62 in which the
// published .NET client of this API writes 16 bytes: 22 or, of one id in a hundred, 23
// to 26 of them. What is no id is returned as it is.
func ShortID(id string) string {
	b, ok := idBytes(id)
	if !ok {
		return id
	}

	// Six bits a digit, from the top. There are two digits too few for that: where the
	// next five bits are 11110 or 11111 a digit stands for these five alone. The bits
	// that are left at the end are a digit of their own.
	digits := make([]byte, 0, maxShortID)
	for at := 0; at < 128; {
		n := min(6, 128-at)
		v := bits(&b, at, n)
		if n == 6 && v >= 60 {
			v, n = 60+(v-60)/2, 5
		}
		digits = append(digits, shortDigits[v])
		at += n
	}
	return string(digits)
}

// LongIDs returns the ids that short, as ShortID writes it, may stand for: first the
// ULID, then the UUID. What ShortID never writes is no short id: nil.
func LongIDs(short string) []string {
	if len(short) < minShortID || len(short) > maxShortID {
		return nil
	}
	var b [16]byte
	at := 0
	for i := range len(short) {
		v, n := strings.IndexByte(shortDigits, short[i]), min(6, 128-at)
		if v >= 60 && n >= 5 {
			v, n = v-60+0b11110, 5
		}
		if v < 0 || n == 0 || v>>n != 0 {
			return nil
		}
		setBits(&b, at, n, v)
		at += n
	}
	long := ulid.ULID(b).String()
	if at != 128 || ShortID(long) != short {
		return nil
	}
	return []string{long, fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])}
}

// idBytes returns the 128 bits of an id.
func idBytes(id string) (b [16]byte, ok bool) {
	id, ok = parseID(id)
	if !ok {
		return b, false
	}
	if len(id) == ulid.EncodedSize {
		return ulid.MustParseStrict(id), true
	}
	_, err := hex.Decode(b[:], []byte(strings.ReplaceAll(id, "-", "")))
	return b, err == nil
}

// bits returns the n bits of b from at on, the highest first.
func bits(b *[16]byte, at, n int) (v int) {
	for i := at; i < at+n; i++ {
		v = v<<1 | int(b[i/8]>>(7-i%8)&1)
	}
	return v
}

// setBits sets the n bits of b from at on, which are zero, to v.
func setBits(b *[16]byte, at, n, v int) {
	for i := at; i < at+n; i++ {
		b[i/8] |= byte(v>>(at+n-1-i)&1) << (7 - i%8)
	}
}
