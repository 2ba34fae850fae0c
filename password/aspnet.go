package password

import (
	"crypto/sha1"
	"encoding/binary"
	"strings"
)

// aspnetPrefix marks a hash of ASP.NET Identity, which is bare base64 where it was made.
const aspnetPrefix = "$aspnet$"

// ASPNetIdentity returns the hash that ASP.NET Core Identity keeps in its column
// PasswordHash, of version 2 or 3, in the spelling that [Legacy] knows. An error wraps
// [ErrUnknownHash] or [ErrTooCostly] and holds nothing of passwordHash.
func ASPNetIdentity(passwordHash string) (Hash, error) {
	return checkForeign(aspnetPrefix + passwordHash)
}

// parseASPNet reads $aspnet$ and the base64 of what PasswordHasher.cs of ASP.NET Core
// Identity writes: a byte 0, a salt of 16 bytes and a key of 32 (PBKDF2-SHA1, 1,000
// iterations); or a byte 1, then the digest's number, the iterations and the length of
// the salt as 32-bit big-endian numbers, the salt and the key.
func parseASPNet(s string) (foreign, error) {
	b := decodePadded(strings.TrimPrefix(s, aspnetPrefix))
	switch {
	case len(b) == 1+16+32 && b[0] == 0:
		return pbkdf2Hash{sha1.New, 1000, b[1:17], b[17:]}.foreign()
	case len(b) < 13 || b[0] != 1:
		return foreign{}, unknown("malformed ASP.NET Identity hash")
	}
	prf, iterations := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
	saltLen, rest := binary.BigEndian.Uint32(b[9:]), b[13:]
	// Identity itself refuses a salt of less than 16 bytes.
	if prf > 2 || iterations == 0 || saltLen < 16 || uint64(saltLen) > uint64(len(rest)) {
		return foreign{}, unknown("malformed ASP.NET Identity hash")
	}
	// A key that was cut would match. Identity writes 32 bytes; its own tests have these.
	if n := len(rest) - int(saltLen); n != 16 && n != 32 && n != 64 {
		return foreign{}, unknown("malformed key")
	}
	return pbkdf2Hash{
		digest:     digestNamed([]string{"sha1", "sha256", "sha512"}[prf]),
		iterations: uint64(iterations),
		salt:       rest[:saltLen],
		key:        rest[saltLen:],
	}.foreign()
}
