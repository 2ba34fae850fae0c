package password

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// Costs of [Bcrypt]. The least is bcrypt's own; new hashes want 10 or more
// (OWASP Password Storage Cheat Sheet). The greatest takes some five seconds
// on one core of a server of 2024, and one more would double that.
const (
	MinBcryptCost = 4
	MaxBcryptCost = 16
)

// What a hash from elsewhere may cost. One of WordPress is verified twice.
const (
	maxForeignBcryptCost   = 15
	maxWordPressBcryptCost = 14
)

// bcryptMaxBytes is where bcrypt stops reading.
const bcryptMaxBytes = 72

// bcryptMemory is the state of Blowfish (4 KiB of boxes), twice for copies.
const bcryptMemory = 8 << 10

type bcryptHasher struct{ cost int }

// Bcrypt returns a Hasher for systems that share their hashes with others that
// know nothing newer; prefer [Default]. cost is 4 to 16, else an error. It
// verifies $2a$, $2b$ and $2y$ hashes of the same costs; any other cost than its own
// is Outdated.
//
// bcrypt takes 72 bytes and no NUL byte. A longer password is ErrTooLong in Hash
// and in Verify, and MaxBytes returns the limit beforehand.
func Bcrypt(cost int) (Hasher, error) {
	if cost < MinBcryptCost || cost > MaxBcryptCost {
		return nil, fmt.Errorf("password: bcrypt cost %d is not within %d to %d", cost, MinBcryptCost, MaxBcryptCost)
	}
	return bcryptHasher{cost}, nil
}

// MaxBytes returns 72.
func (b bcryptHasher) MaxBytes() int { return bcryptMaxBytes }

func (b bcryptHasher) Hash(pw []byte) (Hash, error) {
	if len(pw) > bcryptMaxBytes {
		return Hash{}, ErrTooLong
	}
	if bytes.IndexByte(pw, 0) >= 0 {
		return Hash{}, errors.New("password: bcrypt takes no NUL byte")
	}
	h, err := bcrypt.GenerateFromPassword(pw, b.cost)
	return NewHash(string(h)), err
}

func (b bcryptHasher) Check(h Hash) error {
	switch cost, ok := parseBcrypt(h.Reveal()); {
	case !ok:
		return ErrUnknownHash
	case cost > max(b.cost, maxForeignBcryptCost):
		return ErrTooCostly
	}
	return nil
}

func (b bcryptHasher) Verify(h Hash, pw []byte) (Match, error) {
	cost, ok := parseBcrypt(h.Reveal())
	if !ok {
		return Match{}, ErrUnknownHash
	}
	if len(pw) > bcryptMaxBytes {
		return Match{}, ErrTooLong
	}
	// bcrypt repeats the password with a NUL after it: "a" and "a\x00a" are one
	// to it, and no hash is made from the second.
	if bytes.IndexByte(pw, 0) >= 0 {
		return Match{}, nil
	}
	switch err := bcrypt.CompareHashAndPassword([]byte(h.Reveal()), pw); {
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return Match{}, nil
	case err != nil: // its text quotes the hash
		return Match{}, ErrUnknownHash
	}
	return Match{OK: true, Outdated: cost != b.cost}, nil
}

func (b bcryptHasher) Memory(h Hash) int64 {
	if !h.IsZero() {
		if _, ok := parseBcrypt(h.Reveal()); !ok {
			return 0
		}
	}
	return bcryptMemory
}

// parseBcrypt returns the cost of a bcrypt hash that [Bcrypt] verifies.
func parseBcrypt(h string) (cost int, ok bool) {
	cost, ok = bcryptCost(h)
	return cost, ok && cost <= MaxBcryptCost
}

// bcryptCost returns the cost of a bcrypt hash, 4 to 31. x/crypto takes any letter for
// the variant, also $2x$, whose hashes were made with a bug and never match.
func bcryptCost(h string) (cost int, ok bool) {
	if len(h) != 60 || h[:2] != "$2" || h[3] != '$' || h[6] != '$' {
		return 0, false
	}
	if v := h[2]; v != 'a' && v != 'b' && v != 'y' {
		return 0, false
	}
	for i, c := range []byte(h[4:]) {
		switch {
		case c >= '0' && c <= '9', i == 2 && c == '$':
		case i > 2 && (c == '.' || c == '/' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'):
		default:
			return 0, false
		}
	}
	cost = int(h[4]-'0')*10 + int(h[5]-'0')
	return cost, cost >= bcrypt.MinCost && cost <= bcrypt.MaxCost
}

// parseForeignBcrypt reads a bcrypt hash from elsewhere. Its password is cut as the C
// implementations cut it, at the first NUL and after 72 bytes: whoever has a longer one
// signed in with it there.
func parseForeignBcrypt(s string) (foreign, error) { return bcryptUpTo(maxForeignBcryptCost, s) }

func bcryptUpTo(most int, s string) (foreign, error) {
	switch cost, ok := bcryptCost(s); {
	case !ok:
		return foreign{}, unknown("malformed bcrypt hash")
	case cost > most:
		return foreign{}, costly("too high a cost of bcrypt")
	}
	return foreign{memory: bcryptMemory, matches: func(pw []byte) bool {
		pw, _, _ = bytes.Cut(pw, []byte{0})
		pw = pw[:min(len(pw), bcryptMaxBytes)]
		return bcrypt.CompareHashAndPassword([]byte(s), pw) == nil
	}}, nil
}
