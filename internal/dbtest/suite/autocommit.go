package suite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// AutocommitOff checks a store on connections of MySQL's whose statements wait
// for a COMMIT, as a DSN, my.cnf or init_connect can have it: what it writes is
// there for others, and what it has read once hides nothing that comes later.
func AutocommitOff(t *testing.T, g *Target) {
	if g.Dialect != sqlstore.MySQL {
		t.Skip("a setting of MySQL's")
	}
	g.Share(t)
	t.Run("Migrate", func(t *testing.T) { migrateWithoutAutocommit(t, g.Open(t)) })
	t.Run("MigrateByRow", func(t *testing.T) { migrateByRowWithoutAutocommit(t, g.Open(t)) })

	e := g.Fresh(t)
	e.addApplication(t)
	off, _ := e.withoutAutocommit(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	sees := func(s users.Store, want int, when string) {
		t.Helper()
		found, err := s.FindUsers(t.Context(), users.UserQuery{ApplicationID: "app", IDs: []string{"ada", "bob", "cyd"}})
		if err != nil || len(found) != want {
			t.Errorf("FindUsers %s: got %d users and error %v, want %d", when, len(found), err, want)
		}
	}

	sees(off, 0, "at first")
	must(t, off.CreateUser(t.Context(), newUser("ada", now)))
	sees(e.Store, 1, "by others after CreateUser")
	must(t, off.SetUserStatus(t.Context(), users.StatusUpdate{ApplicationID: "app", ID: "ada", IsApproved: new(true)}))
	must(t, e.Store.SetUserStatus(t.Context(), users.StatusUpdate{ApplicationID: "app", ID: "ada", IfVersion: 1}))

	must(t, e.Store.CreateUser(t.Context(), newUser("bob", now)))
	sees(off, 2, "after a read and a write of others")

	// A conflict and what is absent are found out by reading.
	if err := off.CreateUser(t.Context(), newUser("ada", now)); !errors.Is(err, users.ErrConflict) {
		t.Errorf("CreateUser of one who is there: got %v, want a conflict", err)
	}
	if err := off.Enqueue(t.Context(), users.NotificationRecord{ID: "n", ApplicationID: "app", UserID: "nobody"}, 0); !errors.Is(err, users.ErrNotFound) {
		t.Errorf("Enqueue for nobody: got %v, want ErrNotFound", err)
	}
	must(t, e.Store.CreateUser(t.Context(), newUser("cyd", now)))
	sees(off, 3, "after refusals and a write of others")
	writesWithoutAutocommit(t, e, off)
}

// writesWithoutAutocommit checks that others see each kind of write at once and
// can change the same row.
func writesWithoutAutocommit(t *testing.T, e *Env, off *sqlstore.Store) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // less than a lock of InnoDB's waits
	defer cancel()
	want := func(table, where string, want int) {
		t.Helper()
		if got := e.count(t, table+" WHERE "+where); got != want {
			t.Errorf("%s where %s: others see %d rows, want %d", table, where, got, want)
		}
		// A lock that is left would be in the way.
		if _, err := e.DB.ExecContext(ctx, "UPDATE "+e.table(table)+" SET date_created = date_created + 1 WHERE "+where); err != nil {
			t.Errorf("%s where %s: others change the rows: got %v, want nil", table, where, err)
		}
	}

	must(t, off.CreateApplication(ctx, users.Application{ID: "off", APIKey: "off", DateCreated: now}))
	want("applications", "id = 'off'", 1)
	must(t, off.CreateRole(ctx, "off", users.RoleRecord{Role: users.Role{ID: "r", Name: "r"}, NameKey: "r"}))
	want("roles", "application_id = 'off'", 1)

	must(t, off.Enqueue(ctx, users.NotificationRecord{ID: "n", ApplicationID: "app", UserID: "ada", Kind: users.KindSetPassword, Created: now}, time.Minute))
	want("notifications", "state = 'pending'", 1)
	for _, outcome := range []users.Outcome{users.OutcomeRetry, users.OutcomeDiscarded} {
		claimed, err := off.Claim(ctx, users.Claim{Worker: "w", Lease: time.Minute, Limit: 1})
		if err != nil || len(claimed) != 1 {
			t.Fatalf("Claim: got %d rows and error %v, want 1", len(claimed), err)
		}
		want("notifications", "lease_owner = 'w'", 1)
		must(t, off.Settle(ctx, users.Settlement{ApplicationID: "app", ID: "n", Worker: "w", Outcome: outcome}))
		want("notifications", "lease_owner = ''", 1)
	}
	must(t, off.Retry(ctx, "app", "n"))
	want("notifications", "state = 'pending' AND attempts = 0", 1)

	token := users.TokenRecord{ApplicationID: "app", UserID: "ada", Sum: sha256.Sum256([]byte("x")), Lifetime: time.Hour}
	must(t, off.CreateToken(ctx, token))
	want("password_tokens", "user_id = 'ada'", 1)
	must(t, off.RedeemToken(ctx, users.Redemption{ApplicationID: "app", UserID: "ada", Sum: token.Sum, Now: now}))
	want("password_tokens", "user_id = 'ada'", 0)
	want("users", "id = 'ada'", 1)

	token.Lifetime = -2 * users.RecoveryWindow
	must(t, off.CreateToken(ctx, token))
	purged, err := off.Purge(ctx, 10)
	if err != nil || purged != 1 {
		t.Errorf("Purge: got %d and error %v, want 1", purged, err)
	}
	want("password_tokens", "user_id = 'ada'", 0)
	editsWithoutAutocommit(t, e)
}

// editsWithoutAutocommit does what needs a level of isolation on a connection on which
// the host has left a transaction open, whose snapshot is old.
func editsWithoutAutocommit(t *testing.T, e *Env) {
	db, _ := e.openWithoutAutocommit(t)
	off, err := sqlstore.New(db, e.Dialect, &e.Options)
	must(t, err)
	leaveOpen := func() {
		t.Helper()
		var n int
		must(t, db.QueryRow("SELECT count(*) FROM "+e.table("users")).Scan(&n))
	}

	leaveOpen()
	u := e.stored(t, "eve")
	list, err := off.ListUsers(t.Context(), users.UserListing{ApplicationID: "app", UserMatch: users.UserMatch{IDs: []string{"eve"}}, Limit: 1})
	if err != nil || len(list.Users) != 1 {
		t.Errorf("ListUsers: got %d users and error %v, want 1", len(list.Users), err)
	}
	leaveOpen()
	edit := &users.UserEdit{UserRecord: u}
	edit.Name = "Eve"
	must(t, off.EditUser(t.Context(), edit))
	leaveOpen()
	must(t, off.DeleteUser(t.Context(), users.UserDeletion{ApplicationID: "app", ID: "eve", IfVersion: 2}))
	if got := e.count(t, "users WHERE id = 'eve'"); got != 0 {
		t.Errorf("a deleted user: others see %d rows, want none", got)
	}
}

// migrateWithoutAutocommit holds nothing once it is done: others see what it
// wrote and get at its rows.
func migrateWithoutAutocommit(t *testing.T, e *Env) {
	off, _ := e.withoutAutocommit(t)
	must(t, off.Migrate(t.Context()))
	must(t, e.Store.Check(t.Context()))

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := e.DB.ExecContext(ctx, "DELETE FROM "+e.table("users_migrations")+" WHERE step > 2")
	must(t, err)
	_, err = e.DB.ExecContext(ctx, "ALTER TABLE "+e.table("users_migrations")+" ADD COLUMN note INTEGER")
	must(t, err)
	if err := off.Check(t.Context()); !errors.Is(err, sqlstore.ErrSchema) {
		t.Errorf("Check of what others took back: got %v, want ErrSchema", err)
	}
}

// migrateByRowWithoutAutocommit lets two wait for each other by a row of the
// journal, as on a cluster without named locks.
func migrateByRowWithoutAutocommit(t *testing.T, e *Env) {
	stores, hooks := [2]*sqlstore.Store{}, &flaky.Hooks{Before: func(c flaky.Call) error {
		if strings.Contains(c.Query, "GET_LOCK") {
			return &numberError{Number: 1235}
		}
		return nil
	}}
	for i := range stores {
		var sw *flaky.Switch
		stores[i], sw = e.withoutAutocommit(t)
		sw.Set(hooks)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	both := make(chan error, len(stores))
	for _, s := range stores {
		go func() { both <- s.Migrate(ctx) }()
	}
	must(t, errors.Join(<-both, <-both, e.Store.Check(t.Context())))
	if got := e.count(t, "users_migrations WHERE version = 0"); got != 0 {
		t.Errorf("rows of the lock: got %d, want none", got)
	}
}

// withoutAutocommit returns a Store on one such connection, and its switch.
func (e *Env) withoutAutocommit(t *testing.T) (*sqlstore.Store, *flaky.Switch) {
	t.Helper()
	db, sw := e.openWithoutAutocommit(t)
	s, err := sqlstore.New(db, e.Dialect, &e.Options)
	if err != nil {
		t.Fatal(err)
	}
	return s, sw
}

// openWithoutAutocommit returns a pool of one such connection.
func (e *Env) openWithoutAutocommit(t *testing.T) (*sql.DB, *flaky.Switch) {
	t.Helper()
	separator := "?"
	if strings.Contains(e.DSN, "?") {
		separator = "&"
	}
	db, sw := open(t, e.Driver, e.DSN+separator+"autocommit=0")
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db, sw
}
