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
	// that Verify would not accept, and where it takes next to none. It costs next to
	// nothing itself.
	Memory(h Hash) int64
}

// Legacy returns a Verifier of the hashes that other systems made. What it verifies is
// Outdated: it is to be hashed anew, as it makes no hashes. own are verifiers of the
// host's own schemes; they are asked first, in turn, and the first whose Check knows the
// hash decides alone. Where it says a match, it is Outdated too.
//
// These are the spellings, with their sources:
//
//   - $argon2id$ and $argon2i$ with v=19: the PHC string format, RFC 9106; also after
//     argon2 (Django) and {ARGON2} (OpenLDAP, Spring)
//   - $2a$, $2b$, $2y$: bcrypt, OpenBSD and Openwall's crypt_blowfish; also after {BCRYPT}
//   - $wp$2y$: WordPress 6.8, bcrypt of base64 of an HMAC-SHA384 of the trimmed password
//   - $scrypt$ln=…,r=…,p=…: passlib, RFC 7914; Ory Kratos, where ln is N itself, from 1,024
//   - $pbkdf2-sha512$i=…,l=…$, also -sha256, -sha1 and none, which is SHA-1: PHC strings,
//     RFC 8018; l may be missing if the key has the digest's size
//   - $pbkdf2-sha512$ and so on with bare rounds: passlib
//   - pbkdf2_sha256$, pbkdf2_sha1$ and pbkdf2_sha512$: Django
//   - $firebasescrypt$ and $firescrypt$: Firebase as zitadel/passwap and Ory Kratos write
//     it; see [FirebaseScrypt]
//   - $aspnet$ before the base64 of ASP.NET Identity, versions 2 and 3; see [ASPNetIdentity]
//   - {SSHA}, {SSHA256}, {SSHA384}, {SSHA512} and {CRYPT} before a hash of crypt(3):
//     RFC 2307, OpenLDAP. Whatever is in braces may have any case.
//   - $1$, $5$, $6$: crypt(3), FreeBSD's MD5 and Ulrich Drepper's "Unix crypt using SHA-256
//     and SHA-512"
//   - $P$, $H$: phpass, WordPress before 6.8, phpBB
//
// Keycloak's hashes become PHC strings: see [Keycloak]. Not taken are unsalted digests,
// plain text, Argon2d, Argon2 before version 1.3, $2x$, yescrypt, Django's scrypt and
// bcrypt_sha256, Spring's {pbkdf2} and {scrypt}, and Kratos' $md5-crypt$ and its like; a
// Verifier of the host's own may take them.
//
// Whoever may sign in chooses how often a hash is verified, but not what it costs: one
// takes at most about 100 times as long as one of [Default], measured as CPU time where
// the CPU has instructions for SHA, and 1 GiB. So Argon2 has at most 1 GiB of memory times
// passes, and 64 lanes; bcrypt a cost of 15, and of 14 in WordPress; scrypt 2^22 as N·r·p,
// with r and p of at most 64 and r counted as 2 at least; PBKDF2 5,500,000 iterations times
// blocks of its digest in the key, and 3,000,000 of SHA-512; SHA-crypt 800,000 rounds, and
// fewer than 1,000 are 1,000; phpass 2^18 rounds. Beyond is [ErrTooCostly]. A hash has at
// most 1,024 bytes, a salt 64, and a key 16 to 64: shorter ones would match by chance. A key
// of scrypt has 32 or 64, of Django and passlib as many as the digest, since one that was
// cut would match.
//
// A password of more than [MaxTextBytes] matches nothing but what a Verifier of own takes:
// those see every password as it is. Nor does one of more than 511 bytes match a hash of
// crypt(3) but of bcrypt. For bcrypt it is cut as other implementations did, at the first
// NUL and after 72 bytes, so that whoever signed in with a long one still can. The other
// schemes of crypt(3) take a NUL for a byte like any, so what was cut there at a NUL does
// not match. One that ends in a NUL does not match a hash of PBKDF2 or scrypt unless it is
// longer than the block of the digest (64 bytes, 128 for SHA-512): to HMAC it is the same
// as without.
//
// WordPress hashed a password after PHP's addslashes, and phpBB after htmlspecialchars: for
// $wp$, $P$ and $H$ one is tried as it is, and then so changed where that makes another.
// For $P$ either is also tried trimmed.
//
// The digests and short keys of old schemes are not for GODEBUG=fips140=only, where the
// standard library refuses them or panics. A sign-in of package users may ask twice, for
// the password as typed and in NFC, where these differ.
func Legacy(own ...Verifier) Verifier { return legacy{slices.Clone(own)} }

type legacy struct{ own []Verifier }

// ownOf returns the host's verifier that decides about h, and what its Check says; nil if
// none knows it.
func (l legacy) ownOf(h Hash) (Verifier, error) {
	for _, v := range l.own {
		if err := v.Check(h); !errors.Is(err, ErrUnknownHash) {
			return v, err
		}
	}
	return nil, nil
}

func (l legacy) Check(h Hash) error {
	if v, err := l.ownOf(h); v != nil {
		return err
	}
	_, err := parseForeign(h.Reveal())
	return err
}

func (l legacy) Verify(h Hash, pw []byte) (Match, error) {
	if v, _ := l.ownOf(h); v != nil {
		m, err := v.Verify(h, pw)
		m.Outdated = m.OK
		return m, err
	}
	f, err := parseForeign(h.Reveal())
	if err != nil {
		return Match{}, err
	}
	ok := len(pw) <= MaxTextBytes && f.matches(pw)
	return Match{OK: ok, Outdated: ok}, nil
}

func (l legacy) Memory(h Hash) int64 {
	if v, _ := l.ownOf(h); v != nil {
		return v.Memory(h)
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
	{djangoArgon2Prefix + "$", parseDjangoArgon2},
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
