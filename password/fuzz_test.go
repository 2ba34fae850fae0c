package password_test

import (
	"bytes"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gousers/users/password"
)

// fuzzLegacy runs what all schemes promise on hashes that begin with one of the prefixes:
// nothing panics, Check, Verify and Memory agree, and no password beside another matches.
// Of each prefix at least one seed is cheap, so that it is verified.
func fuzzLegacy(f *testing.F, cheap func(h string) bool, prefixes ...string) {
	f.Helper()
	begins := func(h string) bool {
		for _, p := range prefixes {
			if len(h) >= len(p) && strings.EqualFold(h[:len(p)], p) {
				return true
			}
		}
		return false
	}
	verified := make([]bool, len(prefixes))
	for _, v := range vectors {
		if begins(v.hash) {
			f.Add(v.hash, []byte(v.pw))
		}
		for i, p := range prefixes {
			if len(v.hash) >= len(p) && strings.EqualFold(v.hash[:len(p)], p) && cheap(v.hash) {
				verified[i] = true
			}
		}
	}
	for _, b := range bounds() {
		if begins(b.at) {
			f.Add(b.at, []byte("password"))
			f.Add(b.beyond, []byte("password"))
		}
	}
	for i, p := range prefixes {
		if !verified[i] {
			f.Fatalf("no seed that begins with %q is cheap enough to be verified", p)
		}
	}
	f.Fuzz(func(t *testing.T, s string, pw []byte) {
		if !begins(s) {
			s = prefixes[len(s)%len(prefixes)] + s
		}
		h := password.NewHash(s)
		err := legacy.Check(h)
		memory := legacy.Memory(h)
		if (memory > 0) != (err == nil) || memory < 0 || memory > 1<<30+63*16<<10 {
			t.Fatalf("%q: Check returns %v, Memory %d", s, err, memory)
		}
		if err != nil {
			again := func(pw []byte) error { _, err := legacy.Verify(h, pw); return err }(pw)
			if !errors.Is(err, password.ErrUnknownHash) && !errors.Is(err, password.ErrTooCostly) || again == nil || again.Error() != err.Error() {
				t.Fatalf("%q: Check returns %v, Verify %v", s, err, again)
			}
			return
		}
		if len(s) > 1024 {
			t.Fatalf("%d bytes were taken for a hash", len(s))
		}
		if !cheap(s) {
			return // well formed, but this machine has other things to do
		}
		m, err := legacy.Verify(h, pw)
		if err != nil || m.OK != m.Outdated {
			t.Fatalf("%q: Check returns nil, Verify %+v, %v", s, m, err)
		}
		if !m.OK {
			return
		}
		for _, other := range [][]byte{append([]byte("y"), pw...), append(pw[:len(pw):len(pw)], "yy"...)} {
			if len(other) > 72 && strings.Contains(s, "$2") { // where bcrypt cuts it
				continue
			}
			if strings.Contains(string(pw), "\x00") && strings.Contains(s, "$2") {
				continue
			}
			if m, err := legacy.Verify(h, other); m.OK || err != nil {
				t.Fatalf("%q: %q matches, and so does %q: %+v, %v", s, pw, other, m, err)
			}
		}
	})
}

// numbers finds the numbers of a hash's parameters.
var numbers = regexp.MustCompile(`[0-9]+`)

// field returns the nth part of h between dollar signs, from 0; "" if there are fewer.
func field(h string, n int) string {
	if f := strings.Split(h, "$"); n < len(f) {
		return f[n]
	}
	return ""
}

// noNumberAbove returns a test of what a hash costs, by the field of its parameters.
func noNumberAbove(limit, n int) func(string) bool {
	return func(h string) bool {
		for _, s := range numbers.FindAllString(field(h, n), -1) {
			if n, err := strconv.Atoi(s); err != nil || n > limit {
				return false
			}
		}
		return true
	}
}

var cheapArgon2 = noNumberAbove(300, 3)

// cheapScrypt looks at ln, r and p; without one of them, it is 1.
func cheapScrypt(h string) bool {
	var n [3]int
	for i, s := range numbers.FindAllString(field(h, 2), 3) {
		n[i], _ = strconv.Atoi(s)
	}
	ln, r, p := n[0], n[1], max(n[2], 1)
	if ln < 1024 {
		ln = 1 << min(ln, 30)
	}
	return ln*r*p <= 1<<12
}

func cheapBcrypt(h string) bool { return strings.Contains(h, "$04$") || strings.Contains(h, "$05$") }

// cheapCrypt looks at the rounds, which are 5,000 unless the hash tells.
func cheapCrypt(h string) bool {
	return !strings.HasPrefix(field(h, 2), "rounds=") || noNumberAbove(5000, 2)(h)
}

func cheapLDAP(h string) bool {
	switch {
	case strings.HasPrefix(field(h, 1), "argon2"):
		return cheapArgon2(h)
	case strings.HasPrefix(field(h, 1), "2"):
		return cheapBcrypt(h)
	}
	return cheapCrypt(h)
}

func FuzzLegacyArgon2(f *testing.F) {
	fuzzLegacy(f, cheapArgon2, "$argon2id$", "$argon2i$", "argon2$argon2id$", "argon2$argon2i$")
}

func FuzzLegacyBcrypt(f *testing.F) {
	fuzzLegacy(f, cheapBcrypt, "$2a$", "$2b$", "$2y$", "$wp$2y$")
}

func FuzzLegacyScrypt(f *testing.F) { fuzzLegacy(f, cheapScrypt, "$scrypt$", "$scrypt$ln=1024,") }

func FuzzLegacyFirebase(f *testing.F) {
	fuzzLegacy(f, cheapScrypt, "$firebasescrypt$", "$firescrypt$")
}

func FuzzLegacyPBKDF2(f *testing.F) { fuzzLegacy(f, noNumberAbove(10_000, 2), "$pbkdf2") }

func FuzzLegacyDjango(f *testing.F) {
	fuzzLegacy(f, noNumberAbove(20_000, 1), "pbkdf2_sha1$", "pbkdf2_sha256$", "pbkdf2_")
}

func FuzzLegacyASPNet(f *testing.F) {
	fuzzLegacy(f, func(h string) bool {
		b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h, "$aspnet$"))
		return err == nil && (b[0] == 0 || binary.BigEndian.Uint32(b[5:]) <= 10_000)
	}, "$aspnet$")
}

func FuzzLegacyLDAP(f *testing.F) {
	fuzzLegacy(f, cheapLDAP, "{ssha}", "{ssha256}", "{ssha384}", "{ssha512}", "{crypt}", "{bcrypt}", "{argon2}", "{")
}

func FuzzLegacyCrypt(f *testing.F) { fuzzLegacy(f, cheapCrypt, "$1$", "$5$", "$6$") }

func FuzzLegacyPHPass(f *testing.F) {
	fuzzLegacy(f, func(h string) bool { return strings.IndexByte("56789AB", h[3]) >= 0 }, "$P$", "$H$")
}

// Of anything at all.
func FuzzLegacy(f *testing.F) {
	fuzzLegacy(f, func(h string) bool { return len(h) > 5 && strings.EqualFold(h[:5], "{ssha") }, "")
}

// makers make hashes of a password as other systems did, with a salt of 16 bytes and few
// rounds; never written to. "" is for a password that the scheme does not take.
var makers = []func(t *testing.T, pw string, salt []byte, rounds int) string{
	pbkdf2Hash("sha1", sha1.New), pbkdf2Hash("sha256", sha256.New), pbkdf2Hash("sha512", sha512.New),
	func(t *testing.T, pw string, salt []byte, rounds int) string {
		key := pbkdf2Key(t, sha512.New, pw, salt, rounds, 64)
		b64 := base64.RawStdEncoding
		return strings.ReplaceAll(fmt.Sprintf("$pbkdf2-sha512$%d$%s$%s", rounds, b64.EncodeToString(salt), b64.EncodeToString(key)), "+", ".")
	},
	func(t *testing.T, pw string, salt []byte, rounds int) string {
		text := hex.EncodeToString(salt)
		key := pbkdf2Key(t, sha256.New, pw, []byte(text), rounds, 32)
		return fmt.Sprintf("pbkdf2_sha256$%d$%s$%s", rounds, text, base64.StdEncoding.EncodeToString(key))
	},
	func(t *testing.T, pw string, salt []byte, rounds int) string {
		b := []byte{1, 0, 0, 0, 1, 0, 0, 0, byte(rounds), 0, 0, 0, 16}
		b = append(append(b, salt...), pbkdf2Key(t, sha256.New, pw, salt, rounds, 32)...)
		return "$aspnet$" + base64.StdEncoding.EncodeToString(b)
	},
	saltedHash("{SSHA}", sha1.New), saltedHash("{ssha256}", sha256.New), saltedHash("{SSHA384}", sha512.New384), saltedHash("{SSHA512}", sha512.New),
	func(t *testing.T, pw string, salt []byte, rounds int) string { return phpassHash("$P$", pw) },
	func(t *testing.T, pw string, salt []byte, rounds int) string { return phpassHash("$H$", pw) },
	func(t *testing.T, pw string, salt []byte, rounds int) string {
		return wordPressHash(t, strings.Trim(pw, " \t\n\r\x00\v"))
	},
	func(t *testing.T, pw string, salt []byte, rounds int) string {
		h, err := newBcrypt(t, 4).Hash([]byte(pw))
		if err != nil {
			return ""
		}
		return []string{"", "{BCRYPT}", "{crypt}"}[rounds%3] + h.Reveal()
	},
	func(t *testing.T, pw string, salt []byte, rounds int) string {
		a := password.Argon2id{MemoryKiB: 32, Time: uint32(rounds%4 + 1), Threads: uint8(rounds%3 + 1), Rand: bytes.NewReader(salt)}
		h, err := a.Hash([]byte(pw))
		if err != nil {
			t.Fatal(err)
		}
		return []string{"", "argon2", "{ARGON2}"}[rounds%3] + h.Reveal()
	},
}

func pbkdf2Key(t *testing.T, digest func() hash.Hash, pw string, salt []byte, rounds, n int) []byte {
	t.Helper()
	key, err := pbkdf2.Key(digest, pw, salt, rounds, n)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pbkdf2Hash returns the maker of PHC strings with a key of 16 to 64 bytes.
func pbkdf2Hash(name string, digest func() hash.Hash) func(*testing.T, string, []byte, int) string {
	return func(t *testing.T, pw string, salt []byte, rounds int) string {
		key, b64 := pbkdf2Key(t, digest, pw, salt, rounds, 16+rounds%49), base64.RawStdEncoding
		return fmt.Sprintf("$pbkdf2-%s$i=%d,l=%d$%s$%s", name, rounds, len(key), b64.EncodeToString(salt), b64.EncodeToString(key))
	}
}

func saltedHash(scheme string, digest func() hash.Hash) func(*testing.T, string, []byte, int) string {
	return func(t *testing.T, pw string, salt []byte, rounds int) string {
		h := digest()
		h.Write([]byte(pw))
		h.Write(salt[:1+rounds%16])
		return scheme + base64.StdEncoding.EncodeToString(append(h.Sum(nil), salt[:1+rounds%16]...))
	}
}

// The right password matches what was made of it, and no other does.
func FuzzLegacyTellsPasswordsApart(f *testing.F) {
	for i := range makers {
		f.Add(uint8(i), []byte("password"), []byte("salt"), uint8(i))
		f.Add(uint8(i), []byte(`a "b'\<&`), []byte{}, uint8(7))
		f.Add(uint8(i), []byte(strings.Repeat("x", 80)+"\x00"), []byte{0}, uint8(3))
	}
	f.Fuzz(func(t *testing.T, scheme uint8, pw, salt []byte, rounds uint8) {
		if len(pw) > 1000 {
			return
		}
		sum := md5.Sum(salt)
		s := makers[int(scheme)%len(makers)](t, string(pw), sum[:], 1+int(rounds)%64)
		if s == "" {
			return
		}
		h := password.NewHash(s)
		if m, err := legacy.Verify(h, pw); m.OK == filledUp(s, pw) || err != nil {
			t.Fatalf("%q: %q: got %+v, %v", s, pw, m, err)
		}
		others := [][]byte{append([]byte("y"), pw...), append(pw[:len(pw):len(pw)], "yy"...)}
		if n := len(pw); n > 0 {
			others = append(others, append(pw[:n-1:n-1], pw[n-1]^0x80))
		}
		for _, other := range others {
			if strings.Contains(s, "$2") && !strings.HasPrefix(s, "$wp") && len(other) > 72 { // where bcrypt cuts it
				continue
			}
			if m, err := legacy.Verify(h, other); m.OK || err != nil {
				t.Fatalf("%q: %q matches, and so does %q: %+v, %v", s, pw, other, m, err)
			}
		}
	})
}

// filledUp reports whether a hash of PBKDF2 can't tell pw from a shorter one.
func filledUp(h string, pw []byte) bool {
	block := 64
	if strings.HasPrefix(h, "$pbkdf2-sha512") {
		block = 128
	}
	of := strings.HasPrefix(h, "$pbkdf2") || strings.HasPrefix(h, "pbkdf2_") || strings.HasPrefix(h, "$aspnet$")
	return of && len(pw) <= block && bytes.HasSuffix(pw, []byte{0})
}

// fuzzConverted fails the test unless there is a hash that Legacy takes or an error.
func fuzzConverted(t *testing.T, h password.Hash, err error) {
	t.Helper()
	if err == nil {
		if err := legacy.Check(h); err != nil {
			t.Fatalf("%q was made, and Check returns %v", h.Reveal(), err)
		}
		return
	}
	if !h.IsZero() || !errors.Is(err, password.ErrUnknownHash) && !errors.Is(err, password.ErrTooCostly) {
		t.Fatalf("got %q, %v", h.Reveal(), err)
	}
	if len(err.Error()) > 100 {
		t.Fatalf("the error is %q", err)
	}
}

func FuzzFirebaseScrypt(f *testing.F) {
	f.Add(firebaseHash, firebaseSalt, "Bw==", firebaseSigner, 8, 14)
	f.Add(firebaseHash, firebaseSalt, "", firebaseSigner, 64, 22)
	f.Add("$", "-_", "=", "\n", -1, 0)
	f.Fuzz(func(t *testing.T, hash, salt, separator, signer string, rounds, memCost int) {
		h, err := password.FirebaseScrypt(hash, salt, separator, signer, rounds, memCost)
		fuzzConverted(t, h, err)
	})
}

func FuzzASPNetIdentity(f *testing.F) {
	for _, v := range vectors {
		if column, ok := strings.CutPrefix(v.hash, "$aspnet$"); ok {
			f.Add(column)
		}
	}
	f.Fuzz(func(t *testing.T, column string) {
		h, err := password.ASPNetIdentity(column)
		fuzzConverted(t, h, err)
	})
}

func FuzzKeycloak(f *testing.F) {
	more := map[string]string{"hashLength": "32", "memory": "7168", "type": "id", "version": "1.3", "parallelism": "1"}
	const value, salt = "xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80=", "LRScGShC7shkdoU5B1UgUQ=="
	secret, argon2 := keycloakData(value, salt, "argon2", 5, more)
	_, pbkdf2 := keycloakData(value, salt, "pbkdf2-sha256", 27500, nil)
	f.Add(secret, argon2)
	f.Add(secret, pbkdf2)
	f.Add([]byte("null"), []byte(`{"algorithm":"pbkdf2"}`))
	f.Fuzz(func(t *testing.T, secret, credential []byte) {
		h, err := password.Keycloak(secret, credential)
		fuzzConverted(t, h, err)
		if err == nil && (!json.Valid(secret) || !json.Valid(credential)) {
			t.Fatalf("%q and %q were taken", secret, credential)
		}
	})
}
