package password_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
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
// each hash.
type peppered struct {
	password.Hasher
	key []byte
}

func (p peppered) Hash(pw []byte) (password.Hash, error) {
	return p.Hasher.Hash(p.pepper(pw))
}

func (p peppered) Verify(h password.Hash, pw []byte) (password.Match, error) {
	return p.Hasher.Verify(h, p.pepper(pw))
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
	with, _ := hasher.Verify(h, []byte("seven tired llamas on a bus"))
	without, _ := plain.Verify(h, []byte("seven tired llamas on a bus"))
	fmt.Println(with.OK, without.OK)
	// Output: true false
}
