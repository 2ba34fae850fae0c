package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"strings"
)

// What a PBKDF2 hash from elsewhere may take: iterations times blocks of the digest that
// its key fills, each of which is derived from the start (RFC 8018, section 5.2). SHA-512
// takes more than twice the time of the others. Keycloak writes 1,300,000 iterations of
// SHA-1 and four blocks.
const (
	maxPBKDF2Work    = 5_500_000
	maxPBKDF2Work512 = 3_000_000
)

// pbkdf2Hash is a stored hash of PBKDF2 (RFC 8018, section 5.2) with HMAC.
type pbkdf2Hash struct {
	digest     func() hash.Hash
	iterations uint64
	salt, key  []byte
}

// digestNamed returns nil for a digest that no scheme here uses.
func digestNamed(name string) func() hash.Hash {
	switch name {
	case "sha1":
		return sha1.New
	case "sha256":
		return sha256.New
	case "sha512":
		return sha512.New
	}
	return nil
}

// foreign holds the bounds of all spellings of PBKDF2.
func (p pbkdf2Hash) foreign() (foreign, error) {
	switch {
	case p.digest == nil:
		return foreign{}, unknown("PBKDF2 with an unknown digest")
	case !between(1, p.salt):
		return foreign{}, unknown("malformed salt")
	case !between(minKeyBytes, p.key):
		return foreign{}, unknown("malformed key")
	}
	size, most := p.digest().Size(), uint64(maxPBKDF2Work)
	if size == sha512.Size {
		most = maxPBKDF2Work512
	}
	blocks := (len(p.key) + size - 1) / size
	if p.iterations > most/uint64(blocks) {
		return foreign{}, costly("too many iterations of PBKDF2")
	}
	return foreign{memory: lightMemory, matches: p.matches}, nil
}

// whole is foreign for a spelling without a length, where the key has that of the digest.
// PBKDF2 begins a long key as it begins a short one, so a key that was cut would match.
func (p pbkdf2Hash) whole() (foreign, error) {
	if p.digest != nil && len(p.key) != p.digest().Size() {
		return foreign{}, unknown("malformed key")
	}
	return p.foreign()
}

func (p pbkdf2Hash) matches(pw []byte) bool {
	if filledUp(pw, p.digest().BlockSize()) {
		return false
	}
	key, err := pbkdf2.Key(p.digest, string(pw), p.salt, int(p.iterations), len(p.key))
	return err == nil && subtle.ConstantTimeCompare(key, p.key) == 1
}

// filledUp reports whether HMAC would take pw for a shorter password: it fills a key up
// with NULs to the block of its digest, and digests a longer one (RFC 2104, section 2).
func filledUp(pw []byte, block int) bool {
	return len(pw) > 0 && len(pw) <= block && pw[len(pw)-1] == 0
}

// parsePBKDF2 reads PBKDF2 as PHC strings have it, $pbkdf2-sha512$i=…,l=…$salt$key, where
// l may be missing, and as passlib has it, $pbkdf2-sha512$rounds$salt$key with "." for "+".
func parsePBKDF2(s string) (foreign, error) {
	f := phcFields(s, 4)
	if f == nil {
		return foreign{}, unknown("malformed PBKDF2 hash")
	}
	name, ok := strings.CutPrefix(f[0], "pbkdf2-")
	if !ok && f[0] == "pbkdf2" {
		name = "sha1"
	}
	p := pbkdf2Hash{digest: digestNamed(name)}
	if n, ok := number(f[1], "", 32); ok {
		p.iterations = n
		p.salt = decodePart(strings.ReplaceAll(f[2], ".", "+"))
		p.key = decodePart(strings.ReplaceAll(f[3], ".", "+"))
		return p.whole()
	}
	p.salt, p.key = decodePart(f[2]), decodePart(f[3])
	if n, ok := phcNumbers(f[1], "i"); ok {
		p.iterations = n[0]
		return p.whole()
	}
	n, ok := phcNumbers(f[1], "i", "l")
	if !ok || n[1] != uint64(len(p.key)) {
		return foreign{}, unknown("malformed parameters")
	}
	p.iterations = n[0]
	return p.foreign()
}

// parseDjango reads pbkdf2_sha256$iterations$salt$key, as django.contrib.auth.hashers
// writes it. The salt is text.
func parseDjango(s string) (foreign, error) {
	f := strings.Split(s, "$")
	if len(f) != 4 {
		return foreign{}, unknown("malformed PBKDF2 hash")
	}
	n, ok := number(f[1], "", 32)
	if !ok {
		return foreign{}, unknown("malformed parameters")
	}
	return pbkdf2Hash{
		digest:     digestNamed(strings.TrimPrefix(f[0], djangoPrefix)),
		iterations: n,
		salt:       []byte(f[2]),
		key:        decodePadded(f[3]),
	}.whole()
}

const djangoPrefix = "pbkdf2_"
