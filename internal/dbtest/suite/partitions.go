package suite

import (
	"fmt"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/sqlstore"
	"github.com/gousers/users/storetest"
)

// Partitions checks tables that an operator of PostgreSQL has partitioned by
// application: the Store keeps all of its promises there, also where it changes
// rows of all applications, whose physical address is unique within one partition
// only.
func Partitions(t *testing.T, g *Target) {
	if g.Dialect != sqlstore.Postgres {
		t.Skip("a matter of PostgreSQL's")
	}
	hashed := &Target{Name: g.Name, Dialect: g.Dialect, Driver: g.Driver, migrated: (*Env).partition}
	hashed.Share(t)
	t.Run("Store", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) users.Store { return hashed.Fresh(t).Store })
	})
	t.Run("SameAddress", func(t *testing.T) { sameAddress(t, hashed.Open(t)) })
}

// sameAddress has a row in the same place of two partitions.
func sameAddress(t *testing.T, e *Env) {
	must(t, e.Store.Migrate(t.Context()))
	e.partition(t)
	for _, id := range []string{"a", "e"} {
		must(t, e.Store.CreateApplication(t.Context(), users.Application{ID: id, APIKey: id}))
	}

	now := time.Now().UTC().Truncate(time.Microsecond)
	for app, due := range map[string]time.Time{"a": now.Add(-time.Hour), "e": now.Add(-time.Minute)} {
		n := newUser("ada", now)
		n.ApplicationID = app
		n.Notifications = []users.NotificationRecord{{
			ID: "n-" + app, ApplicationID: app, UserID: n.ID, Kind: users.KindAccountCreated,
			State: users.StatePending, Created: now, Due: due,
		}}
		n.Idempotency = &users.IdempotencyRecord{
			IdempotencyKey: users.IdempotencyKey{ApplicationID: app, Key: "key"}, UserID: n.ID, Lifetime: due.Add(30 * time.Minute).Sub(now),
		}
		must(t, e.Store.CreateUser(t.Context(), n))
	}

	for _, table := range []string{"notifications", "idempotency"} {
		if got := e.parts(t, table); got != 2 {
			t.Fatalf("partitions of %s with a row: got %d, want 2", table, got)
		}
	}

	rows, err := e.Store.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Hour, Limit: 1})
	if err != nil || len(rows) != 1 || rows[0].ID != "n-a" {
		t.Errorf("Claim of one: got %d rows and error %v, want the longest due", len(rows), err)
	}
	purged, err := e.Store.Purge(t.Context(), 10)
	if err != nil || purged != 1 {
		t.Errorf("Purge: got %d deleted and error %v, want 1", purged, err)
	}
	_, err = e.Store.FindIdempotencyRecord(t.Context(), users.IdempotencyKey{ApplicationID: "e", Key: "key"})
	if err != nil {
		t.Errorf("the record that has not expired: got error %v, want none", err)
	}
}

// partition makes partitions of the tables that belong to an application. They are
// empty.
func (e *Env) partition(t testing.TB) {
	t.Helper()
	for _, name := range tables[1:] {
		table := e.table(name)
		e.exec(t, "ALTER TABLE "+table+" RENAME TO whole_"+name)
		e.exec(t, "CREATE TABLE "+table+" (LIKE "+e.table("whole_"+name)+" INCLUDING ALL) PARTITION BY HASH (application_id)")
		for i := range 4 {
			e.exec(t, fmt.Sprintf("CREATE TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS 4, REMAINDER %d)", table, i, table, i))
		}
	}
}

// parts returns in how many partitions of a table there is a row.
func (e *Env) parts(t *testing.T, table string) (n int) {
	t.Helper()
	must(t, e.DB.QueryRow("SELECT count(DISTINCT tableoid) FROM "+e.table(table)).Scan(&n))
	return n
}
