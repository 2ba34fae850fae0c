package suite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// The environment of a child process that migrates, see MigrateChild.
const (
	childDriver = "USERS_TEST_CHILD_DRIVER"
	childDSN    = "USERS_TEST_CHILD_DSN"
	childSchema = "USERS_TEST_CHILD_SCHEMA"
)

// MigrateChild is what a child process does: it migrates and checks the
// database that its environment names. It reports false in any other process.
func MigrateChild(t *testing.T, targets []*Target) bool {
	name := os.Getenv(childDriver)
	if name == "" {
		return false
	}
	for _, g := range targets {
		if g.Name != name {
			continue
		}
		db, _ := open(t, g.Driver, os.Getenv(childDSN))
		defer db.Close()
		s, err := sqlstore.New(db, g.Dialect, &sqlstore.Options{Schema: os.Getenv(childSchema)})
		if err == nil {
			err = errors.Join(s.Migrate(context.Background()), s.Check(context.Background()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return true
}

// Migrations runs the promises about making the tables and changing them. test
// is the name of the test that calls MigrateChild, rounds how often its
// processes race.
func Migrations(t *testing.T, g *Target, test string, rounds int) {
	g.Share(t)
	for _, c := range []struct {
		promise string
		check   func(*testing.T, *Target)
		only    sqlstore.Dialect // empty: every one
	}{
		{"CheckSaysWhatToRun", checkSaysWhatToRun, ""},
		{"TwoProcessesAtOnce", func(t *testing.T, g *Target) { twoProcessesAtOnce(t, g, test, rounds) }, ""},
		{"ResumesWhereItWasKilled", resumesWhereItWasKilled, ""},
		{"NextVersionResumesWhereItWasKilled", nextVersionResumesWhereItWasKilled, ""},
		{"NextVersionTakesOverNoColumnOfTheHosts", nextVersionTakesOverNoColumnOfTheHosts, ""},
		{"StepThatFailedIsNotStarted", stepThatFailedIsNotStarted, sqlstore.MySQL},
		{"EntryThatAnotherRemovedIsAnError", entryThatAnotherRemovedIsAnError, sqlstore.MySQL},
		{"InASchemaOfItsOwn", inASchemaOfItsOwn, ""},
		{"TakesOverNoTableOfTheHosts", takesOverNoTableOfTheHosts, ""},
		{"ClusterWithoutNamedLocks", clusterWithoutNamedLocks, sqlstore.MySQL},
		{"ServerWithoutSkipLocked", serverWithoutSkipLocked, sqlstore.MySQL},
	} {
		if c.only == "" || c.only == g.Dialect {
			t.Run(c.promise, func(t *testing.T) { c.check(t, g) })
		}
	}
}

func checkSaysWhatToRun(t *testing.T, g *Target) {
	ctx := context.Background()
	e := g.Open(t)
	if err := e.Store.Check(ctx); !errors.Is(err, sqlstore.ErrSchema) || !strings.Contains(err.Error(), "Store.Migrate") {
		t.Errorf("Check of an empty database: got %v, want ErrSchema and what to run", err)
	}

	for range 2 { // the second time there is nothing to do
		if err := e.Store.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		if err := e.Store.Check(ctx); err != nil {
			t.Errorf("Check: got %v, want nil", err)
		}
	}

	e.exec(t, "DELETE FROM "+e.table("users_migrations")+" WHERE step = 3")
	if err := e.Store.Check(ctx); !errors.Is(err, sqlstore.ErrSchema) || !strings.Contains(err.Error(), "version 0 of 1") || strings.Count(err.Error(), "sqlstore: ") != 1 {
		t.Errorf("Check of a schema with a step missing: got %v, want ErrSchema and its version", err)
	}
}

func twoProcessesAtOnce(t *testing.T, g *Target, test string, rounds int) {
	for range rounds {
		e := g.Open(t)
		var children [2]*exec.Cmd
		var out [2]strings.Builder
		for i := range children {
			c := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
			c.Env = append(os.Environ(), childDriver+"="+g.Name, childDSN+"="+e.DSN, childSchema+"="+e.Options.Schema)
			c.Stdout, c.Stderr = &out[i], &out[i]
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			children[i] = c
		}

		for i, c := range children {
			if err := c.Wait(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, out[i].String())
			}
		}
		if err := e.Store.Check(context.Background()); err != nil {
			t.Errorf("Check: got %v, want nil", err)
		}
	}
}

func resumesWhereItWasKilled(t *testing.T, g *Target) {
	ctx := context.Background()
	stride := int64(11) // one transaction holds all steps: wherever it is cut, nothing is left
	if g.Dialect == sqlstore.MySQL {
		stride = 1 // each statement has its own "done if" to be proved
	}
	for n := int64(1); ; n += stride {
		e := g.Open(t)
		calls := e.killAfter(n)
		err := e.Store.Migrate(ctx)
		e.Switch.Set(nil)
		if calls.Load() < n {
			if err != nil {
				t.Fatalf("without a fault: got %v", err)
			}
			break
		}

		if err := errors.Join(e.Store.Migrate(ctx), e.Store.Check(ctx)); err != nil {
			t.Errorf("killed after call %d, migrated again: got %v, want nil", n, err)
		}
		e.Close(t)
	}
}

func inASchemaOfItsOwn(t *testing.T, g *Target) {
	ctx := context.Background()
	e := g.Open(t)
	if g.Dialect == sqlstore.SQLite { // where that is an attached database, of one connection
		e.DB.SetMaxOpenConns(1)
		e.exec(t, "ATTACH ':memory:' AS own")
		e.Options.Schema = "own"
		e.Store = e.New(t, e.Options)
	}
	files, err := sqlstore.GolangMigrate(g.Dialect, &e.Options)
	if err != nil {
		t.Fatal(err)
	}

	e.apply(t, files, "*.up.sql", slices.Sort)
	if err := errors.Join(e.Store.Check(ctx), e.Store.Migrate(ctx)); err != nil {
		t.Errorf("by the files: got %v, want nil", err)
	}
	e.apply(t, files, "*.down.sql", func(names []string) { slices.Sort(names); slices.Reverse(names) })
	if err := e.Store.Check(ctx); !errors.Is(err, sqlstore.ErrSchema) {
		t.Errorf("Check after the files down: got %v, want ErrSchema", err)
	}

	if err := errors.Join(e.Store.Migrate(ctx), e.Store.Check(ctx)); err != nil {
		t.Fatalf("Migrate: got %v, want nil", err)
	}
	svc := e.service(t, users.Options{})
	if _, err := svc.Create(ctx, "demo", params("ada")); err != nil {
		t.Errorf("Create: got %v, want nil", err)
	}
	e.wantRows(t, 1)
}

// apply executes those of files that match pattern, in the order that order makes.
func (e *Env) apply(t *testing.T, files fs.FS, pattern string, order func([]string)) {
	t.Helper()
	names, err := fs.Glob(files, pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("files %s: got %d and error %v", pattern, len(names), err)
	}
	order(names)
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		e.exec(t, string(text))
	}
}

func takesOverNoTableOfTheHosts(t *testing.T, g *Target) {
	ctx := context.Background()
	e := g.Open(t)
	e.exec(t, "CREATE TABLE "+e.table("users")+" (id INTEGER)")
	for range 2 {
		if err := e.Store.Migrate(ctx); err == nil {
			t.Fatal("Migrate beside the host's own table users: got nil, want an error")
		}
	}

	o := e.Options
	o.TablePrefix = "app_"
	s := e.New(t, o)
	if err := errors.Join(s.Migrate(ctx), s.Check(ctx)); err != nil {
		t.Errorf("with a prefix: got %v, want nil", err)
	}
	if err := s.CreateApplication(ctx, users.Application{ID: "a", APIKey: "demo"}); err != nil {
		t.Errorf("with a prefix: got %v, want nil", err)
	}
	if err := s.CreateApplication(ctx, users.Application{ID: "a", APIKey: "demo"}); fmt.Sprint(err) != fmt.Sprint(&users.ConflictError{Members: []string{"id", "apiKey"}}) {
		t.Errorf("with a prefix: got %v, want a conflict of id and apiKey", err)
	}
}

func clusterWithoutNamedLocks(t *testing.T, g *Target) {
	ctx := context.Background()
	for range 2 {
		e := g.Open(t)
		e.Switch.Set(refuse("GET_LOCK", 1235))
		both := make(chan error, 2)
		for range cap(both) {
			go func() { both <- e.Store.Migrate(ctx) }()
		}
		if err := errors.Join(<-both, <-both, e.Store.Check(ctx)); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	}
}

func serverWithoutSkipLocked(t *testing.T, g *Target) {
	ctx := context.Background()
	e := g.Fresh(t)
	svc := e.service(t, users.Options{})
	if _, err := svc.Create(ctx, "demo", params("ada")); err != nil {
		t.Fatal(err)
	}

	e.Switch.Set(refuse("SKIP LOCKED", 1064))
	rows, err := e.Store.Claim(ctx, users.Claim{Worker: "w", Lease: time.Second, Limit: 5})
	if err != nil || len(rows) != 1 {
		t.Errorf("Claim: got %d rows and error %v, want 1", len(rows), err)
	}
}

// refuse answers every statement that contains text with an error of MySQL's.
func refuse(text string, number uint16) *flaky.Hooks {
	return &flaky.Hooks{Before: func(c flaky.Call) error {
		if strings.Contains(c.Query, text) {
			return &numberError{Number: number}
		}
		return nil
	}}
}
