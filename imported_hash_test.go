package users_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// oldSystem verifies the hashes of a scheme of the host's own.
type oldSystem struct{ verified atomic.Int64 }

const costly = "old$costly"

func oldHash(pw string) password.Hash {
	sum := sha256.Sum256([]byte(pw))
	return password.NewHash("old$" + hex.EncodeToString(sum[:]))
}

func (o *oldSystem) Check(h password.Hash) error {
	switch s := h.Reveal(); {
	case !strings.HasPrefix(s, "old$"):
		return password.ErrUnknownHash
	case s == costly:
		return password.ErrTooCostly
	}
	return nil
}

func (o *oldSystem) Verify(h password.Hash, pw []byte) (password.Match, error) {
	if err := o.Check(h); err != nil {
		return password.Match{}, err
	}
	o.verified.Add(1)
	return password.Match{OK: h.Equal(oldHash(string(pw)))}, nil
}

func (o *oldSystem) Memory(password.Hash) int64 { return 0 }

// withHash asks for a user who brings a hash.
func withHash(name string, h password.Hash) users.CreateUserParams {
	return users.CreateUserParams{UserName: name, Email: name + "@example.com", PasswordHash: h}
}

// A user who comes with a hash of another system signs in with the password of old, and
// has a hash of this one from then on.
func TestImportedHashIsReplacedAtTheFirstSignIn(t *testing.T) {
	t.Parallel()
	store, old := memstore.New(), &oldSystem{}
	svc := newServiceOn(t, store, users.Options{Legacy: password.Legacy(old)})
	u, err := svc.Create(t.Context(), apiKey, withHash("ann", oldHash("old")))
	if err != nil {
		t.Fatal(err)
	}
	if u.PasswordChanged != u.DateCreated {
		t.Errorf("PasswordChanged is %v, want that of the user's creation", u.PasswordChanged)
	}
	equal(t, "wrong", signIn(t.Context(), svc, "ann", "new"), "bad credentials")
	equal(t, "the hash is kept", hashOf(t, svc, store, u.ID).Equal(oldHash("old")), true)
	equal(t, "right", signIn(t.Context(), svc, "ann", "old"), "ok")
	m, err := password.InsecureForTests().Verify(hashOf(t, svc, store, u.ID), []byte("old"))
	if !m.OK || err != nil {
		t.Errorf("the hash afterwards: got %+v, %v, want one of the Hasher", m, err)
	}
	asked := old.verified.Load()
	equal(t, "again", signIn(t.Context(), svc, "ann", "old"), "ok")
	equal(t, "asked again", old.verified.Load(), asked)
	equal(t, "version", get(t, svc, u.ID).Version, 1)
}

// Other systems hashed what was typed; some composed it first, as this one does.
func TestImportedHashIsComparedWithWhatWasTyped(t *testing.T) {
	t.Parallel()
	const composed, apart = "sch\u00f6ner W\u00e4scher", "scho\u0308ner Wa\u0308scher"
	for _, tt := range []struct {
		what, hashed, typed, want string
		verified                  int64
	}{
		{"composed", composed, composed, "ok", 1},
		{"apart", apart, apart, "ok", 1},
		{"composed by the other system", composed, apart, "ok", 2},
		{"apart, typed on another machine", apart, composed, "bad credentials", 1},
		{"wrong", composed, composed + " ", "bad credentials", 1},
		{"no text", "\xff", "\xff", "bad credentials", 0},
	} {
		old := &oldSystem{}
		svc := newService(t, users.Options{Legacy: old})
		if _, err := svc.Create(t.Context(), apiKey, withHash("ann", oldHash(tt.hashed))); err != nil {
			t.Fatal(err)
		}
		equal(t, tt.what, signIn(t.Context(), svc, "ann", tt.typed), tt.want)
		equal(t, tt.what+": verified", old.verified.Load(), tt.verified)
	}
}

// That holds for a scheme that is the Hasher's own too.
func TestImportedHashOfTheHashersSchemeIsComparedWithWhatWasTyped(t *testing.T) {
	t.Parallel()
	const composed, apart = "sch\u00f6ner W\u00e4scher", "scho\u0308ner Wa\u0308scher"
	for _, hashed := range []string{composed, apart} {
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{})
		h, err := password.InsecureForTests().Hash([]byte(hashed))
		if err != nil {
			t.Fatal(err)
		}
		u, err := svc.Create(t.Context(), apiKey, withHash("ann", h))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "wrong", signIn(t.Context(), svc, "ann", apart+" "), "bad credentials")
		equal(t, "as it was typed", signIn(t.Context(), svc, "ann", apart), "ok")
		equal(t, "made anew", !hashOf(t, svc, store, u.ID).Equal(h), hashed == apart)
		equal(t, "in its other form from now on", signIn(t.Context(), svc, "ann", composed), "ok")
	}
}

// A hash takes the place of a password: what it can be, and what it excludes.
func TestPasswordHashIsJudgedBeforeItIsStored(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{Legacy: password.Legacy(&oldSystem{})})
	made, err := password.InsecureForTests().Hash([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(p *users.CreateUserParams)
		want   []string
	}{
		"of another scheme": {func(p *users.CreateUserParams) {}, nil},
		"of the Hasher":     {func(p *users.CreateUserParams) { p.PasswordHash = made }, nil},
		"of a built-in scheme": {func(p *users.CreateUserParams) {
			p.PasswordHash = password.NewHash("$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.")
		}, nil},
		"1,024 bytes": {func(p *users.CreateUserParams) {
			p.PasswordHash = password.NewHash("old$" + strings.Repeat("a", 1020))
		}, nil},
		"1,025 bytes": {func(p *users.CreateUserParams) {
			p.PasswordHash = password.NewHash("old$" + strings.Repeat("a", 1021))
		}, []string{"/passwordHash too_long"}},
		"unknown":    {func(p *users.CreateUserParams) { p.PasswordHash = password.NewHash("plain") }, []string{"/passwordHash unknown_hash"}},
		"not salted": {func(p *users.CreateUserParams) { p.PasswordHash = password.NewHash("5f4dcc3b5aa765d61d8327deb882cf99") }, []string{"/passwordHash unknown_hash"}},
		"costly":     {func(p *users.CreateUserParams) { p.PasswordHash = password.NewHash(costly) }, []string{"/passwordHash too_costly"}},
		"costly for the machine": {func(p *users.CreateUserParams) {
			p.PasswordHash = password.NewHash("$2b$16$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.")
		}, []string{"/passwordHash too_costly"}},
		"beside a password": {func(p *users.CreateUserParams) {
			p.Password, p.ConfirmPassword = password.New(secret), password.New(secret)
		}, []string{"/password excluded", "/confirmPassword excluded"}},
		"of a user who is to set one": {func(p *users.CreateUserParams) { p.AutoCreatePassword = true }, []string{"/passwordHash excluded"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := withHash("u"+strings.ReplaceAll(strings.ReplaceAll(name, " ", ""), ",", ""), oldHash(secret))
			tt.change(&p)
			_, err := svc.Create(t.Context(), apiKey, p)
			if tt.want == nil && err == nil {
				return
			}
			equal(t, "findings", findings(t, err), tt.want)
			if strings.Contains(err.Error(), p.PasswordHash.Reveal()) {
				t.Errorf("the error quotes the hash: %v", err)
			}
		})
	}
}

// A hash is the permission to sign in of somebody whom nobody here has seen.
func TestPasswordHashNeedsImportUsers(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{Legacy: &oldSystem{}})
	for _, tt := range []struct {
		may  users.Permissions
		want string
	}{
		{users.AllPermissions &^ users.ImportUsers, "forbidden"},
		{users.CreateUsers | users.ImportUsers, "ok"},
	} {
		ctx := as(t.Context(), users.Caller{ID: "c", APIKey: apiKey, Permissions: tt.may})
		_, err := svc.Create(ctx, apiKey, withHash("ann", oldHash(secret)))
		equal(t, tt.may.String(), class(err), tt.want)
		if forbidden := (*users.ForbiddenError)(nil); errors.As(err, &forbidden) {
			equal(t, "members", forbidden.Members, []string{"passwordHash"})
		}
	}
}

// The Hasher as Legacy takes no other hashes; those that are stored already match nothing,
// after the same work.
func TestLegacyCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	store, old, j := memstore.New(), &oldSystem{}, newJudge()
	before := newServiceOn(t, store, users.Options{Legacy: old})
	if _, err := before.Create(t.Context(), apiKey, withHash("ann", oldHash("old"))); err != nil {
		t.Fatal(err)
	}
	svc, err := users.New(store, &users.Options{Hasher: j, Legacy: j})
	if err != nil {
		t.Fatal(err)
	}
	_, err = svc.Create(t.Context(), apiKey, withHash("bea", oldHash("old")))
	equal(t, "another", findings(t, err), []string{"/passwordHash unknown_hash"})
	equal(t, "stored before", signIn(t.Context(), svc, "ann", "old"), "bad credentials")
	equal(t, "where it is on", signIn(t.Context(), before, "ann", "old"), "ok")
}

// A hash that the Hasher itself calls too costly is not taken through the other door.
func TestTooCostlyForTheHasherIsFinal(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{Hasher: strict{password.InsecureForTests()}, Legacy: &oldSystem{}})
	_, err := svc.Create(t.Context(), apiKey, withHash("ann", oldHash("old")))
	equal(t, "findings", findings(t, err), []string{"/passwordHash too_costly"})
}

// strict is a Hasher that calls everything too costly.
type strict struct{ password.Hasher }

func (strict) Check(password.Hash) error { return password.ErrTooCostly }

// bcrypt takes 72 bytes. Users of other systems, which cut what was longer, still sign in;
// a Hasher's own users never had such a password.
func TestLongPasswordOfABcryptUser(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 20)
	bcrypt, err := password.Bcrypt(password.MinBcryptCost)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := bcrypt.Hash([]byte(long[:72]))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		options users.Options
		want    string
	}{
		"argon2id":                {users.Options{Hasher: password.Argon2id{MemoryKiB: 64, Time: 1}}, "ok"},
		"bcrypt":                  {users.Options{Hasher: bcrypt}, "ok"},
		"bcrypt and nothing else": {users.Options{Hasher: bcrypt, Legacy: bcrypt}, "bad credentials"},
	} {
		var seen signIns
		tt.options.AfterSignIn = seen.note
		svc := newService(t, tt.options)
		if _, err := svc.Create(t.Context(), apiKey, withHash("ann", cut)); err != nil {
			t.Fatal(err)
		}
		equal(t, name, signIn(t.Context(), svc, "ann", long), tt.want)
		equal(t, name+", wrong", signIn(t.Context(), svc, "ann", "x"+long), "bad credentials")
		for _, e := range seen.take() {
			equal(t, name+": the hash is unknown", e.UnknownHash, false)
		}
	}
}

// What a hash takes is known to the gate before it is verified: two of these never run at
// once.
func TestMemoryOfAnImportedHashIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, err := password.NewGate(&password.GateOptions{Slots: 8, Bytes: 150})
		if err != nil {
			t.Fatal(err)
		}
		big := &bigVerifier{}
		svc := newService(t, users.Options{Legacy: big, Gate: gate})
		for _, name := range []string{"ann", "bea", "cid"} {
			if _, err := svc.Create(t.Context(), apiKey, withHash(name, oldHash("old"))); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for _, name := range []string{"ann", "bea", "cid"} {
			all.Go(func() { equal(t, name, signIn(t.Context(), svc, name, "old"), "ok") })
		}
		all.Wait()
		equal(t, "at once", big.most.Load(), 1)
	})
}

// bigVerifier takes more than half of the gate's memory, for a second.
type bigVerifier struct {
	oldSystem
	now, most atomic.Int64
}

func (b *bigVerifier) Memory(password.Hash) int64 { return 100 }

func (b *bigVerifier) Verify(h password.Hash, pw []byte) (password.Match, error) {
	raise(&b.most, b.now.Add(1))
	defer b.now.Add(-1)
	time.Sleep(time.Second)
	return b.oldSystem.Verify(h, pw)
}
