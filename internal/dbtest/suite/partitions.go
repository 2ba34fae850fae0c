package suite

import (
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/sqlstore"
)

// Partitions checks what deletes or changes rows of all applications on tables
// that an operator of PostgreSQL has partitioned by application: the physical
// address of a row is unique within one partition only.
func Partitions(t *testing.T, g *Target) {
	if g.Dialect != sqlstore.Postgres {
		t.Skip("a matter of PostgreSQL's")
	}
	g.Share(t)
	e := g.Open(t)
	must(t, e.Store.Migrate(t.Context()))
	for _, table := range []string{"notifications", "idempotency"} {
		e.partition(t, table)
	}
	for _, id := range []string{"a", "b"} { // a partition each, with one row in the same place
		must(t, e.Store.CreateApplication(t.Context(), users.Application{ID: id, APIKey: id}))
	}

	now := time.Now().UTC().Truncate(time.Microsecond)
	for app, due := range map[string]time.Time{"a": now.Add(-time.Hour), "b": now.Add(-time.Minute)} {
		n := newUser("ada", now)
		n.ApplicationID = app
		n.Notifications = []users.NotificationRecord{{
			ID: "n-" + app, ApplicationID: app, UserID: n.ID, Kind: users.KindAccountCreated,
			State: users.StatePending, Created: now, Due: due,
		}}
		n.Idempotency = &users.IdempotencyRecord{
			IdempotencyKey: users.IdempotencyKey{ApplicationID: app, Key: "key"}, UserID: n.ID, Expires: due.Add(2 * time.Hour),
		}
		must(t, e.Store.CreateUser(t.Context(), n))
	}

	rows, err := e.Store.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Hour, Limit: 1})
	if err != nil || len(rows) != 1 || rows[0].ID != "n-a" {
		t.Errorf("Claim of one: got %d rows and error %v, want the longest due", len(rows), err)
	}
	purged, err := e.Store.Purge(t.Context(), now.Add(90*time.Minute), 10)
	if err != nil || purged != 1 {
		t.Errorf("Purge: got %d deleted and error %v, want 1", purged, err)
	}
	_, err = e.Store.FindIdempotencyRecord(t.Context(), users.IdempotencyKey{ApplicationID: "b", Key: "key"})
	if err != nil {
		t.Errorf("the record that has not expired: got error %v, want none", err)
	}
}

// partition makes partitions of a table of the store's, which is empty.
func (e *Env) partition(t *testing.T, name string) {
	t.Helper()
	table := e.table(name)
	e.exec(t, "ALTER TABLE "+table+" RENAME TO whole_"+name)
	e.exec(t, "CREATE TABLE "+table+" (LIKE "+e.table("whole_"+name)+" INCLUDING ALL) PARTITION BY LIST (application_id)")
	for _, app := range []string{"a", "b"} {
		e.exec(t, "CREATE TABLE "+table+"_"+app+" PARTITION OF "+table+" FOR VALUES IN ('"+app+"')")
	}
}
