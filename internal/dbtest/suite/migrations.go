package suite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

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
		{"TakesOverNoJournalOfTheHosts", takesOverNoJournalOfTheHosts, ""},
		{"NamesAnIndexOfTheHosts", namesAnIndexOfTheHosts, ""},
		{"NothingToDoNeedsNoRight", nothingToDoNeedsNoRight, ""},
		{"RefusesAnEncodingThatLacksLetters", refusesAnEncodingThatLacksLetters, sqlstore.Postgres},
		{"TakesAnyCharsetOfTheConnection", takesAnyCharsetOfTheConnection, sqlstore.MySQL},
		{"LockHasAShortName", lockHasAShortName, sqlstore.MySQL},
		{"WaitOutlastsTheReadTimeout", waitOutlastsTheReadTimeout, sqlstore.MySQL},
		{"RowOfADeadProcessHoldsUpNobody", rowOfADeadProcessHoldsUpNobody, sqlstore.MySQL},
		{"RowOfAnotherNodeIsWaitedFor", rowOfAnotherNodeIsWaitedFor, sqlstore.MySQL},
		{"CleansUpInBoundedTime", cleansUpInBoundedTime, ""},
		{"LeaseThatWasLostStops", leaseThatWasLostStops, sqlstore.MySQL},
		{"TakesBackOnlyItsOwnEntry", takesBackOnlyItsOwnEntry, sqlstore.MySQL},
		{"RepeatsWhatAClusterAborts", repeatsWhatAClusterAborts, sqlstore.MySQL},
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

// wayOut is what the errors about the host's own tables say.
const wayOut = "Options.TablePrefix"

// wantNamed checks that an error names what is in the way, and says what helps.
func wantNamed(t *testing.T, what string, err error, name string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), wayOut) {
		t.Errorf("%s: got %v, want an error with %q and %q", what, err, name, wayOut)
	}
}

func takesOverNoTableOfTheHosts(t *testing.T, g *Target) {
	ctx := context.Background()
	e := g.Open(t)
	e.exec(t, "CREATE TABLE "+e.table("users")+" (id INTEGER)")
	err := e.Store.Check(ctx)
	wantNamed(t, "Check before Migrate", err, "users")
	if !errors.Is(err, sqlstore.ErrSchema) {
		t.Errorf("Check before Migrate: got %v, want ErrSchema", err)
	}
	for range 2 {
		wantNamed(t, "Migrate", e.Store.Migrate(ctx), "users")
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

func takesOverNoJournalOfTheHosts(t *testing.T, g *Target) {
	e := g.Open(t)
	e.exec(t, "CREATE TABLE "+e.table("users_migrations")+" (id INTEGER)")
	for range 2 {
		wantNamed(t, "Check", e.Store.Check(t.Context()), "users_migrations")
		wantNamed(t, "Migrate", e.Store.Migrate(t.Context()), "users_migrations")
	}
}

// namesAnIndexOfTheHosts also where it is a table whose columns are not Migrate's,
// which the journal says nothing of.
func namesAnIndexOfTheHosts(t *testing.T, g *Target) {
	ctx := t.Context()
	e := g.Open(t)
	if g.Dialect != sqlstore.MySQL { // where an index is its table's own
		e.exec(t, "CREATE TABLE "+e.table("hosts")+" (id INTEGER)")
		index, on := "users_created", e.table("hosts")
		e.exec(t, "CREATE INDEX "+index+" ON "+on+" (id)")
		wantNamed(t, "Migrate", e.Store.Migrate(ctx), index)
		e.exec(t, "DROP TABLE "+e.table("hosts"))
	}

	must(t, errors.Join(e.Store.Migrate(ctx), e.Store.Check(ctx)))
	e.exec(t, "DROP TABLE "+e.table("user_roles"))
	e.exec(t, "CREATE TABLE "+e.table("user_roles")+" (id INTEGER)")
	wantNamed(t, "Check of another table", e.Store.Check(ctx), "user_roles")
}

func nothingToDoNeedsNoRight(t *testing.T, g *Target) {
	e := g.Open(t)
	must(t, e.Store.Migrate(t.Context()))
	db, _ := open(t, g.Driver, e.restricted(t))
	defer db.Close()
	s, err := sqlstore.New(db, g.Dialect, &e.Options)
	must(t, err)
	if _, err := db.Exec("CREATE TABLE " + e.table("anything") + " (id INTEGER)"); err == nil {
		t.Fatal("CREATE TABLE: got nil, want a refusal")
	}
	if err := errors.Join(s.Migrate(t.Context()), s.Check(t.Context())); err != nil {
		t.Errorf("got %v, want nil", err)
	}

	e.exec(t, "DELETE FROM "+e.table("users_migrations")+" WHERE step = 3")
	if err := s.Migrate(t.Context()); err == nil {
		t.Error("with something left to do: got nil, want an error")
	}
}

// restricted returns the DSN of somebody who may change no table.
func (e *Env) restricted(t *testing.T) string {
	t.Helper()
	if e.Dialect == sqlstore.SQLite {
		return e.DSN + "&mode=ro"
	}
	role := "r" + strings.ReplaceAll(e.Options.Schema, "_", "") + fmt.Sprint(os.Getpid())
	if e.Dialect == sqlstore.Postgres {
		e.exec(t, "CREATE ROLE "+role)
		t.Cleanup(func() { e.exec(t, "DROP OWNED BY "+role); e.exec(t, "DROP ROLE "+role) })
		e.exec(t, "GRANT USAGE ON SCHEMA "+e.Options.Schema+" TO "+role)
		e.exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+e.Options.Schema+" TO "+role)
		return e.DSN + "&role=" + role
	}
	e.exec(t, "CREATE USER "+role+"@'%' IDENTIFIED BY 'p'")
	t.Cleanup(func() { e.exec(t, "DROP USER "+role+"@'%'") })
	e.exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON "+e.Options.Schema+".* TO "+role+"@'%'")
	c, err := mysql.ParseDSN(e.DSN)
	must(t, err)
	c.User, c.Passwd, c.DBName = role, "p", ""
	return c.FormatDSN()
}

func refusesAnEncodingThatLacksLetters(t *testing.T, g *Target) {
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		e := g.Open(t)
		name := "e" + strings.ToLower(encoding) + fmt.Sprint(os.Getpid())
		e.exec(t, "CREATE DATABASE "+name+" ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
		t.Cleanup(func() { e.exec(t, "DROP DATABASE "+name+"") })
		u, err := url.Parse(e.DSN)
		must(t, err)
		u.Path = "/" + name
		db, _ := open(t, g.Driver, u.String())
		defer db.Close()
		s, err := sqlstore.New(db, g.Dialect, nil)
		must(t, err)
		for what, err := range map[string]error{"Migrate": s.Migrate(t.Context()), "Check": s.Check(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), encoding) || !strings.Contains(err.Error(), "UTF8") {
				t.Errorf("%s: got %v, want an error with %s and UTF8", what, err, encoding)
			}
		}
	}
}

// takesAnyCharsetOfTheConnection since the columns hold bytes.
func takesAnyCharsetOfTheConnection(t *testing.T, g *Target) {
	e := g.Open(t)
	for i, charset := range []string{"latin1", "cp1251", "utf8mb3"} {
		c, err := mysql.ParseDSN(e.DSN)
		must(t, err)
		must(t, c.Apply(mysql.Charset(charset, "")))
		db, _ := open(t, g.Driver, c.FormatDSN())
		defer db.Close()
		s, err := sqlstore.New(db, g.Dialect, &e.Options)
		must(t, err)
		must(t, errors.Join(s.Migrate(t.Context()), s.Check(t.Context())))
		want := users.Application{ID: fmt.Sprint("a", i), APIKey: charset, Name: "Zoë Жуков 🙂"}
		must(t, s.CreateApplication(t.Context(), want))
		got, err := e.Store.FindApplication(t.Context(), users.ApplicationQuery{APIKey: charset})
		if err != nil || got.Name != want.Name {
			t.Errorf("%s: got %q and error %v, want %q", charset, got.Name, err, want.Name)
		}
	}
}

// lockHasAShortName: MySQL takes 64 characters, also where the database's name has as many.
func lockHasAShortName(t *testing.T, g *Target) {
	e := g.Open(t)
	name := strings.Repeat("ü", 63-len(fmt.Sprint(os.Getpid()))) + "_" + fmt.Sprint(os.Getpid())
	e.exec(t, "CREATE DATABASE `"+name+"`")
	t.Cleanup(func() { e.exec(t, "DROP DATABASE `"+name+"`") })
	c, err := mysql.ParseDSN(e.DSN)
	must(t, err)
	c.DBName = name
	db, sw := open(t, g.Driver, c.FormatDSN())
	defer db.Close()
	s, err := sqlstore.New(db, g.Dialect, nil)
	must(t, err)
	var lock string
	sw.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if strings.Contains(c.Query, "GET_LOCK") && len(c.Args) > 0 {
			lock, _ = c.Args[0].Value.(string)
		}
		return nil
	}})
	must(t, errors.Join(s.Migrate(t.Context()), s.Check(t.Context())))
	if lock == "" || len(lock) > 64 {
		t.Errorf("name of the lock: got %q, want one of at most 64 characters", lock)
	}
}

// lockRow is how the lock of a process looks, which began just now on a node.
func (e *Env) lockRow(node string) string {
	return "REPLACE INTO " + e.table("users_migrations") + ` (version, step, started_at, owner)
		VALUES (0, 0, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)), '` + node + `/other')`
}

// serverName is what the name of the server's in the lock's row is.
func (e *Env) serverName(t *testing.T) (name string) {
	t.Helper()
	var variable string
	if err := e.DB.QueryRow("SHOW GLOBAL VARIABLES LIKE 'server_uuid'").Scan(&variable, &name); err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return name
}

func rowOfADeadProcessHoldsUpNobody(t *testing.T, g *Target) {
	e, set, _ := beforeNext(t, g)
	e.exec(t, e.lockRow(e.serverName(t)))
	begun := time.Now()
	must(t, e.run(set))
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %v, want no wait for a process that is dead", took)
	}
}

func rowOfAnotherNodeIsWaitedFor(t *testing.T, g *Target) {
	t.Run("Named", func(t *testing.T) { waitsForRowOf(t, g, "elsewhere", nil) })
	t.Run("ThatDoesNotSayItsName", func(t *testing.T) { waitsForRowOf(t, g, "", &numberError{Number: 1227}) })
}

// waitsForRowOf node, where to ask for the name of one's own fails with show.
func waitsForRowOf(t *testing.T, g *Target, node string, show error) {
	e, set, _ := beforeNext(t, g)
	e.exec(t, e.lockRow(node))
	looked := 0
	e.Switch.Set(&flaky.Hooks{
		Before: func(c flaky.Call) error {
			switch {
			case strings.HasPrefix(c.Query, "SHOW"):
				return show
			case strings.HasPrefix(c.Query, "ALTER") && looked < 3:
				t.Error("a step was done while another node has the lock")
			}
			return nil
		},
		After: func(c flaky.Call) error {
			if c.Op == flaky.Exec && strings.HasPrefix(c.Query, "DELETE") {
				if looked++; looked == 2 { // the next one finds it void
					e.exec(t, "UPDATE "+e.table("users_migrations")+" SET started_at = -601000000 WHERE version = 0")
				}
			}
			return nil
		},
	})
	must(t, e.run(set))
	if looked < 3 {
		t.Errorf("looked for a void row %d times, want 3", looked)
	}
}

// cleansUpInBoundedTime after a step that failed, also where ctx has no end.
func cleansUpInBoundedTime(t *testing.T, g *Target) {
	e, set, _ := beforeNext(t, g)
	cleanUp := regexp.MustCompile(`^(ROLLBACK|DO RELEASE_LOCK|DELETE .* version = 0 AND step = 0 AND owner)`)
	failed, cleaned := false, 0
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if strings.HasPrefix(c.Query, "ALTER") {
			failed = true
			return &numberError{Number: 1142} // not permitted
		}
		if failed && cleanUp.MatchString(c.Query) {
			cleaned++
			if end, ok := c.Ctx.Deadline(); !ok || time.Until(end) > 10*time.Second {
				t.Errorf("%s: got the deadline %v, want one of a few seconds", c.Query, end)
			}
		}
		return nil
	}})
	err := e.run(set)
	e.Switch.Set(nil)
	if err == nil || cleaned == 0 {
		t.Errorf("got error %v and cleaned up %d times, want an error and once or more", err, cleaned)
	}
}

// leaseThatWasLostStops whoever had it: it does no other step, and changes
// nothing of the one that has it now.
func leaseThatWasLostStops(t *testing.T, g *Target) {
	t.Run("BeforeAStep", func(t *testing.T) { stopsAfter(t, g, "UPDATE", 0) })
	t.Run("DuringAStep", func(t *testing.T) { stopsAfter(t, g, "ALTER", 1) })
}

// stopsAfter the statement that begins with word, during which the lease is lost.
func stopsAfter(t *testing.T, g *Target, word string, steps int) {
	e, set, _ := beforeNext(t, g)
	lost, altered := false, 0
	e.Switch.Set(&flaky.Hooks{After: func(c flaky.Call) error {
		if strings.HasPrefix(c.Query, "ALTER") {
			altered++
		}
		if c.Op == flaky.Exec && strings.HasPrefix(c.Query, word) && !lost {
			lost = true
			e.exec(t, e.lockRow("elsewhere"))
		}
		return nil
	}})
	err := e.run(set)
	e.Switch.Set(nil)
	if err == nil || !strings.Contains(err.Error(), "another process took over") || altered != steps {
		t.Errorf("got %v after %d steps, want an error after %d", err, altered, steps)
	}
	if got := e.count(t, "users_migrations WHERE version = 0 AND owner = 'elsewhere/other'"); got != 1 {
		t.Errorf("rows of the other process: got %d, want 1", got)
	}

	e.exec(t, "UPDATE "+e.table("users_migrations")+" SET started_at = -601000000 WHERE version = 0")
	must(t, e.run(set))
}

// waitOutlastsTheReadTimeout of the DSN, which is for one statement.
func waitOutlastsTheReadTimeout(t *testing.T, g *Target) {
	e := g.Open(t)
	c, err := mysql.ParseDSN(e.DSN)
	must(t, err)
	c.ReadTimeout = time.Second
	db, sw := open(t, g.Driver, c.FormatDSN())
	defer db.Close()
	s, err := sqlstore.New(db, g.Dialect, &e.Options)
	must(t, err)

	other, err := e.DB.Conn(t.Context())
	must(t, err)
	defer other.Close()
	looked := 0
	sw.Set(&flaky.Hooks{Before: func(c flaky.Call) (err error) {
		if c.Op != flaky.Query || !strings.Contains(c.Query, "GET_LOCK") {
			return nil
		}
		switch looked++; looked {
		case 1:
			_, err = other.ExecContext(t.Context(), "DO GET_LOCK(?, 9)", c.Args[0].Value)
		case 5: // the driver may see a look twice: as a query, and prepared
			_, err = other.ExecContext(t.Context(), "DO RELEASE_LOCK(?)", c.Args[0].Value)
		}
		return err
	}})
	must(t, errors.Join(s.Migrate(t.Context()), s.Check(t.Context())))
	if looked < 5 {
		t.Errorf("looked for the lock %d times, want 5 or more", looked)
	}
}

// takesBackOnlyItsOwnEntry where a step fails: another process may have gone on with it.
func takesBackOnlyItsOwnEntry(t *testing.T, g *Target) {
	e, set, _ := beforeNext(t, g)
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if strings.HasPrefix(c.Query, "ALTER TABLE") {
			e.exec(t, "UPDATE "+e.table("users_migrations")+" SET owner = 'elsewhere/other' WHERE done_at IS NULL")
			return &numberError{Number: 1142} // not permitted
		}
		return nil
	}})
	err := e.run(set)
	e.Switch.Set(nil)
	if all, _ := e.journaled(t, set); err == nil || all != 1 {
		t.Errorf("got error %v and %d entries, want an error and that of the other process", err, all)
	}
}

// repeatsWhatAClusterAborts of Migrate's statements, as often as it takes.
func repeatsWhatAClusterAborts(t *testing.T, g *Target) {
	e := g.Open(t)
	calls := 0
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if word, _, _ := strings.Cut(c.Query, " "); slices.Contains([]string{"SHOW", "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE"}, word) {
			if calls++; calls%8 == 0 {
				return &numberError{Number: 1213}
			}
		}
		return nil
	}})
	err := e.Store.Migrate(t.Context())
	e.Switch.Set(nil)
	if err := errors.Join(err, e.Store.Check(t.Context())); err != nil || calls < 20 {
		t.Errorf("got %v after %d statements, want nil after 20 or more", err, calls)
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
