package smtpnotify

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// accepting returns a Service with the application "acme".
func accepting(t *testing.T) *users.Service {
	t.Helper()
	svc, err := users.New(memstore.New(), &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: "acme"}); err != nil {
		t.Fatal(err)
	}
	return svc
}

func withEmail(name, email string) users.CreateUserParams {
	return users.CreateUserParams{UserName: name, Email: email, AutoCreatePassword: true}
}

// everyCharacter yields the characters that can be part of a name. Of the
// thousands of ideographs and Hangul syllables, which all behave alike, it yields
// some.
func everyCharacter(yield func(rune) bool) {
	for r := rune(0x21); r <= unicode.MaxRune; r++ {
		alike := unicode.In(r, unicode.Han, unicode.Hangul) && r%97 != 0
		if unicode.IsGraphic(r) && !alike && !yield(r) {
			return
		}
	}
}

func TestEveryAddressThatCreateAcceptsCanBeWrittenTo(t *testing.T) {
	t.Parallel()
	svc := accepting(t)
	accepted := 0
	for r := range everyCharacter {
		for _, email := range []string{
			fmt.Sprintf("ann@a%ca.example", r), fmt.Sprintf("ann@%c.example", r), fmt.Sprintf("ann@example.x%c", r),
			fmt.Sprintf("a%cn@example.org", r), fmt.Sprintf("%c@example.org", r),
		} {
			if svc.CheckCreate(t.Context(), "acme", withEmail("ann", email)) != nil {
				continue
			}
			accepted++
			if _, err := address("", email); err != nil {
				t.Errorf("%U in %s: got %v, want an address", r, email, err)
			}
		}
	}
	if accepted < 50_000 {
		t.Errorf("got %d addresses that Create accepts, want the test to find more", accepted)
	}
}

// Create takes two addresses for one if their domains are the same. The one that
// mail goes to must be the same, too.
func TestMailGoesToTheDomainThatCreateTook(t *testing.T) {
	t.Parallel()
	svc := accepting(t)
	mapped := 0
	for r := range everyCharacter {
		given := fmt.Sprintf("ann@a%ca.example", r)
		sent, err := address("", given)
		if err != nil || sent.Address == given || unicode.ToLower(r) == r && r < 0x2000 && !unicode.Is(unicode.M, r) {
			continue
		}
		if _, err := svc.Create(t.Context(), "acme", withEmail(fmt.Sprintf("user%d", r), given)); err != nil {
			continue // not accepted, or the same as another one
		}
		mapped++
		_, err = svc.Create(t.Context(), "acme", withEmail("other", sent.Address))
		var taken *users.ConflictError
		if !errors.As(err, &taken) {
			t.Errorf("%U: mail goes to %s, which is another address than %s: Create returned %v", r, sent.Address, given, err)
		}
	}
	if mapped < 1000 {
		t.Errorf("got %d domains to compare, want more", mapped)
	}
}

func TestEnvelopeHoldsOnlyDotAtoms(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"ann@example.org", "a.n.n@example.org", "ann+x@EXAMPLE.org", "!#$%&'*+-/=?^_`{|}~@example.org", "jürgen@example.org",
	} {
		if a, err := address("", good); err != nil || !strings.EqualFold(a.Address, good) {
			t.Errorf("%q: got %v, %v, want it taken", good, a, err)
		}
	}

	var bad []string
	for _, local := range []string{"", ".ann", "ann.", "a..n", `"ann"`} {
		bad = append(bad, local+"@example.org")
	}
	for _, c := range "()<>[]:;@\\,\" \t\r\n\x00\x7f\u0085\u00a0\u200b\u2028\u202e\u3000" {
		bad = append(bad, "a"+string(c)+"n@example.org", "ann@exa"+string(c)+"mple.org")
	}
	for _, domain := range []string{
		"", ".", "a..b", ".example.org", "example.org.", "-a.example", "a-.example", "[192.0.2.1]", "exa_mple.org", "xn--a.example",
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example", "a\xffb.example",
	} {
		bad = append(bad, "ann@"+domain)
	}
	for _, addr := range append(bad, "ann", "", "ann\xff@example.org", "@eve.example:ann@example.org") {
		if a, err := address("", addr); err == nil {
			t.Errorf("%q: got %q, want it refused", addr, a.Address)
		}
	}
}
