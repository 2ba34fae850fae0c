package suite

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// Guesses runs the promise about guesses at one user's password that arrive together.
func Guesses(t *testing.T, g *Target) {
	g.Share(t)
	t.Run("AtOnce", func(t *testing.T) { GuessesAtOnce(t, g.Fresh(t).Store) })
}

// GuessesAtOnce checks on an empty store that of guesses that arrive together as many are
// judged as are free, however the name is spelt, and none of a lock, a right one neither.
func GuessesAtOnce(t *testing.T, store users.Store) {
	const free, guesses = 5, 60
	judge := &Judge{Hasher: password.InsecureForTests()}
	svc, err := users.New(store, &users.Options{Hasher: judge, Lockout: users.Lockout{Free: free, First: time.Hour}})
	must(t, err)
	app, err := svc.CreateApplication(t.Context(), users.Application{APIKey: "demo"})
	must(t, err)
	p := params("ada")
	p.Roles, p.SendEmailNotification = nil, false
	_, err = svc.Create(t.Context(), "demo", p)
	must(t, err)
	found, err := store.FindUsers(t.Context(), users.UserQuery{ApplicationID: app.ID, NameKeys: []string{"ada"}})
	must(t, err)
	judge.Of = found[0].Hash

	round := func(pw string) {
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range guesses {
			login := []string{"ada", "ADA", "ａｄａ", "Ada@Example.com"}[i%4]
			wg.Go(func() {
				<-start
				if _, err := svc.Authenticate(t.Context(), "demo", login, password.New(pw)); !errors.Is(err, users.ErrBadCredentials) {
					t.Errorf("%s: got %v, want ErrBadCredentials", login, err)
				}
			})
		}
		close(start)
		wg.Wait()
	}
	for i, r := range []struct {
		when, pw string
		want     int64
	}{
		{"at first", "a wrong password", free},
		{"during the lock", "a wrong password", 0},
		{"during the lock, right ones", goodPassword, 0},
	} {
		judge.Judged.Store(0)
		judge.Others.Store(0)
		round(r.pw)
		got := fmt.Sprint(judge.Judged.Load(), " and ", judge.Others.Load())
		if want := fmt.Sprint(r.want, " and ", guesses-r.want); got != want {
			t.Errorf("round %d, %s: verifications of the user's hash and of others: got %s, want %s", i, r.when, got, want)
		}
	}
}

// Judge is a Hasher that counts the verifications of one hash, and all others.
type Judge struct {
	password.Hasher
	Of             password.Hash
	Judged, Others atomic.Int64
}

// Verify implements [password.Hasher].
func (j *Judge) Verify(h password.Hash, pw []byte) (password.Match, error) {
	if h.Equal(j.Of) {
		j.Judged.Add(1)
	} else {
		j.Others.Add(1)
	}
	return j.Hasher.Verify(h, pw)
}
