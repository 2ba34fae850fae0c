package suite

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// HostTables has the host make a table of a name that Migrate needs just when
// Migrate has found it free: no later call takes it over.
func HostTables(t *testing.T, g *Target) {
	if g.Dialect != sqlstore.MySQL {
		t.Skip("elsewhere a transaction holds all steps, and no journal outlives it")
	}
	g.Share(t)
	e := g.Open(t)
	var once sync.Once
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if strings.HasPrefix(c.Query, "CREATE TABLE") && strings.Contains(c.Query, "`roles`") {
			once.Do(func() { e.exec(t, "CREATE TABLE "+e.table("roles")+" (id INTEGER)") })
		}
		return nil
	}})
	err := e.Store.Migrate(t.Context())
	e.Switch.Set(nil)
	if err == nil {
		t.Fatal("got nil, want the error of the database")
	}

	for range 2 {
		if err := e.Store.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "not Migrate's doing") {
			t.Errorf("again: got %v, want an error that the host's table is in the way", err)
		}
	}
	if err := e.Store.Check(t.Context()); !errors.Is(err, sqlstore.ErrSchema) {
		t.Errorf("Check: got %v, want ErrSchema", err)
	}
	e.exec(t, "DROP TABLE "+e.table("roles"))
	must(t, errors.Join(e.Store.Migrate(t.Context()), e.Store.Check(t.Context())))
}
