package password

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

const insecurePrefix = "$insecure-for-tests$"

type insecureHasher struct{}

// InsecureForTests returns a Hasher that takes a microsecond and no memory and
// protects nothing: a salted SHA-256. It is for the tests of programs that would
// otherwise spend their time in hashing. What it makes begins with
// "$insecure-for-tests$", and no other Hasher verifies that.
func InsecureForTests() Hasher { return insecureHasher{} }

func (insecureHasher) Hash(pw []byte) (Hash, error) {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt) // never fails
	return NewHash(insecureHash(hex.EncodeToString(salt), pw)), nil
}

func (insecureHasher) Check(h Hash) error {
	if rest, ok := strings.CutPrefix(h.Reveal(), insecurePrefix); !ok || !strings.Contains(rest, "$") {
		return ErrUnknownHash
	}
	return nil
}

func (insecureHasher) Verify(h Hash, pw []byte) (Match, error) {
	rest, ok := strings.CutPrefix(h.Reveal(), insecurePrefix)
	salt, _, ok2 := strings.Cut(rest, "$")
	if !ok || !ok2 {
		return Match{}, ErrUnknownHash
	}
	same := subtle.ConstantTimeCompare([]byte(insecureHash(salt, pw)), []byte(h.Reveal())) == 1
	return Match{OK: same}, nil
}

func (insecureHasher) Memory(Hash) int64 { return 0 }

func insecureHash(salt string, pw []byte) string {
	sum := sha256.Sum256(append([]byte(salt+"$"), pw...))
	return insecurePrefix + salt + "$" + hex.EncodeToString(sum[:])
}
