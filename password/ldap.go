package password

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"strings"
)

// parseLDAP reads a value of userPassword (RFC 2307, section 5.3): the scheme in braces,
// in any case, and what it makes of the password. {SSHA}, {SSHA256}, {SSHA384} and
// {SSHA512} are the base64 of a digest of password and salt, and the salt after it;
// {CRYPT} stands before a hash of crypt(3), {BCRYPT} and {ARGON2} before one of theirs.
func parseLDAP(s string) (foreign, error) {
	scheme, rest, ok := strings.Cut(strings.TrimPrefix(s, "{"), "}")
	if !ok || len(scheme) > len("SSHA512") {
		return foreign{}, unknown("malformed LDAP hash")
	}
	switch strings.ToUpper(scheme) {
	case "SSHA":
		return parseSalted(sha1.New, rest)
	case "SSHA256":
		return parseSalted(sha256.New, rest)
	case "SSHA384":
		return parseSalted(sha512.New384, rest)
	case "SSHA512":
		return parseSalted(sha512.New, rest)
	case "CRYPT":
		return parseCrypt(rest)
	case "BCRYPT":
		return parseForeignBcrypt(rest)
	case "ARGON2":
		return parseArgon2(rest)
	}
	return foreign{}, unknown("not a salted LDAP scheme")
}

// parseSalted reads the base64 of digest and salt.
func parseSalted(digest func() hash.Hash, s string) (foreign, error) {
	b := decodePadded(s)
	size := digest().Size()
	if len(b) <= size || !between(1, b[size:]) {
		return foreign{}, unknown("malformed LDAP hash")
	}
	sum, salt := b[:size], b[size:]
	return foreign{memory: lightMemory, matches: func(pw []byte) bool {
		m := digest()
		m.Write(pw)
		m.Write(salt)
		return subtle.ConstantTimeCompare(m.Sum(nil), sum) == 1
	}}, nil
}
