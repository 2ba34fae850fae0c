package password

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"slices"
	"strings"
)

const (
	// maxCryptPassword is the longest password of crypt(3) in bytes, as libxcrypt has it
	// (CRYPT_MAX_PASSPHRASE_SIZE, with its NUL). A longer one never matches: the work
	// grows with the password, too.
	maxCryptPassword = 511

	// maxSHACryptRounds is above the rounds that passlib writes unless told otherwise
	// (535,000 of SHA-256, 656,000 of SHA-512).
	maxSHACryptRounds = 800_000

	// The rounds of Drepper's document: fewer than the least count as the least.
	minSHACryptRounds     = 1000
	defaultSHACryptRounds = 5000

	// maxPHPassLog2 is the binary logarithm of phpass's rounds, each of which may be taken
	// for four forms of a password. WordPress wrote 13.
	maxPHPassLog2 = 18
)

// cryptAlphabet is the base64 of crypt(3) and phpass. Each group of 24 bits is written
// from its lowest bits on.
const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// The order in which the bytes of a digest are written; never written to. Those of SHA
// are in Drepper's document, section "Encode the digest", that of MD5 in FreeBSD's
// crypt-md5.c.
var (
	md5CryptOrder = []byte{12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11}

	sha256CryptOrder = []byte{
		20, 10, 0, 11, 1, 21, 2, 22, 12, 23, 13, 3, 14, 4, 24, 5, 25, 15,
		26, 16, 6, 17, 7, 27, 8, 28, 18, 29, 19, 9, 30, 31,
	}

	sha512CryptOrder = []byte{
		42, 21, 0, 1, 43, 22, 23, 2, 44, 45, 24, 3, 4, 46, 25, 26, 5, 47, 48, 27, 6,
		7, 49, 28, 29, 8, 50, 51, 30, 9, 10, 52, 31, 32, 11, 53, 54, 33, 12, 13, 55, 34,
		35, 14, 56, 57, 36, 15, 16, 58, 37, 38, 17, 59, 60, 39, 18, 19, 61, 40, 41, 20, 62, 63,
	}
)

// parseCrypt reads a hash of crypt(3) in one of the spellings that crypt(5) of libxcrypt
// lists: those of MD5, SHA-256, SHA-512 and bcrypt.
func parseCrypt(s string) (foreign, error) {
	switch {
	case strings.HasPrefix(s, "$1$"):
		return parseMD5Crypt(s)
	case strings.HasPrefix(s, "$5$"), strings.HasPrefix(s, "$6$"):
		return parseSHACrypt(s)
	case strings.HasPrefix(s, "$2"):
		return parseForeignBcrypt(s)
	}
	return foreign{}, unknown("not a scheme of crypt(3) that is known")
}

// cryptHash is a hash whose key is written in cryptAlphabet.
type cryptHash struct {
	salt   string
	key    []byte // of the digest's size
	order  []byte // nil: as it is
	digest func(pw []byte, salt string) []byte
	most   int // bytes of a password
}

func (c cryptHash) foreign() foreign {
	return foreign{memory: lightMemory, matches: c.matches}
}

func (c cryptHash) matches(pw []byte) bool {
	if len(pw) > c.most {
		return false
	}
	sum := c.digest(pw, c.salt)
	got := sum
	if c.order != nil {
		got = make([]byte, len(sum))
		for i, from := range c.order {
			got[i] = sum[from]
		}
	}
	return subtle.ConstantTimeCompare(got, c.key) == 1
}

// cryptSalt reports whether s can be a salt: up to most characters of printable ASCII.
func cryptSalt(s string, most int) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(s) <= most
}

// decodeCrypt returns nil for what is not size bytes, canonical in cryptAlphabet.
func decodeCrypt(s string, size int) []byte {
	out := make([]byte, 0, len(s)*6/8)
	var bits uint32
	var have int
	for _, c := range []byte(s) {
		v := strings.IndexByte(cryptAlphabet, c)
		if v < 0 {
			return nil
		}
		bits |= uint32(v) << have
		have += 6
		if have >= 8 {
			out = append(out, byte(bits))
			bits >>= 8
			have -= 8
		}
	}
	if bits != 0 || len(out) != size {
		return nil
	}
	return out
}

// parseMD5Crypt reads $1$salt$key.
func parseMD5Crypt(s string) (foreign, error) {
	f := phcFields(s, 3)
	if f == nil || !cryptSalt(f[1], 8) {
		return foreign{}, unknown("malformed MD5-crypt hash")
	}
	key := decodeCrypt(f[2], md5.Size)
	if key == nil {
		return foreign{}, unknown("malformed key")
	}
	return cryptHash{f[1], key, md5CryptOrder, md5Crypt, maxCryptPassword}.foreign(), nil
}

// md5Crypt is the algorithm of FreeBSD's crypt-md5.c.
func md5Crypt(pw []byte, salt string) []byte {
	h := md5.New()
	write := func(parts ...[]byte) {
		for _, p := range parts {
			h.Write(p)
		}
	}
	saltBytes := []byte(salt)
	write(pw, saltBytes, pw)
	alternate := h.Sum(nil)

	h.Reset()
	write(pw, []byte("$1$"), saltBytes, repeated(alternate, len(pw)))
	for n := len(pw); n > 0; n >>= 1 {
		if n&1 == 1 {
			write([]byte{0})
		} else {
			write(pw[:1])
		}
	}
	return stretch(h, h.Sum(nil), 1000, pw, saltBytes)
}

// repeated returns n bytes of b, again and again.
func repeated(b []byte, n int) []byte {
	out := make([]byte, 0, n+len(b))
	for len(out) < n {
		out = append(out, b...)
	}
	return out[:n]
}

// stretch is the loop that MD5-crypt and SHA-crypt have in common.
func stretch(h hash.Hash, sum []byte, rounds int, pw, salt []byte) []byte {
	for i := range rounds {
		h.Reset()
		first, last := sum, pw
		if i%2 == 1 {
			first, last = pw, sum
		}
		h.Write(first)
		if i%3 != 0 {
			h.Write(salt)
		}
		if i%7 != 0 {
			h.Write(pw)
		}
		h.Write(last)
		sum = h.Sum(sum[:0])
	}
	return sum
}

// parseSHACrypt reads $5$salt$key and $6$salt$key, with rounds=… before the salt or
// without.
func parseSHACrypt(s string) (foreign, error) {
	digest, order := sha256.New, sha256CryptOrder
	if strings.HasPrefix(s, "$6$") {
		digest, order = sha512.New, sha512CryptOrder
	}
	rounds := uint64(defaultSHACryptRounds)
	f := phcFields(s, 3)
	if f == nil {
		f = phcFields(s, 4)
		var ok bool
		if f == nil {
			return foreign{}, unknown("malformed SHA-crypt hash")
		}
		if rounds, ok = number(f[1], "rounds=", 64); !ok {
			return foreign{}, unknown("malformed rounds")
		}
		f = f[1:]
	}
	if !cryptSalt(f[1], 16) || strings.HasPrefix(f[1], "rounds=") {
		return foreign{}, unknown("malformed salt")
	}
	key := decodeCrypt(f[2], len(order))
	if key == nil {
		return foreign{}, unknown("malformed key")
	}
	if rounds > maxSHACryptRounds {
		return foreign{}, costly("more than 800,000 rounds of SHA-crypt")
	}
	n := max(int(rounds), minSHACryptRounds)
	return cryptHash{f[1], key, order, func(pw []byte, salt string) []byte {
		return shaCrypt(digest(), n, pw, []byte(salt))
	}, maxCryptPassword}.foreign(), nil
}

// shaCrypt is the algorithm of Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512".
func shaCrypt(h hash.Hash, rounds int, pw, salt []byte) []byte {
	write := func(parts ...[]byte) {
		for _, p := range parts {
			h.Write(p)
		}
	}
	write(pw, salt, pw)
	b := h.Sum(nil)

	h.Reset()
	write(pw, salt, repeated(b, len(pw)))
	for n := len(pw); n > 0; n >>= 1 {
		if n&1 == 1 {
			write(b)
		} else {
			write(pw)
		}
	}
	a := h.Sum(nil)

	h.Reset()
	for range len(pw) {
		write(pw)
	}
	p := repeated(h.Sum(nil), len(pw))

	h.Reset()
	for range 16 + int(a[0]) {
		write(salt)
	}
	s := repeated(h.Sum(nil), len(salt))
	return stretch(h, a, rounds, p, s)
}

// parsePHPass reads a portable hash of phpass, $P$ or $H$: a character for the rounds,
// a salt of 8, and the key.
func parsePHPass(s string) (foreign, error) {
	if len(s) != 3+1+8+22 {
		return foreign{}, unknown("malformed phpass hash")
	}
	log2, salt := strings.IndexByte(cryptAlphabet, s[3]), s[4:12]
	key := decodeCrypt(s[12:], md5.Size)
	if log2 < 7 || log2 > 30 || !cryptSalt(salt, 8) || key == nil {
		return foreign{}, unknown("malformed phpass hash")
	}
	if log2 > maxPHPassLog2 {
		return foreign{}, costly("more than 2^18 rounds of phpass")
	}
	c := cryptHash{salt, key, nil, func(pw []byte, salt string) []byte {
		return phpass(1<<log2, pw, []byte(salt))
	}, MaxTextBytes}
	forms := wordPressForms
	if s[:3] == "$H$" {
		forms = phpBBForms
	}
	return foreign{memory: lightMemory, matches: func(pw []byte) bool {
		return slices.ContainsFunc(forms(pw), c.matches)
	}}, nil
}

// phpass is the portable algorithm of Openwall's PasswordHash.php.
func phpass(rounds int, pw, salt []byte) []byte {
	h := md5.New()
	h.Write(salt)
	h.Write(pw)
	sum := h.Sum(nil)
	for range rounds {
		h.Reset()
		h.Write(sum)
		h.Write(pw)
		sum = h.Sum(sum[:0])
	}
	return sum
}
