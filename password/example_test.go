package password_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/gousers/users/password"
)

// From what a person typed to what is stored, and back at the next login.
func Example() {
	ctx := context.Background()
	hasher := password.Default()
	gate, err := password.NewGate(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := &password.Policy{}

	typed := password.New("seven tired llamas on a bus")
	if err := policy.Check(typed, "ada", "ada@example.com"); err != nil {
		fmt.Println(err)
		return
	}
	pw, err := password.Normalize(typed)
	if err != nil {
		fmt.Println(err)
		return
	}
	var stored password.Hash
	err = gate.Do(ctx, "demo", hasher.Memory(password.Hash{}), func() (err error) {
		stored, err = hasher.Hash(pw)
		return err
	})
	fmt.Println(stored.Reveal()[:31], err)

	var match password.Match
	err = gate.Do(ctx, "demo", hasher.Memory(stored), func() (err error) {
		match, err = hasher.Verify(stored, pw)
		return err
	})
	fmt.Printf("%+v %v\n", match, err)
	// Output:
	// $argon2id$v=19$m=19456,t=2,p=1$ <nil>
	// {OK:true Outdated:false} <nil>
}

func ExampleSecret() {
	type signUp struct {
		Name     string
		Password password.Secret
	}
	form := signUp{"ada", password.New("seven tired llamas on a bus")}
	fmt.Printf("%+v\n", form)
	fmt.Println(form.Password.Equal(password.New("seven tired llamas on a bus")))
	// Output:
	// {Name:ada Password:[redacted]}
	// true
}

func ExamplePolicy_Check() {
	policy := &password.Policy{}
	for _, s := range []string{"hunter2", "Password12345678!", "ada.lovelace1815", "seven tired llamas on a bus"} {
		err := policy.Check(password.New(s), "ada.lovelace")
		var refusal *password.Refusal
		if errors.As(err, &refusal) {
			fmt.Println(refusal.Code+":", refusal.Detail)
		} else {
			fmt.Println("good")
		}
	}
	// Output:
	// too_short: must have at least 15 characters
	// common: must not be a common password, nor be made of common passwords and words
	// personal: must not be made of your user name, your e-mail address or the like
	// good
}

// A list of one's own, in addition to the embedded one.
func ExamplePolicy_blocked() {
	policy := &password.Policy{Blocked: func(s string) bool {
		return password.Common(s) || s == "initech-welcome"
	}}
	fmt.Println(policy.Check(password.New("Initech-Welcome1")))
	// Output: password: must not be a common password, nor be made of common passwords and words
}

func ExampleGate_Overloaded() {
	gate, err := password.NewGate(&password.GateOptions{Slots: 2, Queue: 256})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Before a request's body is read:
	if after, busy := gate.Overloaded("demo"); busy {
		fmt.Printf("503, Retry-After: %d\n", int(after.Seconds()))
		return
	}
	fmt.Println("go on")
	// Output: go on
}

func ExampleBcrypt() {
	hasher, err := password.Bcrypt(12)
	if err != nil {
		fmt.Println(err)
		return
	}
	if limit, ok := hasher.(interface{ MaxBytes() int }); ok {
		fmt.Println(limit.MaxBytes())
	}
	_, err = hasher.Hash([]byte(strings.Repeat("long ", 20)))
	fmt.Println(errors.Is(err, password.ErrTooLong))
	// Output:
	// 72
	// true
}

// peppered is a Hasher of one's own: a key that is not in the database goes into
// each hash. Its hashes have a prefix, so that it takes no others for its own.
type peppered struct {
	hasher password.Hasher
	key    []byte
}

const pepperedPrefix = "$peppered"

func (p peppered) Hash(pw []byte) (password.Hash, error) {
	h, err := p.hasher.Hash(p.pepper(pw))
	if err != nil {
		return password.Hash{}, err
	}
	return password.NewHash(pepperedPrefix + h.Reveal()), nil
}

func (p peppered) Check(h password.Hash) error {
	return p.hasher.Check(p.inner(h))
}

func (p peppered) Verify(h password.Hash, pw []byte) (password.Match, error) {
	return p.hasher.Verify(p.inner(h), p.pepper(pw))
}

func (p peppered) Memory(h password.Hash) int64 {
	if inner := p.inner(h); h.IsZero() || !inner.IsZero() {
		return p.hasher.Memory(inner)
	}
	return 0
}

// inner returns the hash without the prefix; the zero Hash, which no Verifier takes, if
// it has none.
func (p peppered) inner(h password.Hash) password.Hash {
	s, ok := strings.CutPrefix(h.Reveal(), pepperedPrefix)
	if !ok {
		return password.Hash{}
	}
	return password.NewHash(s)
}

func (p peppered) pepper(pw []byte) []byte {
	mac := hmac.New(sha256.New, p.key)
	mac.Write(pw)
	return base64.RawStdEncoding.AppendEncode(nil, mac.Sum(nil))
}

func ExampleHasher() {
	plain := password.InsecureForTests() // password.Default() outside of tests
	hasher := peppered{plain, []byte("a key from the environment")}
	h, err := hasher.Hash([]byte("seven tired llamas on a bus"))
	if err != nil {
		fmt.Println(err)
		return
	}
	match, err := hasher.Verify(h, []byte("seven tired llamas on a bus"))
	fmt.Println(match.OK, err)

	// A hash without the pepper is for others to verify.
	h, err = plain.Hash([]byte("seven tired llamas on a bus"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(hasher.Check(h))
	// Output:
	// true <nil>
	// password: unknown hash
}

// oldShop is a Verifier of one's own: an old system kept "oldshop:", a salt, and the
// SHA-256 of salt and password in hexadecimal.
type oldShop struct{}

func (oldShop) Check(h password.Hash) error {
	_, _, err := parseOldShop(h)
	return err
}

func (oldShop) Verify(h password.Hash, pw []byte) (password.Match, error) {
	salt, sum, err := parseOldShop(h)
	if err != nil {
		return password.Match{}, err
	}
	got := sha256.Sum256(append([]byte(salt), pw...))
	return password.Match{OK: subtle.ConstantTimeCompare(got[:], sum) == 1}, nil
}

func (oldShop) Memory(h password.Hash) int64 {
	if _, _, err := parseOldShop(h); err != nil {
		return 0
	}
	return 1 << 10
}

// parseOldShop is strict, and its error holds nothing of the hash.
func parseOldShop(h password.Hash) (salt string, sum []byte, err error) {
	rest, ok := strings.CutPrefix(h.Reveal(), "oldshop:")
	salt, hexSum, ok2 := strings.Cut(rest, ":")
	sum, err = hex.DecodeString(hexSum)
	if !ok || !ok2 || salt == "" || err != nil || len(sum) != sha256.Size {
		return "", nil, password.ErrUnknownHash
	}
	return salt, sum, nil
}

// Hashes of other systems, and of one that nobody else knows.
func ExampleLegacy() {
	legacy := password.Legacy(oldShop{})
	for _, stored := range []string{
		"oldshop:x7Kq:18a18268adfdfd7c504c776a4c51e8df7de946c15a830ccfa012d6512cba92b4",
		"{SSHA}pKqkNr1tq3wtQqk+UcPyA3HnA2NsU5NJ",
		"5f4dcc3b5aa765d61d8327deb882cf99",
	} {
		h := password.NewHash(stored)
		if err := legacy.Check(h); err != nil {
			fmt.Println(err)
			continue
		}
		match, err := legacy.Verify(h, []byte("password"))
		fmt.Printf("%+v %v\n", match, err)
	}
	// Output:
	// {OK:true Outdated:true} <nil>
	// {OK:true Outdated:true} <nil>
	// password: unknown hash: a scheme that is not known
}

// A user of a Keycloak realm's export.
func ExampleKeycloak() {
	h, err := password.Keycloak(
		[]byte(`{"value":"xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80=","salt":"LRScGShC7shkdoU5B1UgUQ==","additionalParameters":{}}`),
		[]byte(`{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}`),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	match, err := password.Legacy().Verify(h, []byte("secret"))
	fmt.Printf("%+v %v\n", match, err)
	// Output: {OK:true Outdated:true} <nil>
}
