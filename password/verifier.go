package password

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrTooCostly is returned by [Verifier.Check] for a hash whose verification would take
// more time or memory than a sign-in may.
var ErrTooCostly = errors.New("password: the hash is too costly to verify")

// A Verifier verifies hashes of one scheme or of several. Implementations are safe for
// concurrent use and keep nothing of what they were given. They take their time on
// purpose: call Verify through a [Gate].
type Verifier interface {
	// Check judges a hash that comes from elsewhere, before it is stored: an error wraps
	// [ErrUnknownHash] where Verify does not take it, and [ErrTooCostly] where whoever
	// may sign in could keep the machine busy with it. It costs next to nothing.
	Check(h Hash) error

	// Verify reports whether h was made from pw. A wrong password is not an
	// error. A hash of another scheme, a malformed one and one whose parameters
	// are beyond the Verifier's limits are ErrUnknownHash or ErrTooCostly, at once.
	Verify(h Hash, pw []byte) (Match, error)

	// Memory returns the bytes of working memory that verifying h takes; 0 for a hash
	// that Verify would not accept. It costs next to nothing.
	Memory(h Hash) int64
}

// Legacy returns a Verifier of the hashes that other systems made. What it verifies is
// Outdated: it is to be hashed anew, as it makes no hashes. own are verifiers of the
// host's own schemes; they are asked first, in turn, and what the first that knows the
// hash says is said. Where they say a match, it is Outdated too.
//
// These are the spellings, with their sources:
//
//   - $argon2id$ and $argon2i$ with v=19: the PHC string format, RFC 9106
//   - $2a$, $2b$, $2y$: bcrypt, OpenBSD and Openwall's crypt_blowfish
//   - $wp$2y$: WordPress 6.8, bcrypt of base64 of an HMAC-SHA384 of the trimmed password
//   - $scrypt$ln=…,r=…,p=…: passlib, RFC 7914
//   - $pbkdf2-sha512$i=…,l=…$, also -sha256, -sha1 and none, which is SHA-1: PHC strings,
//     RFC 8018; l may be missing if the key has the digest's size
//   - $pbkdf2-sha512$ and so on with bare rounds: passlib
//   - pbkdf2_sha256$ and pbkdf2_sha1$: Django
//   - $firebasescrypt$ and $firescrypt$: Firebase as zitadel/passwap and Ory Kratos write
//     it; see [FirebaseScrypt]
//   - $aspnet$ before the base64 of ASP.NET Identity, versions 2 and 3; see [ASPNetIdentity]
//   - {SSHA}, {SSHA256}, {SSHA512} and {CRYPT} before a hash of crypt(3), in any case:
//     RFC 2307, OpenLDAP
//   - $1$, $5$, $6$: crypt(3), FreeBSD's MD5 and Ulrich Drepper's "Unix crypt using SHA-256
//     and SHA-512"
//   - $P$, $H$: phpass, WordPress before 6.8, phpBB
//
// Keycloak's hashes become PHC strings: see [Keycloak]. Not taken are unsalted digests,
// plain text, Argon2d, Argon2 before version 1.3, $2x$ and yescrypt; a Verifier of the
// host's own may take them.
//
// Whoever may sign in chooses how often a hash is verified, but not what it costs: one
// takes at most about 100 times as long as one of [Default], and 1 GiB. So Argon2 has at
// most 1 GiB of memory times passes, and 64 lanes; bcrypt a cost of 15; scrypt 2^22 as
// N·r·p, with r and p of at most 64; PBKDF2 3,000,000 iterations times blocks of its digest
// in the key; SHA-crypt 800,000 rounds, and fewer than 1,000 are 1,000; phpass 2^18. Beyond is
// [ErrTooCostly]. A hash has at most 1,024 bytes, a salt 64, and a key 16 to 64: shorter
// ones would match by chance. A key of scrypt has 32 or 64, of Django and passlib as many as
// the digest, since one that was cut would match.
//
// A password of more than [MaxTextBytes] matches nothing, nor does one of more than 511
// bytes with crypt(3) but for bcrypt. For bcrypt it is cut as other implementations did, at
// the first NUL and after 72 bytes, so that whoever signed in with a long one still can.
// One that ends in a NUL does not match a hash of PBKDF2 or scrypt: to HMAC it is the same
// as without.
func Legacy(own ...Verifier) Verifier { return legacy{slices.Clone(own)} }

type legacy struct{ own []Verifier }

func (l legacy) Check(h Hash) error {
	for _, v := range l.own {
		if err := v.Check(h); !errors.Is(err, ErrUnknownHash) {
			return err
		}
	}
	_, err := parseForeign(h.Reveal())
	return err
}

func (l legacy) Verify(h Hash, pw []byte) (Match, error) {
	for _, v := range l.own {
		if m, err := v.Verify(h, pw); !errors.Is(err, ErrUnknownHash) {
			m.Outdated = m.OK
			return m, err
		}
	}
	f, err := parseForeign(h.Reveal())
	if err != nil {
		return Match{}, err
	}
	ok := len(pw) <= MaxTextBytes && f.matches(pw)
	return Match{OK: ok, Outdated: ok}, nil
}

func (l legacy) Memory(h Hash) int64 {
	for _, v := range l.own {
		if n := v.Memory(h); n > 0 {
			return n
		}
	}
	f, err := parseForeign(h.Reveal())
	if err != nil {
		return 0
	}
	return f.memory
}

// foreign is a stored hash, parsed and within the bounds.
type foreign struct {
	memory  int64                // bytes that matches takes
	matches func(pw []byte) bool // compares in constant time
}

// maxForeignBytes is the longest hash that a column of the stores holds.
const maxForeignBytes = 1024

// lightMemory is what a digest or an HMAC and their buffers take, in bytes, rounded up.
const lightMemory = 4 << 10

// foreignSchemes are the spellings of Legacy by their beginning; never written to.
var foreignSchemes = []struct {
	prefix string
	parse  func(s string) (foreign, error)
}{
	{"$argon2", parseArgon2},
	{"$2", parseForeignBcrypt},
	{wordPressPrefix + "$2y$", parseWordPress},
	{"$scrypt$", parseScrypt},
	{firebasePrefix, parseFirebase},
	{kratosPrefix, parseFirebase},
	{"$pbkdf2", parsePBKDF2},
	{djangoPrefix, parseDjango},
	{aspnetPrefix, parseASPNet},
	{"{", parseLDAP},
	{"$1$", parseMD5Crypt},
	{"$5$", parseSHACrypt},
	{"$6$", parseSHACrypt},
	{"$P$", parsePHPass},
	{"$H$", parsePHPass},
}

// parseForeign reads a hash in any of the spellings that Legacy knows. It computes
// nothing before every bound is checked, and its errors hold nothing of h.
func parseForeign(h string) (foreign, error) {
	if len(h) > maxForeignBytes {
		return foreign{}, unknown("too long")
	}
	for _, s := range foreignSchemes {
		if strings.HasPrefix(h, s.prefix) {
			return s.parse(h)
		}
	}
	return foreign{}, unknown("a scheme that is not known")
}

// checkForeign returns s as a Hash if Legacy takes it.
func checkForeign(s string) (Hash, error) {
	if _, err := parseForeign(s); err != nil {
		return Hash{}, err
	}
	return NewHash(s), nil
}

// unknown returns an error with a text that holds nothing of the hash.
func unknown(why string) error { return fmt.Errorf("%w: %s", ErrUnknownHash, why) }

// costly returns an error with a text that holds nothing of the hash.
func costly(why string) error { return fmt.Errorf("%w: %s", ErrTooCostly, why) }
