package password_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/gousers/users/password"
)

func newBcrypt(t *testing.T, cost int) password.Hasher {
	t.Helper()
	h, err := password.Bcrypt(cost)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestBcryptChecksItsCost(t *testing.T) {
	t.Parallel()
	for _, cost := range []int{-1, 0, 3, 17, 31, 32} {
		if h, err := password.Bcrypt(cost); err == nil || h != nil {
			t.Errorf("cost %d: got %v, %v, want an error", cost, h, err)
		}
	}
	for _, cost := range []int{4, 10, 16} {
		if _, err := password.Bcrypt(cost); err != nil {
			t.Errorf("cost %d: %v", cost, err)
		}
	}
}

func TestBcryptVerifiesImportedHashes(t *testing.T) {
	t.Parallel()
	const quick = "$2a$04$hL7gybM6mmFAj8bLDAIl8.G6.hC4m0YhrVxmVYf2w1pGwZvgVxKce" // cost 4, the same password
	h := newBcrypt(t, 10)
	if m, err := h.Verify(password.NewHash(bcryptVector), []byte("allmine")); m != (password.Match{OK: true}) || err != nil {
		t.Errorf("reference: got %+v, %v", m, err)
	}
	for _, variant := range []string{"a", "b", "y"} {
		m, err := h.Verify(password.NewHash("$2"+variant+quick[3:]), []byte("allmine"))
		if m != (password.Match{OK: true, Outdated: true}) || err != nil {
			t.Errorf("$2%s$ of another cost: got %+v, %v, want Outdated", variant, m, err)
		}
	}
	if m, err := h.Verify(password.NewHash(quick), []byte("allmin")); m != (password.Match{}) || err != nil {
		t.Errorf("wrong password: got %+v, %v", m, err)
	}
}

func TestBcryptRefusesMoreThan72Bytes(t *testing.T) {
	t.Parallel()
	h := newBcrypt(t, 10)
	limit, ok := h.(interface{ MaxBytes() int })
	if !ok || limit.MaxBytes() != 72 {
		t.Fatalf("%T does not say that it takes 72 bytes", h)
	}
	long := bytes.Repeat([]byte("x"), 73)
	if got, err := h.Hash(long); !errors.Is(err, password.ErrTooLong) || !got.IsZero() {
		t.Errorf("Hash: got %q, %v, want ErrTooLong", got.Reveal(), err)
	}
	if m, err := h.Verify(password.NewHash(bcryptVector), long); !errors.Is(err, password.ErrTooLong) || m != (password.Match{}) {
		t.Errorf("Verify: got %+v, %v, want ErrTooLong", m, err)
	}
	if full, err := h.Hash(long[:72]); full.IsZero() || err != nil {
		t.Errorf("72 bytes: got %q, %v", full.Reveal(), err)
	}
}

// bcrypt reads the password in a circle with a NUL at its end.
func TestBcryptTakesNoNUL(t *testing.T) {
	t.Parallel()
	h := newBcrypt(t, 10)
	if got, err := h.Hash([]byte("a\x00a")); err == nil || !got.IsZero() {
		t.Errorf("Hash: got %q, %v, want an error", got.Reveal(), err)
	}
	if m, err := h.Verify(password.NewHash(bcryptVector), []byte("allmine\x00allmine")); m != (password.Match{}) || err != nil {
		t.Errorf("Verify: got %+v, %v, want no match", m, err)
	}
}

func TestBcryptRefusesMalformedHashes(t *testing.T) {
	t.Parallel()
	h := newBcrypt(t, 10)
	const v = bcryptVector
	for _, bad := range []string{
		"$2x" + v[3:], "$2$" + v[4:], "$1a" + v[3:], "$2a$17" + v[6:], "$2a$31" + v[6:], "$2a$03" + v[6:], "$2a$+9" + v[6:], "$2a$1a" + v[6:],
		v[:59], v + "a", v[:59] + "\n", v[:59] + "$", v[:59] + "\x00", v[:30] + "é" + v[32:], strings.Repeat("$", 60), "$2a$10", "$",
	} {
		m, err := h.Verify(password.NewHash(bad), []byte("allmine"))
		if !errors.Is(err, password.ErrUnknownHash) || m != (password.Match{}) {
			t.Errorf("%q: got %+v, %v, want ErrUnknownHash", bad, m, err)
		} else if strings.Contains(err.Error(), "XajjQ") {
			t.Errorf("%q: the error quotes the hash: %v", bad, err)
		}
		if got := h.Memory(password.NewHash(bad)); got != 0 {
			t.Errorf("%q: Memory is %d, want 0", bad, got)
		}
	}
	if h.Memory(password.Hash{}) <= 0 || h.Memory(password.NewHash(v)) <= 0 {
		t.Errorf("Memory is %d and %d, want more than 0", h.Memory(password.Hash{}), h.Memory(password.NewHash(v)))
	}
}
