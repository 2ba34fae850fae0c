package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// What a scrypt hash from elsewhere may take. The work bounds the memory too: it is
// half a GiB.
const (
	maxScryptWork  = 1 << 22 // N·r·p, r counted as 2 at least: small blocks cost more a byte
	maxScryptLn    = 21      // log2 of N
	maxScryptRP    = 64      // r and p, each
	firebaseAESKey = 32
)

// scryptCost holds the parameters of RFC 7914, section 2.
type scryptCost struct{ n, r, p int }

// newScryptCost returns the cost of N = 2^ln, r and p, or an error if it is too much.
func newScryptCost(ln, r, p uint64) (scryptCost, error) {
	if ln > maxScryptLn || r > maxScryptRP || p > maxScryptRP || max(r, 2)*p<<ln > maxScryptWork {
		return scryptCost{}, costly("scrypt with N·r·p above 2^22")
	}
	return scryptCost{1 << ln, int(r), int(p)}, nil
}

// memory is that of the blocks, of ROMix and of its scratch space.
func (c scryptCost) memory() int64 { return 128 * int64(c.r) * int64(c.n+c.p+2) }

// verifies reports whether scrypt derives key from pw and salt.
func (c scryptCost) verifies(pw, salt, key []byte) bool {
	return !filledUp(pw, sha256.BlockSize) && subtle.ConstantTimeCompare(c.key(pw, salt, len(key)), key) == 1
}

// key returns nil only for parameters that newScryptCost refuses.
func (c scryptCost) key(pw, salt []byte, n int) []byte {
	key, err := scrypt.Key(pw, salt, c.n, c.r, c.p, n)
	if err != nil {
		return nil
	}
	return key
}

// minKratosN is where ln is N itself; nobody means 2^1024, nor writes a smaller N.
const minKratosN = 1 << 10

// parseScrypt reads $scrypt$ln=…,r=…,p=…$salt$key, as passlib writes it, and as Ory Kratos
// does: there ln is N itself, and the base64 is padded (hash/hash_comparator.go).
func parseScrypt(s string) (foreign, error) {
	f := phcFields(s, 4)
	if f == nil {
		return foreign{}, unknown("malformed scrypt hash")
	}
	n, ok := phcNumbers(f[1], "ln", "r", "p")
	if !ok {
		return foreign{}, unknown("malformed parameters")
	}
	decode := decodePart
	if ln := n[0]; ln >= minKratosN && ln&(ln-1) == 0 {
		n[0], decode = uint64(bits.TrailingZeros64(ln)), decodePadded
	}
	salt, key := decode(f[2]), decode(f[3])
	// A key that was cut would match, as scrypt begins a long one as a short one.
	if !between(1, salt) || len(key) != 32 && len(key) != 64 {
		return foreign{}, unknown("malformed salt or key")
	}
	cost, err := newScryptCost(n[0], n[1], n[2])
	if err != nil {
		return foreign{}, err
	}
	return foreign{memory: cost.memory(), matches: func(pw []byte) bool {
		return cost.verifies(pw, salt, key)
	}}, nil
}

// The prefixes of Firebase's scrypt in other libraries: zitadel/passwap and Ory Kratos.
const (
	firebasePrefix = "$firebasescrypt$"
	kratosPrefix   = "$firescrypt$"
)

// FirebaseScrypt returns the hash of a user in an export of Firebase Authentication, in
// the spelling that [Legacy] knows. hash and salt are the user's passwordHash and salt;
// the others are parameters of the project: base64_salt_separator, base64_signer_key,
// rounds and mem_cost. The base64 is standard or URL-safe, with or without padding.
//
// The key of the project is in each hash then. An error wraps [ErrUnknownHash] or
// [ErrTooCostly] and holds nothing of what was given.
func FirebaseScrypt(hash, salt, saltSeparator, signerKey string, rounds, memCost int) (Hash, error) {
	toStandard := strings.NewReplacer("-", "+", "_", "/")
	parts := []string{salt, hash, saltSeparator, signerKey}
	for i, part := range parts {
		b := decodePadded(toStandard.Replace(part))
		if b == nil {
			return Hash{}, unknown("malformed base64")
		}
		parts[i] = base64.StdEncoding.EncodeToString(b)
	}
	return checkForeign(fmt.Sprintf("%sln=%d,r=%d$%s", firebasePrefix, memCost, rounds, strings.Join(parts, "$")))
}

// parseFirebase reads $firebasescrypt$ln=…,r=…$salt$hash$separator$signer and Kratos'
// $firescrypt$ln=…,r=…,p=…$salt$hash$separator$signer. As github.com/firebase/scrypt
// has it, the hash is the signer key, encrypted by AES-256-CTR with the key that scrypt
// derives from the password.
func parseFirebase(s string) (foreign, error) {
	f := phcFields(s, 6)
	if f == nil {
		return foreign{}, unknown("malformed Firebase hash")
	}
	n, ok := phcNumbers(f[1], "ln", "r")
	if strings.HasPrefix(s, kratosPrefix) {
		n, ok = phcNumbers(f[1], "ln", "r", "p")
	}
	if !ok {
		return foreign{}, unknown("malformed parameters")
	}
	n = append(n, 1) // p, of Firebase itself
	salt, hash := decodePadded(f[2]), decodePadded(f[3])
	separator, signer := decodePadded(f[4]), decodePadded(f[5])
	if !between(1, salt) || !between(0, separator) || separator == nil ||
		!between(minKeyBytes, hash) || len(signer) != len(hash) {
		return foreign{}, unknown("malformed salt, hash or key")
	}
	cost, err := newScryptCost(n[0], n[1], n[2])
	if err != nil {
		return foreign{}, err
	}
	salt = slices.Concat(salt, separator)
	return foreign{memory: cost.memory(), matches: func(pw []byte) bool {
		return !filledUp(pw, sha256.BlockSize) && subtle.ConstantTimeCompare(encrypted(signer, cost.key(pw, salt, firebaseAESKey)), hash) == 1
	}}, nil
}

// encrypted returns b in AES-CTR from a counter of zero; nil if there is no key.
func encrypted(b, key []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	out := make([]byte, len(b))
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(out, b)
	return out
}
