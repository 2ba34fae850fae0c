// Package galera_test checks on a MariaDB Galera cluster that is written on every
// node what a single server can't show: named locks and row locks are a node's
// own there, reads lag behind, and a write can fail as late as at its commit.
package galera_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// node is one node's store, and its database as it is once everything has come
// that others wrote before.
type node struct {
	*sqlstore.Store
	synced *sql.DB
}

// nodes returns a store on each node, all on one new, empty database.
func nodes(t *testing.T) (all []node) {
	t.Helper()
	for _, dsn := range servers.Galera(t) {
		s, err := sqlstore.New(open(t, dsn), sqlstore.MySQL, nil)
		must(t, err)
		all = append(all, node{s, open(t, dsn+"?wsrep_sync_wait=1")})
	}
	return all
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// atOnce runs f on every node, n times on each, all at the same time.
func atOnce(all []node, n int, f func(s node, i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n * len(all) {
		wg.Go(func() {
			<-start
			f(all[i%len(all)], i)
		})
	}
	close(start)
	wg.Wait()
}

// withUsers is nodes with the tables, application "app" and users of these names.
func withUsers(t *testing.T, names ...string) []node {
	t.Helper()
	all := nodes(t)
	must(t, all[0].Migrate(t.Context()))
	must(t, all[0].CreateApplication(t.Context(), users.Application{ID: "app", APIKey: "app"}))
	for _, name := range names {
		must(t, all[0].CreateUser(t.Context(), newUser(name, name)))
	}
	for _, n := range all {
		n.count(t, "users") // waits
	}
	return all
}

func newUser(id, name string) *users.NewUser {
	now := time.Now().UTC().Truncate(time.Microsecond)
	u := &users.NewUser{}
	u.ApplicationID, u.ID, u.NameKey, u.EmailKey = "app", id, name, name+"@example.com"
	u.CreationDate, u.DateCreated, u.DateUpdated = now, now, now
	return u
}

func (n node) count(t *testing.T, table string) (rows int) {
	t.Helper()
	must(t, n.synced.QueryRow("SELECT count(*) FROM "+table).Scan(&rows))
	return rows
}

func TestProcessesOnAllNodesMigrateAtOnce(t *testing.T) {
	for round := range 5 {
		all := nodes(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		atOnce(all, 1, func(s node, i int) {
			if err := s.Migrate(ctx); err != nil {
				t.Errorf("round %d, node %d: Migrate: got %v, want nil", round, i, err)
			}
		})
		for i, n := range all {
			if err := errors.Join(n.Migrate(ctx), n.Check(ctx)); err != nil {
				t.Errorf("round %d, node %d: Migrate again and Check: got %v, want nil", round, i, err)
			}
			if got := n.count(t, "users_migrations WHERE version = 0 OR done_at IS NULL"); got != 0 {
				t.Errorf("round %d, node %d: got %d entries that are not done, want none", round, i, got)
			}
		}
	}
}

func TestOneOfManyCreatesTheUser(t *testing.T) {
	all := withUsers(t)
	var won atomic.Int64
	atOnce(all, 7, func(s node, i int) {
		switch err := s.CreateUser(t.Context(), newUser(fmt.Sprint("u", i), "ada")); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, users.ErrConflict):
			t.Errorf("a loser: got %v, want a conflict", err)
		}
	})
	for i, n := range all {
		if got := n.count(t, "users"); got != 1 || won.Load() != 1 {
			t.Errorf("node %d: got %d users and %d winners, want 1", i, got, won.Load())
		}
	}
}

func TestAUserHasOnePendingNotificationOfAKind(t *testing.T) {
	all := withUsers(t, "ada")
	atOnce(all, 7, func(s node, i int) {
		r := users.NotificationRecord{
			ID: fmt.Sprint("n", i), ApplicationID: "app", UserID: "ada",
			Kind: users.KindSetPassword, State: users.StatePending, Created: time.Now().UTC().Truncate(time.Microsecond),
		}
		if err := s.Enqueue(t.Context(), r, time.Minute); err != nil {
			t.Errorf("Enqueue: got %v, want nil", err)
		}
	})
	for i, n := range all {
		if got := n.count(t, "notifications"); got != 1 {
			t.Errorf("node %d: got %d notifications, want 1", i, got)
		}
	}
}

func TestOneEditOfAVersionIsWritten(t *testing.T) {
	all := withUsers(t, "ada")
	var won atomic.Int64
	atOnce(all, 7, func(s node, i int) {
		e := &users.UserEdit{UserRecord: newUser("ada", "ada").UserRecord}
		e.Name = fmt.Sprint(i)
		switch err := s.EditUser(t.Context(), e); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, users.ErrStale):
			t.Errorf("a loser: got %v, want ErrStale", err)
		}
	})
	for i, n := range all {
		if got := n.count(t, "users WHERE version = 1"); got != 1 || won.Load() != 1 {
			t.Errorf("node %d: got %d users of version 1 and %d winners, want 1", i, got, won.Load())
		}
	}
}

func TestNoMoreGuessesAreJudgedThanAreFree(t *testing.T) {
	const free = 5
	all := withUsers(t, "ada")
	var allowed atomic.Int64
	atOnce(all, 20, func(s node, i int) {
		failures, err := s.BeginLogin(t.Context(), users.LoginAttempt{
			ApplicationID: "app", UserID: "ada", Free: free, First: time.Hour, Max: time.Hour,
		})
		if err != nil && !errors.Is(err, users.ErrUnavailable) {
			t.Errorf("got %v, want none or ErrUnavailable", err)
		}
		if failures > 0 {
			allowed.Add(1)
		}
	})
	if got := allowed.Load(); got == 0 || got > free {
		t.Errorf("of %d guesses at once: got %d allowed, want 1 to %d", 20*len(all), got, free)
	}
}
