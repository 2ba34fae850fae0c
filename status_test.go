package users_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
)

func TestSetStatusChangesWhatItNames(t *testing.T) {
	t.Parallel()
	var c clock
	svc := newService(t, users.Options{Now: c.Now})
	u := addUser(t, t.Context(), svc, "alice")
	for _, st := range []struct {
		change           users.Status
		approved, locked bool
	}{
		{users.Status{IsApproved: ptr(false)}, false, false},
		{users.Status{IsLockedOut: ptr(true)}, false, true},
		{users.Status{}, false, true},
		{users.Status{IsApproved: ptr(false), IsLockedOut: ptr(true)}, false, true},
		{users.Status{IsApproved: ptr(true), IsLockedOut: ptr(false)}, true, false},
	} {
		c.add(time.Minute)
		if u.IsApproved != st.approved || u.IsLockedOut != st.locked { // or nothing is written
			u.DateUpdated = c.Now()
			u.Version++
		}
		got, err := svc.SetStatus(t.Context(), apiKey, strings.ToLower(u.ID), st.change)
		if err != nil {
			t.Fatal(err)
		}
		u.IsApproved, u.IsLockedOut = st.approved, st.locked
		equal(t, "answer", got, u)
		stored, err := svc.User(t.Context(), apiKey, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "what is read back", stored, u)
	}
	for _, id := range []string{"", "bob", unknownID, u.ID + " "} {
		_, err := svc.SetStatus(t.Context(), apiKey, id, users.Status{IsApproved: ptr(true)})
		equal(t, fmt.Sprintf("%q", id), class(err), "not found")
	}
}

// Two members set by racing writers are both set in the end.
func TestRacingSetStatusLosesNothing(t *testing.T) {
	t.Parallel()
	for range 50 {
		svc := newService(t, users.Options{})
		u := addUser(t, t.Context(), svc, "alice")
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				st := users.Status{IsLockedOut: ptr(true)}
				if i%2 == 0 {
					st = users.Status{IsApproved: ptr(false)}
				}
				if _, err := svc.SetStatus(t.Context(), apiKey, u.ID, st); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		got, err := svc.User(t.Context(), apiKey, u.ID)
		if err != nil || !got.IsLockedOut || got.IsApproved {
			t.Fatalf("got %+v, %v, want both changes", got, err)
		}
	}
}

func TestSetStatusTriesAgainOnNewVersionsOnly(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	u := addUser(t, t.Context(), plain, "alice")

	// Another writer is faster three times.
	tries := 0
	svc := plain.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.SetUserStatus {
			if tries++; tries <= 3 {
				if _, err := plain.SetStatus(ctx, apiKey, u.ID, users.Status{IsApproved: ptr(tries == 2)}); err != nil {
					t.Error(err)
				}
			}
		}
		return do()
	}))
	got, err := svc.SetStatus(t.Context(), apiKey, u.ID, users.Status{IsLockedOut: ptr(true)})
	if err != nil || !got.IsLockedOut || got.IsApproved || tries != 4 {
		t.Errorf("got %+v, %v after %d tries, want both changes after 4", got, err, tries)
	}

	// A snapshot never shows the other writer's version.
	tries = 0
	svc = plain.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.SetUserStatus {
			tries++
			return users.ErrStale
		}
		return do()
	}))
	_, err = svc.SetStatus(t.Context(), apiKey, u.ID, users.Status{IsLockedOut: ptr(false)})
	if !errors.Is(err, users.ErrStale) || tries != 1 {
		t.Errorf("got %v after %d tries, want ErrStale after 1", err, tries)
	}

	// A caller that gave up is not kept.
	ctx, cancel := context.WithCancel(t.Context())
	svc = plain.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.SetUserStatus {
			cancel()
			return users.ErrStale
		}
		return do()
	}))
	_, err = svc.SetStatus(ctx, apiKey, u.ID, users.Status{IsLockedOut: ptr(false)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// No name looks like an id, and a name with an @ is its user's own address, so that a
// reference means one user.
func TestUserIsFoundByIDNameOrAddress(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	p := params("Alice")
	p.ID = "ABCDEFAB-0000-4000-8000-000000000001"
	if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
		t.Fatal(err)
	}
	bob := params("Bob@Example.com")
	bob.Email = "bob@example.com"
	b, err := svc.Create(t.Context(), apiKey, bob)
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"abcdefab-0000-4000-8000-000000000001": "Alice",
		"ABCDEFAB-0000-4000-8000-000000000001": "Alice",
		"alice":                                "Alice",
		"ＡＬＩＣＥ":                                "Alice",
		b.ID:                                   bob.UserName,
		strings.ToLower(b.ID):                  bob.UserName,
		"bob@example.com":                      bob.UserName, // its name is its address
		"BOB@EXAMPLE.COM":                      bob.UserName,
		"Ｂob＠Ｅxample.com":                      bob.UserName,
		"alice@example.com":                    "Alice",
		"ALICE@Example.com":                    "Alice",
		"bob":                                  "",
		"abcdefab-0000-4000-8000-000000000002": "",
		"abcdefab000040008000000000000001":     "",
		"00000000-0000-0000-0000-000000000000": "",
		"":                                     "",
		".":                                    "",
		"alice/":                               "",
		"alice\x00":                            "",
		"\xff":                                 "",
		strings.Repeat("a", 10_000):            "",
	} {
		u, err := svc.User(t.Context(), apiKey, ref)
		switch {
		case want == "":
			equal(t, fmt.Sprintf("%.40q", ref), class(err), "not found")
		case err != nil || u.UserName != want:
			t.Errorf("%q: got %v, %v, want %s", ref, u, err, want)
		}
	}
	for _, id := range []string{"ABCDEFAB-0000-4000-8000-000000000009", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav"} {
		p := params("x")
		p.UserName = id
		if err := svc.CheckCreate(t.Context(), apiKey, p); !errors.Is(err, users.ErrValidation) {
			t.Errorf("the user name %s: got %v, want it refused", id, err)
		}
	}
}
