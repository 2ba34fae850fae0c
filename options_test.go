package users_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

func TestNewSaysWhichOptionIsWrong(t *testing.T) {
	t.Parallel()
	if svc, err := users.New(nil, nil); err == nil || svc != nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("no store: got %v, %v", svc, err)
	}
	if svc, err := users.New(memstore.New(), &users.Options{TokenLifetime: -1}); err == nil || svc != nil || !strings.Contains(err.Error(), "TokenLifetime") {
		t.Errorf("negative TokenLifetime: got %v, %v", svc, err)
	}
}

func TestNilOptionsAreReadyForProduction(t *testing.T) {
	t.Parallel()
	var seen log
	svc, err := users.New(seen.on(memstore.New()), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().UTC().Truncate(time.Microsecond)
	addApplication(t, svc, users.Application{APIKey: apiKey})
	u := addUser(t, t.Context(), svc, "alice")
	if u.DateCreated.Before(before) || u.DateCreated.After(time.Now()) || u.DateCreated.Location() != time.UTC || u.DateCreated.Nanosecond()%1000 != 0 {
		t.Errorf("DateCreated %v is not now in UTC to the microsecond", u.DateCreated)
	}
	if len(u.ID) != 26 || strings.ToUpper(u.ID) != u.ID {
		t.Errorf("the id %q is no ULID", u.ID)
	}
	_, args := seen.take()
	hash := args[len(args)-1].(*users.NewUser).Hash
	if !strings.HasPrefix(hash.Reveal(), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the default hash is not argon2id with 19 MiB")
	}
	p := params("bob")
	both(tones(14))(&p)
	equal(t, "policy", findings(t, svc.CheckCreate(t.Context(), apiKey, p)), []string{"/password too_short"})
}

func TestOptionsAreCopied(t *testing.T) {
	t.Parallel()
	o := &users.Options{Hasher: password.InsecureForTests(), Now: func() time.Time { return start }}
	svc, err := users.New(memstore.New(), o)
	if err != nil {
		t.Fatal(err)
	}
	if o.Gate != nil || o.Policy != nil || o.NewID != nil {
		t.Error("New wrote its defaults into the caller's Options")
	}
	*o = users.Options{RequireCaller: true, Now: func() time.Time { panic("changed") }}
	addApplication(t, svc, users.Application{APIKey: apiKey})
	addUser(t, t.Context(), svc, "alice")
}

func TestIdsAreMadeByTheOptionAndCanonical(t *testing.T) {
	t.Parallel()
	svc, err := users.New(memstore.New(), &users.Options{
		Hasher: password.InsecureForTests(), NewID: func() (string, error) { return "01arz3ndektsv4rrffq69g5fav", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	app, err := svc.CreateApplication(t.Context(), users.Application{APIKey: apiKey})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "id", app.ID, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
}

// ULIDs come from crypto/rand and carry the time: two are never alike, and their
// order is that of their milliseconds.
func TestDefaultIdsAreUniqueAndRoughlyOrdered(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for range 1000 {
		app, err := svc.CreateApplication(t.Context(), users.Application{})
		if err != nil {
			t.Fatal(err)
		}
		if seen[app.ID] || len(app.ID) != 26 || app.ID[:10] < last {
			t.Fatalf("the id %s after %s", app.ID, last)
		}
		seen[app.ID], last = true, app.ID[:10]
	}
}
