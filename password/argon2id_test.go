package password_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users/password"
)

func TestArgon2idMatchesTheReference(t *testing.T) {
	t.Parallel()
	for _, vector := range []string{argonVector, argonVector2} {
		h := password.NewHash(vector)
		m, err := password.Default().Verify(h, []byte("password"))
		if m != (password.Match{OK: true, Outdated: true}) || err != nil {
			t.Errorf("%s: got %+v, %v, want a match that is outdated", h.Reveal(), m, err)
		}
		m, err = password.Default().Verify(h, []byte("passwore"))
		if m != (password.Match{}) || err != nil {
			t.Errorf("%s: wrong password: got %+v, %v", h.Reveal(), m, err)
		}
	}
}

func TestArgon2idSaysOutdatedForOtherParameters(t *testing.T) {
	t.Parallel()
	made, err := cheap.Hash([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		hasher password.Argon2id
		want   bool
	}{
		{password.Argon2id{MemoryKiB: 64, Time: 1, Threads: 1}, false},
		{password.Argon2id{MemoryKiB: 65, Time: 1}, true},
		{password.Argon2id{MemoryKiB: 32, Time: 1}, true},
		{password.Argon2id{MemoryKiB: 64, Time: 2}, true},
		{password.Argon2id{MemoryKiB: 64, Time: 1, Threads: 2}, true},
	} {
		m, err := c.hasher.Verify(made, []byte("x"))
		if err != nil || !m.OK || m.Outdated != c.want {
			t.Errorf("%+v: got %+v, %v, want Outdated %v", c.hasher, m, err, c.want)
		}
	}
	// The reference hash has a salt of 8 bytes.
	m, err := password.Argon2id{MemoryKiB: 256, Time: 2}.Verify(password.NewHash(argonVector), []byte("password"))
	if err != nil || !m.OK || !m.Outdated {
		t.Errorf("short salt: got %+v, %v, want Outdated", m, err)
	}
}

func TestArgon2idSaltIsFresh16BytesOfRand(t *testing.T) {
	t.Parallel()
	a := cheap
	a.Rand = strings.NewReader("0123456789abcdefFEDCBA98765432")
	h, err := a.Hash([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"; !strings.HasPrefix(h.Reveal(), want) {
		t.Errorf("got %s, want the prefix %s", h.Reveal(), want)
	}
	if key := h.Reveal()[strings.LastIndexByte(h.Reveal(), '$')+1:]; len(key) != 43 {
		t.Errorf("the key has %d characters of base64, want 43 for 32 bytes", len(key))
	}
	if h, err := a.Hash([]byte("x")); err == nil || !h.IsZero() {
		t.Errorf("got %q, %v with too little left in Rand, want an error", h.Reveal(), err)
	}
}

func TestArgon2idMemoryIsToldWithoutHashing(t *testing.T) {
	t.Parallel()
	const part = "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for _, c := range []struct {
		hash string
		want int64
	}{
		{"", 19 << 20},
		{argonVector, 256 << 10},
		{"$argon2id$v=19$m=1048576,t=4,p=1" + part, 1 << 30},
		{"$argon2id$v=19$m=2097152,t=1,p=4" + part, 2<<30 + 3*16<<10},
		{"$argon2id$v=19$m=2097153,t=1,p=4" + part, 0},
		{bcryptVector, 0},
	} {
		if got := password.Default().Memory(password.NewHash(c.hash)); got != c.want {
			t.Errorf("%q: got %d, want %d", c.hash, got, c.want)
		}
	}
	if got := cheap.Memory(password.Hash{}); got != 64<<10 {
		t.Errorf("own parameters: got %d, want %d", got, 64<<10)
	}
}

// A hostile hash is refused before anything is allocated for it.
func TestArgon2idRefusesWhatIsBeyondItsLimits(t *testing.T) {
	t.Parallel()
	const salt, key = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	bad := []string{
		"$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2d$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$m=256,t=2,p=1$" + salt + "$" + key,
		"x$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "$",
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + strings.Repeat("A", 256),
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "=",
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "\n",
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "\r\n$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key[:42] + "5", // bits beyond the last byte
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key[:20],       // a key of 15 bytes
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$",
		"$argon2id$v=19$m=256,t=2,p=1$c29tZQ$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + strings.Repeat("A", 88), // 66 bytes
		"$argon2id$v=19$m=256,t=2,p=1$" + strings.Repeat("A", 88) + "$" + key,
	}
	for _, params := range []string{
		"m=7,t=1,p=1", "m=0,t=1,p=1", "m=256,t=0,p=1", "m=256,t=1,p=0", "m=2039,t=1,p=255", "m=256,t=1,p=256",
		"m=2097153,t=1,p=1", "m=4294967295,t=1,p=1", "m=4294967296,t=1,p=1", "m=256,t=4294967295,p=1",
		"m=2097152,t=5,p=1", "m=8,t=1048577,p=1", "m=+256,t=2,p=1", "m=0256,t=2,p=1", "m=-1,t=2,p=1", "m=256,t=2", "m=256,t=2,p=1,keyid=AA",
		"t=2,m=256,p=1", "m=,t=2,p=1", "m=256,t=2,p=1 ", "m=2_56,t=2,p=1", "m=0x80,t=2,p=1", "",
	} {
		bad = append(bad, "$argon2id$v=19$"+params+"$"+salt+"$"+key)
	}
	for _, h := range bad {
		m, err := password.Default().Verify(password.NewHash(h), []byte("password"))
		if !errors.Is(err, password.ErrUnknownHash) || m != (password.Match{}) {
			t.Errorf("%q: got %+v, %v, want ErrUnknownHash", h, m, err)
		} else if strings.Contains(err.Error(), "nf65") || strings.Contains(err.Error(), "c29t") {
			t.Errorf("%q: the error quotes the hash: %v", h, err)
		}
		if got := password.Default().Memory(password.NewHash(h)); got != 0 {
			t.Errorf("%q: Memory is %d, want 0", h, got)
		}
	}
}

// It counts what is allocated: it does not run beside others.
func TestArgon2idRefusesALongHashWithoutReadingIt(t *testing.T) {
	h := password.NewHash("$argon2id$v=19$m=256,t=2,p=1" + strings.Repeat("$", 1<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := password.Default().Verify(h, []byte("password"))
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, password.ErrUnknownHash) || got > 1<<20 {
		t.Errorf("got %v after allocating %d bytes, want ErrUnknownHash", err, got)
	}
}

func TestArgon2idHashFailsBeyondItsLimits(t *testing.T) {
	t.Parallel()
	for _, a := range []password.Argon2id{
		{MemoryKiB: 7}, {MemoryKiB: 31, Threads: 4}, {MemoryKiB: 2<<20 + 1}, {MemoryKiB: 1 << 20, Time: 9}, {Time: 1 << 31},
	} {
		if h, err := a.Hash([]byte("x")); err == nil || !h.IsZero() {
			t.Errorf("%+v: got %q, %v, want an error", a, h.Reveal(), err)
		}
	}
}

func TestArgon2idComparesTheWholeKey(t *testing.T) {
	t.Parallel()
	h, err := cheap.Hash([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndexByte(h.Reveal(), '$') + 1
	key, err := base64.RawStdEncoding.DecodeString(h.Reveal()[at:])
	if err != nil {
		t.Fatal(err)
	}
	for i := range key {
		other := slices.Clone(key)
		other[i] ^= 1
		changed := password.NewHash(h.Reveal()[:at] + base64.RawStdEncoding.EncodeToString(other))
		if m, err := cheap.Verify(changed, []byte("x")); m.OK || err != nil {
			t.Errorf("with another byte %d: got %+v, %v, want no match", i, m, err)
		}
	}
}

func TestArgon2idTakesAnyBytes(t *testing.T) {
	t.Parallel()
	for _, pw := range [][]byte{nil, {0}, {0xff, 0xfe}, bytes.Repeat([]byte("x"), 5000)} {
		h, err := cheap.Hash(pw)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := cheap.Verify(h, pw); !m.OK || err != nil {
			t.Errorf("%d bytes: got %+v, %v", len(pw), m, err)
		}
		if m, _ := cheap.Verify(h, append(pw[:len(pw):len(pw)], 'x')); m.OK {
			t.Errorf("%d bytes: one byte more matches as well", len(pw))
		}
	}
}

// Whatever a store holds, Verify does not panic, and it takes no more than Memory
// told before.
func FuzzArgon2idVerify(f *testing.F) {
	for _, s := range []string{argonVector, argonVector2, bcryptVector, "", "$", "$argon2id$v=19$m=4294967295,t=4294967295,p=255$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"} {
		f.Add(s, []byte("password"))
	}
	f.Fuzz(func(t *testing.T, s string, pw []byte) {
		h := password.NewHash(s)
		memory := cheap.Memory(h)
		if memory < 0 || memory > 2<<30+254*16<<10 {
			t.Fatalf("%q: Memory is %d", s, memory)
		}
		if s != "" && memory > 0 {
			var m, passes, p uint64
			if _, err := fmt.Sscanf(s, "$argon2id$v=19$m=%d,t=%d,p=%d$", &m, &passes, &p); err != nil {
				t.Fatalf("%q was taken for a hash", s)
			}
			if m*passes > 4096 || p > 4 {
				return // well formed, but this machine has other things to do
			}
		}
		match, err := cheap.Verify(h, pw)
		if err != nil && (!errors.Is(err, password.ErrUnknownHash) || match != (password.Match{})) {
			t.Fatalf("%q: got %+v, %v", s, match, err)
		}
		if known := s != "" && memory > 0; known != (err == nil) {
			t.Fatalf("%q: Memory is %d, but Verify says %v", s, memory, err)
		}
	})
}
