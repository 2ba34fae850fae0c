package password_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gousers/users/password"
)

// fuzzLegacy runs what all schemes promise on hashes that begin with one of the prefixes:
// nothing panics, Check, Verify and Memory agree, and no password beside another matches.
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
	seeds := 0
	for _, v := range vectors {
		if begins(v.hash) {
			f.Add(v.hash, []byte(v.pw))
			seeds++
		}
	}
	for _, b := range bounds() {
		if begins(b.at) {
			f.Add(b.at, []byte("password"))
			f.Add(b.beyond, []byte("password"))
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatalf("no seed begins with %q", prefixes)
	}
	f.Fuzz(func(t *testing.T, s string, pw []byte) {
		if !begins(s) {
			s = prefixes[len(s)%len(prefixes)] + s
		}
		h := password.NewHash(s)
		err := legacy.Check(h)
		memory := legacy.Memory(h)
		if (memory > 0) != (err == nil) || memory < 0 || memory > 1<<30 {
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

// numbers finds all numbers of a hash's parameters.
var numbers = regexp.MustCompile(`[=$][0-9]+`)

// noNumberAbove returns a test of what a hash costs.
func noNumberAbove(limit int) func(string) bool {
	return func(h string) bool {
		for _, s := range numbers.FindAllString(h, -1) {
			if n, err := strconv.Atoi(s[1:]); err == nil && n > limit {
				return false
			}
		}
		return true
	}
}

func FuzzLegacyArgon2(f *testing.F) { fuzzLegacy(f, noNumberAbove(300), "$argon2id$", "$argon2i$") }

func FuzzLegacyBcrypt(f *testing.F) {
	fuzzLegacy(f, func(h string) bool { return strings.Contains(h, "$04$") }, "$2a$", "$2b$", "$2y$", "$wp$2y$")
}

func FuzzLegacyScrypt(f *testing.F) { fuzzLegacy(f, noNumberAbove(8), "$scrypt$") }

func FuzzLegacyFirebase(f *testing.F) {
	fuzzLegacy(f, noNumberAbove(10), "$firebasescrypt$", "$firescrypt$")
}

func FuzzLegacyPBKDF2(f *testing.F) { fuzzLegacy(f, noNumberAbove(10_000), "$pbkdf2") }

func FuzzLegacyDjango(f *testing.F) { fuzzLegacy(f, noNumberAbove(20_000), "pbkdf2_") }

func FuzzLegacyASPNet(f *testing.F) {
	fuzzLegacy(f, func(h string) bool {
		b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h, "$aspnet$"))
		return err == nil && (b[0] == 0 || binary.BigEndian.Uint32(b[5:]) <= 10_000)
	}, "$aspnet$")
}

func FuzzLegacyLDAP(f *testing.F) {
	fuzzLegacy(f, func(h string) bool {
		return noNumberAbove(5000)(h) && (!strings.Contains(h, "$2") || strings.Contains(h, "$04$"))
	},
		"{ssha}", "{ssha256}", "{ssha512}", "{crypt}", "{")
}

func FuzzLegacyCrypt(f *testing.F) { fuzzLegacy(f, noNumberAbove(5000), "$1$", "$5$", "$6$") }

func FuzzLegacyPHPass(f *testing.F) {
	fuzzLegacy(f, func(h string) bool { return strings.IndexByte("56789AB", h[3]) >= 0 }, "$P$", "$H$")
}

// Of anything at all.
func FuzzLegacy(f *testing.F) {
	fuzzLegacy(f, func(string) bool { return false }, "")
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
