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

// shortDigits are those of the .NET client's short ids. A digit is six bits; the
// last two are 11110 and 11111, five bits, and what is left at the end is a digit too.
const shortDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const (
	idBits       = 128
	fiveBitDigit = 60 // the first of the digits that are five bits
)

// ShortID returns a ULID or UUID as the 22 to 26 digits in which the .NET client of
// this API writes its 16 bytes. What is neither is returned as it is.
func ShortID(id string) string {
	b, ok := idBytes(id)
	if !ok {
		return id
	}

	short := make([]byte, 0, 26)
	for at := 0; at < idBits; {
		n := min(6, idBits-at)
		v := bitsAt(&b, at, n)
		if n == 6 && v>>1 >= 30 {
			v, n = v>>1+30, 5
		}
		short = append(short, shortDigits[v])
		at += n
	}
	return string(short)
}

// LongIDs returns the ids of which ShortID makes short, as a ULID and as a UUID; nil
// if there are none.
func LongIDs(short string) []string {
	var b [idBits / 8]byte
	if len(short) < 22 || len(short) > 26 {
		return nil
	}
	at := 0
	for i := range len(short) {
		v, n := strings.IndexByte(shortDigits, short[i]), min(6, idBits-at)
		if v >= fiveBitDigit {
			v, n = v-30, 5
		}
		if v < 0 || n < 1 || at+n > idBits || v>>n != 0 {
			return nil
		}
		for bit := n - 1; bit >= 0; bit-- {
			b[at/8] |= byte(v>>bit&1) << (7 - at%8)
			at++
		}
	}
	h := hex.EncodeToString(b[:])
	ids := []string{ulid.ULID(b).String(), h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]}
	if ShortID(ids[0]) != short { // written in another way than ShortID does
		return nil
	}
	return ids
}

// bitsAt returns n bits of b from at on.
func bitsAt(b *[idBits / 8]byte, at, n int) (v int) {
	for i := at; i < at+n; i++ {
		v = v<<1 | int(b[i/8]>>(7-i%8)&1)
	}
	return v
}

// idBytes returns the bytes of a ULID or UUID.
func idBytes(id string) (b [idBits / 8]byte, ok bool) {
	canonical, ok := parseID(id)
	if !ok {
		return b, false
	}
	if len(canonical) == ulid.EncodedSize {
		return ulid.MustParse(canonical), true
	}
	_, err := hex.Decode(b[:], []byte(strings.ReplaceAll(canonical, "-", "")))
	return b, err == nil
}
