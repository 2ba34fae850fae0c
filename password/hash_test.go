package password_test

import (
	"bytes"
	"database/sql/driver"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gousers/users/password"
)

// Reference hashes: test.c of the Argon2 reference implementation, and OpenBSD's bcrypt.
const (
	argonVector  = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	argonVector2 = "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
	bcryptVector = "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga" // "allmine"
)

var cheap = password.Argon2id{MemoryKiB: 64, Time: 1}

func TestHashNeverPrints(t *testing.T) {
	t.Parallel()
	type record struct{ Hash password.Hash }
	h := password.NewHash(argonVector)
	var out bytes.Buffer
	type hidden struct {
		hash  password.Hash
		inner record
	}
	for _, v := range []any{
		h, &h, record{h}, &record{h}, []password.Hash{h}, map[string]password.Hash{"k": h}, hidden{h, record{h}}, &hidden{h, record{h}},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p", "%w", "%t"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		if b, err := json.Marshal(v); err == nil && string(b) != "{}" {
			t.Errorf("json.Marshal of %T gave %s, want an error", v, b)
		} else if err != nil {
			fmt.Fprintln(&out, err)
		}
	}
	if err := gob.NewEncoder(&out).Encode(h); err == nil {
		t.Error("gob took a hash, want an error")
	} else {
		fmt.Fprintln(&out, err)
	}
	if b, err := h.MarshalText(); b != nil || err == nil {
		t.Errorf("MarshalText gave %q, %v, want an error", b, err)
	}
	fmt.Fprintln(&out, h.String(), h.GoString(), h.LogValue())
	for _, part := range []string{"nf65EOgLrQMR", "c29tZXNhbHQ", fmt.Sprintf("%x", argonVector)} {
		if strings.Contains(out.String(), part) {
			t.Errorf("the output shows %s: %s", part, out.String())
		}
	}
}

func TestHashIsStoredAsItIs(t *testing.T) {
	t.Parallel()
	h := password.NewHash(argonVector)
	if h.Reveal() != argonVector {
		t.Errorf("got %q", h.Reveal())
	}
	v, err := driver.DefaultParameterConverter.ConvertValue(h)
	if v != argonVector || err != nil {
		t.Errorf("database/sql would store %v, %v", v, err)
	}
	if v, err := driver.DefaultParameterConverter.ConvertValue(password.NewHash("")); v != nil || err != nil {
		t.Errorf("of no hash database/sql would store %v, %v, want null", v, err)
	}
	var back password.Hash
	if err := json.Unmarshal([]byte(`"`+argonVector+`"`), &back); err != nil || !back.Equal(h) {
		t.Errorf("decoding gave %q, %v", back.Reveal(), err)
	}
}

func TestHashersVerifyWhatTheyHashed(t *testing.T) {
	t.Parallel()
	bcrypt, err := password.Bcrypt(10)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, prefix string
		hasher       password.Hasher
	}{
		{"Default", "$argon2id$v=19$m=19456,t=2,p=1$", password.Default()},
		{"Argon2id", "$argon2id$v=19$m=64,t=1,p=1$", cheap},
		{"Bcrypt", "$2a$10$", bcrypt},
		{"InsecureForTests", "$insecure-for-tests$", password.InsecureForTests()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pw := []byte("correct horse battery staple é")
			h, err := c.hasher.Hash(pw)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(h.Reveal(), c.prefix) {
				t.Errorf("got %q, want the prefix %q", h.Reveal(), c.prefix)
			}
			if string(pw) != "correct horse battery staple é" {
				t.Error("Hash changed the password's bytes")
			}
			if m, err := c.hasher.Verify(h, pw); m != (password.Match{OK: true}) || err != nil {
				t.Errorf("right password: got %+v, %v", m, err)
			}
			if m, err := c.hasher.Verify(h, []byte("correct horse battery staple e")); m != (password.Match{}) || err != nil {
				t.Errorf("wrong password: got %+v, %v", m, err)
			}
			if c.name == "Default" || c.name == "Bcrypt" { // they take their time
				return
			}
			if again, _ := c.hasher.Hash(pw); again.Equal(h) {
				t.Error("two hashes of one password are equal: no salt")
			}
		})
	}
}

func TestHashersRefuseForeignHashes(t *testing.T) {
	t.Parallel()
	bcrypt, err := password.Bcrypt(10)
	if err != nil {
		t.Fatal(err)
	}
	insecure, err := password.InsecureForTests().Hash([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]password.Hash{
		"argon2id": password.NewHash(argonVector), "bcrypt": password.NewHash(bcryptVector), "insecure": insecure,
		"none": {}, "other": password.NewHash("{SSHA}abc"), "dollars": password.NewHash("$$$$$"),
	}
	for own, hasher := range map[string]password.Hasher{"argon2id": password.Default(), "bcrypt": bcrypt, "insecure": password.InsecureForTests()} {
		for scheme, h := range hashes {
			if scheme == own {
				continue
			}
			m, err := hasher.Verify(h, []byte("x"))
			if !errors.Is(err, password.ErrUnknownHash) || m != (password.Match{}) {
				t.Errorf("%s hasher, %s hash: got %+v, %v, want ErrUnknownHash", own, scheme, m, err)
			}
			if !h.IsZero() && hasher.Memory(h) != 0 {
				t.Errorf("%s hasher, %s hash: Memory is %d, want 0", own, scheme, hasher.Memory(h))
			}
		}
	}
}
