package suite

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
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
	e := g.Fresh(t)
	e.addApplication(t)
	off := e.withoutAutocommit(t)
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
}

// withoutAutocommit returns a Store on one such connection.
func (e *Env) withoutAutocommit(t *testing.T) *sqlstore.Store {
	t.Helper()
	separator := "?"
	if strings.Contains(e.DSN, "?") {
		separator = "&"
	}
	db, _ := open(t, e.Driver, e.DSN+separator+"autocommit=0")
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	s, err := sqlstore.New(db, e.Dialect, &e.Options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
