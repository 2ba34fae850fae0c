package suite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/go-sql-driver/mysql"

	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/internal/migrate"
	"github.com/gousers/users/sqlstore"
)

// next is a version after those of sqlstore, with all kinds of DDL.
var next = map[sqlstore.Dialect]string{
	sqlstore.Postgres: `
ALTER TABLE {users} ADD COLUMN nickname TEXT NOT NULL DEFAULT '', ADD COLUMN shoe_size INTEGER;
-- down: ALTER TABLE {users} DROP COLUMN nickname, DROP COLUMN shoe_size

CREATE INDEX {#users_nickname} ON {users} (application_id, nickname);
-- down: DROP INDEX {%users_nickname}

ALTER TABLE {users} ALTER COLUMN nickname TYPE VARCHAR(128);
-- down: ALTER TABLE {users} ALTER COLUMN nickname TYPE TEXT

CREATE INDEX {#users_shoe_size} ON {users} (shoe_size);
-- down: DROP INDEX {%users_shoe_size}

DROP INDEX {%users_shoe_size};
-- down: CREATE INDEX {#users_shoe_size} ON {users} (shoe_size)

ALTER TABLE {users} DROP COLUMN shoe_size;
-- down: ALTER TABLE {users} ADD COLUMN shoe_size INTEGER
`,
	sqlstore.MySQL: `
ALTER TABLE {users} ADD COLUMN nickname VARBINARY(64) NOT NULL DEFAULT '', ADD COLUMN shoe_size INTEGER,
	ADD INDEX {#users_shoe_size} (shoe_size);
-- done if: column users.shoe_size
-- down: ALTER TABLE {users} DROP INDEX {#users_shoe_size}, DROP COLUMN nickname, DROP COLUMN shoe_size

CREATE INDEX {#users_nickname} ON {users} (application_id, nickname);
-- done if: index users.users_nickname
-- down: DROP INDEX {#users_nickname} ON {users}

ALTER TABLE {users} MODIFY nickname VARBINARY(128) NOT NULL DEFAULT '';
-- done if: run again
-- down: ALTER TABLE {users} MODIFY nickname VARBINARY(64) NOT NULL DEFAULT ''

DROP INDEX {#users_shoe_size} ON {users};
-- done if: no index users.users_shoe_size
-- down: CREATE INDEX {#users_shoe_size} ON {users} (shoe_size)

ALTER TABLE {users} DROP COLUMN shoe_size;
-- done if: no column users.shoe_size
-- down: ALTER TABLE {users} ADD COLUMN shoe_size INTEGER

CREATE TABLE {leftovers} (id INTEGER);
-- done if: table leftovers
-- down: DROP TABLE {leftovers}

DROP TABLE {leftovers};
-- done if: no table leftovers
-- down: CREATE TABLE {leftovers} (id INTEGER)
`,
	sqlstore.SQLite: `
ALTER TABLE {users} ADD COLUMN nickname TEXT NOT NULL DEFAULT '';
-- down: ALTER TABLE {users} DROP COLUMN nickname

ALTER TABLE {users} ADD COLUMN shoe_size INTEGER;
-- down: ALTER TABLE {users} DROP COLUMN shoe_size

CREATE INDEX {%users_nickname} ON {#users} (application_id, nickname);
-- down: DROP INDEX {%users_nickname}

ALTER TABLE {users} DROP COLUMN shoe_size;
-- down: ALTER TABLE {users} ADD COLUMN shoe_size INTEGER
`,
}

// Next loads the versions of sqlstore, and one more.
func Next(t testing.TB, d sqlstore.Dialect, o sqlstore.Options) *migrate.Set {
	t.Helper()
	dir := os.DirFS("../../../sqlstore/migrations/" + string(d))
	names, err := fs.Glob(dir, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("the files of sqlstore: got %d and error %v", len(names), err)
	}
	files := fstest.MapFS{}
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	files[fmt.Sprintf("%04d_next.sql", len(names)+1)] = &fstest.MapFile{Data: []byte(next[d])}

	number := func(n uint16) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*mysql.MySQLError](err)
			return ok && e.Number == n
		}
	}
	never := number(0)
	set, err := migrate.Load(files, migrate.Database{
		Dialect:     string(d),
		Schema:      o.Schema,
		Prefix:      o.TablePrefix,
		Render:      func(template string) string { return render(template, d, o) },
		Taken:       number(1062),
		Aborted:     never,
		Exists:      number(1060),
		Missing:     never,
		Unsupported: never,
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

var word = regexp.MustCompile(`\{[#%]?\w+\}|\?`)

// render is enough for DDL and the journal, with a fixed clock.
func render(template string, d sqlstore.Dialect, o sqlstore.Options) string {
	parameters := 0
	return word.ReplaceAllStringFunc(template, func(w string) string {
		if w == "?" {
			parameters++
			if d == sqlstore.Postgres {
				return fmt.Sprintf("$%d", parameters)
			}
			return w
		}
		w = strings.Trim(w, "{}")
		name, bare := strings.CutPrefix(w, "#")
		switch name = o.TablePrefix + strings.TrimPrefix(name, "%"); {
		case w == "now":
			return "1"
		case bare || o.Schema == "":
			return name
		}
		return o.Schema + "." + name
	})
}

// killAfter lets call n of those that can change something take effect, and
// nothing reach the database after it, as if the process were gone; its
// connections die with it. The calls are counted.
func (e *Env) killAfter(n int64) (calls *atomic.Int64) {
	killed := errors.New("killed")
	harmless := func(c flaky.Call) bool { return c.Op == flaky.Connect || c.Op == flaky.Prepare }
	calls = new(atomic.Int64)
	e.Switch.Set(&flaky.Hooks{
		Before: func(c flaky.Call) error {
			if !harmless(c) && calls.Add(1) > n {
				return killed
			}
			return nil
		},
		After: func(c flaky.Call) error {
			if !harmless(c) && calls.Load() == n {
				return killed
			}
			return nil
		},
	})
	return calls
}

// run brings e to the last version of set.
func (e *Env) run(set *migrate.Set) error {
	conn, err := e.DB.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	return set.Run(context.Background(), conn)
}

// journaled counts the entries of the last version of set, those that are not done too.
func (e *Env) journaled(t testing.TB, set *migrate.Set) (n, done int) {
	t.Helper()
	query := fmt.Sprintf("SELECT count(*), count(done_at) FROM %s WHERE version = %d", e.table("users_migrations"), len(set.Versions))
	if err := e.DB.QueryRow(query).Scan(&n, &done); err != nil {
		t.Fatal(err)
	}
	return n, done
}

// beforeNext returns a database at the last version of sqlstore, the set that has
// one more, and that one.
func beforeNext(t *testing.T, g *Target) (*Env, *migrate.Set, migrate.Version) {
	t.Helper()
	e := g.Open(t)
	if err := e.Store.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	set := Next(t, g.Dialect, e.Options)
	return e, set, set.Versions[len(set.Versions)-1]
}

func nextVersionResumesWhereItWasKilled(t *testing.T, g *Target) {
	ctx := context.Background()
	e, set, last := beforeNext(t, g)
	for n, ended := int64(1), false; !ended; n++ {
		calls := e.killAfter(n)
		err := e.run(set)
		e.Switch.Set(nil)
		if ended = calls.Load() < n; ended && err != nil {
			t.Fatalf("without a fault: got %v", err)
		}

		if err := e.run(set); err != nil {
			t.Fatalf("killed after call %d, run again: got %v, want nil", n, err)
		}
		if all, done := e.journaled(t, set); all != len(last.Steps) || done != all {
			t.Errorf("killed after call %d, run again: got %d entries and %d of them done, want %d", n, all, done, len(last.Steps))
		}
		if err := errors.Join(e.Store.Check(ctx), e.Store.Migrate(ctx)); err != nil {
			t.Errorf("Check and Migrate on a schema that is newer: got %v, want nil", err)
		}
		for _, text := range last.Down { // each fails where its step was not done, or not once
			e.exec(t, text)
		}
	}
}

func nextVersionTakesOverNoColumnOfTheHosts(t *testing.T, g *Target) {
	e, set, _ := beforeNext(t, g)
	e.exec(t, "ALTER TABLE "+e.table("users")+" ADD COLUMN shoe_size INTEGER")
	for n, ended := int64(1), false; !ended; n++ {
		calls := e.killAfter(n)
		e.run(set)
		e.Switch.Set(nil)
		ended = calls.Load() < n

		if err := e.run(set); err == nil {
			t.Fatalf("killed after call %d: got nil, want an error: the column is the host's", n)
		}
		if all, _ := e.journaled(t, set); all != 0 {
			t.Fatalf("killed after call %d: got %d entries, want none: the column is the host's", n, all)
		}
	}

	e.exec(t, "ALTER TABLE "+e.table("users")+" DROP COLUMN shoe_size")
	if err := e.run(set); err != nil {
		t.Errorf("without the host's column: got %v, want nil", err)
	}
}

func stepThatFailedIsNotStarted(t *testing.T, g *Target) {
	e, set, _ := beforeNext(t, g)
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if strings.HasPrefix(c.Query, "ALTER TABLE") {
			return &numberError{Number: 1142} // not permitted
		}
		return nil
	}})
	err := e.run(set)
	e.Switch.Set(nil)
	if all, _ := e.journaled(t, set); err == nil || all != 0 {
		t.Errorf("got error %v and %d entries, want an error and none", err, all)
	}

	e.exec(t, "ALTER TABLE "+e.table("users")+" ADD COLUMN shoe_size INTEGER")
	if err := e.run(set); err == nil || !strings.Contains(err.Error(), "column users.shoe_size") {
		t.Errorf("beside a column that the host made after that: got %v, want an error that names it", err)
	}
}

func entryThatAnotherRemovedIsAnError(t *testing.T, g *Target) {
	e, set, last := beforeNext(t, g)
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if strings.HasPrefix(c.Query, "UPDATE") {
			e.exec(t, last.Down[0]) // all entries of the version
		}
		return nil
	}})
	if err := e.run(set); err == nil || !strings.Contains(err.Error(), "users_migrations") {
		t.Errorf("got %v, want an error that names the journal", err)
	}
}
