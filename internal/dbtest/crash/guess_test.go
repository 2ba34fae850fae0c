package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/internal/dbtest/suite"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

const (
	guessVariable = "USERS_CRASH_GUESS"
	guessName     = "ada"
	freeGuesses   = 5
	guessesEach   = 30 // of a process
)

// guessingService is a Service that lets few guesses be free, and the hasher that counts
// those that are judged.
func guessingService(store users.Store) (*users.Service, *suite.Judge, error) {
	judge := &suite.Judge{Hasher: password.InsecureForTests()}
	svc, err := users.New(store, &users.Options{
		Hasher:  judge,
		Lockout: users.Lockout{Free: freeGuesses, First: time.Hour},
	})
	return svc, judge, err
}

// guessOnceTold guesses at one user's password many times at once, when standard input
// ends, and writes on standard output how many guesses were judged.
func guessOnceTold(spec string) error {
	var b backend
	if err := json.Unmarshal([]byte(spec), &b); err != nil {
		return err
	}
	db, store, err := b.open()
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(15)
	svc, judge, err := guessingService(store)
	if err != nil {
		return err
	}
	ctx := context.Background()
	app, err := svc.Application(ctx, apiKey)
	if err != nil {
		return err
	}
	found, err := store.FindUsers(ctx, users.UserQuery{ApplicationID: app.ID, NameKeys: []string{guessName}})
	if err != nil || len(found) != 1 {
		return fmt.Errorf("got %d users and %w, want one", len(found), err)
	}
	judge.Of = found[0].Hash

	fmt.Fprintln(os.Stderr, "ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	failures := make(chan error, guessesEach)
	var all sync.WaitGroup
	for range guessesEach {
		all.Go(func() {
			if _, err := svc.Authenticate(ctx, apiKey, guessName, password.New("a wrong password")); !errors.Is(err, users.ErrBadCredentials) {
				failures <- fmt.Errorf("got %w, want ErrBadCredentials", err)
			}
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		return err
	}
	fmt.Println(judge.Judged.Load())
	return nil
}

// TestTwoProcessesJudgeNoMoreGuessesThanAreFree has each process guess at once with the
// other: together they judge as many as one would.
func TestTwoProcessesJudgeNoMoreGuessesThanAreFree(t *testing.T) {
	for _, b := range []struct {
		name string
		open func(*testing.T) backend
	}{
		{"SQLite", func(t *testing.T) backend { return backend{"sqlite", sqlstore.SQLite, sqliteDSN(t)} }},
		{"PostgreSQL", func(t *testing.T) backend { return backend{"pgx", sqlstore.Postgres, servers.Postgres(t)} }},
		{"MariaDB", func(t *testing.T) backend { return backend{"mysql", sqlstore.MySQL, servers.MySQL(t)} }},
	} {
		t.Run(b.name, func(t *testing.T) { twoProcessesGuess(t, b.open(t)) })
	}
}

func twoProcessesGuess(t *testing.T, b backend) {
	svc := prepare(t, b)
	if _, err := svc.Create(t.Context(), apiKey, users.CreateUserParams{
		UserName: guessName, Email: guessName + "@example.com",
		Password: password.New("an unguessable sentence"), ConfirmPassword: password.New("an unguessable sentence"),
	}); err != nil {
		t.Fatal(err)
	}
	guessers := []*waitingProcess{startWaiting(t, guessVariable, b), startWaiting(t, guessVariable, b)}
	for _, g := range guessers { // as near to one moment as can be
		g.stdin.Close()
	}
	sum, each := 0, []int{}
	for _, g := range guessers {
		lines := g.wait(t)
		if len(lines) != 1 {
			t.Fatalf("got the lines %q, want a number", lines)
		}
		n, err := strconv.Atoi(lines[0])
		if err != nil {
			t.Fatal(err)
		}
		sum, each = sum+n, append(each, n)
	}
	if sum != freeGuesses {
		t.Errorf("two processes with %d guesses each judged %v, want %d together", guessesEach, each, freeGuesses)
	}
	t.Logf("judged by each: %v", each)
}
