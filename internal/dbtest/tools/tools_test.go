// Package tools_test applies the rendered migrations with other people's
// migration tools.
package tools_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratemysql "github.com/golang-migrate/migrate/v4/database/mysql"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/internal/dbtest/suite"
	own "github.com/gousers/users/internal/migrate"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

type engine struct {
	dialect sqlstore.Dialect
	driver  string
	goose   goose.Dialect
	dsn     func(testing.TB) string
	migrate func(*sql.DB) (database.Driver, error)
}

func engines() map[string]engine {
	return map[string]engine{
		"postgres": {sqlstore.Postgres, "pgx", goose.DialectPostgres, servers.Postgres,
			func(db *sql.DB) (database.Driver, error) { return migratepgx.WithInstance(db, &migratepgx.Config{}) }},
		"mysql": {sqlstore.MySQL, "mysql", goose.DialectMySQL, servers.MySQL,
			func(db *sql.DB) (database.Driver, error) {
				return migratemysql.WithInstance(db, &migratemysql.Config{})
			}},
		"sqlite": {sqlstore.SQLite, "sqlite", goose.DialectSQLite3,
			func(t testing.TB) string { return filepath.Join(t.TempDir(), "users.db") },
			func(db *sql.DB) (database.Driver, error) {
				return migratesqlite.WithInstance(db, &migratesqlite.Config{})
			}},
	}
}

// tool applies and takes back the migrations in files.
type tool struct {
	render func(sqlstore.Dialect, *sqlstore.Options) (fs.FS, error)
	next   func(*own.Set) fs.FS // with a version more than render
	up     func(engine, *sql.DB, fs.FS) error
	down   func(engine, *sql.DB, fs.FS) error
}

func tools() map[string]tool {
	provider := func(e engine, db *sql.DB, files fs.FS, run func(*goose.Provider) error) error {
		p, err := goose.NewProvider(e.goose, db, files)
		if err != nil {
			return err
		}
		return run(p)
	}
	instance := func(e engine, db *sql.DB, files fs.FS, run func(*migrate.Migrate) error) error {
		src, err := iofs.New(files, ".")
		if err != nil {
			return err
		}
		driver, err := e.migrate(db)
		if err != nil {
			return err
		}
		m, err := migrate.NewWithInstance("iofs", src, "db", driver)
		if err != nil {
			return err
		}
		return run(m)
	}
	return map[string]tool{
		"goose": {sqlstore.Goose, (*own.Set).Goose,
			func(e engine, db *sql.DB, files fs.FS) error {
				return provider(e, db, files, func(p *goose.Provider) error { _, err := p.Up(context.Background()); return err })
			},
			func(e engine, db *sql.DB, files fs.FS) error {
				return provider(e, db, files, func(p *goose.Provider) error { _, err := p.DownTo(context.Background(), 0); return err })
			}},
		"golang-migrate": {sqlstore.GolangMigrate, (*own.Set).GolangMigrate,
			func(e engine, db *sql.DB, files fs.FS) error {
				return instance(e, db, files, func(m *migrate.Migrate) error { return m.Up() })
			},
			func(e engine, db *sql.DB, files fs.FS) error {
				return instance(e, db, files, func(m *migrate.Migrate) error { return m.Down() })
			}},
	}
}

// setup is a database without tables, the store for it, and what a tool is given.
type setup struct {
	engine
	tool  tool
	db    *sql.DB
	store *sqlstore.Store
	o     sqlstore.Options
	files fs.FS
}

// withEach runs test with each tool on each engine.
func withEach(t *testing.T, test func(*testing.T, setup)) {
	for name, tool := range tools() {
		for engineName, e := range engines() {
			t.Run(name+"/"+engineName, func(t *testing.T) {
				s := setup{engine: e, tool: tool, o: sqlstore.Options{TablePrefix: "app_"}}
				var err error
				if s.db, err = sql.Open(e.driver, e.dsn(t)); err != nil {
					t.Fatal(err)
				}
				defer s.db.Close()
				if s.files, err = tool.render(e.dialect, &s.o); err != nil {
					t.Fatal(err)
				}
				if s.store, err = sqlstore.New(s.db, e.dialect, &s.o); err != nil {
					t.Fatal(err)
				}
				test(t, s)
			})
		}
	}
}

func (s setup) up(t *testing.T, files fs.FS) {
	t.Helper()
	if err := s.tool.up(s.engine, s.db, files); err != nil {
		t.Fatalf("up: %v", err)
	}
}

// down takes everything back.
func (s setup) down(t *testing.T, files fs.FS) {
	t.Helper()
	if err := s.tool.down(s.engine, s.db, files); err != nil {
		t.Fatalf("down: %v", err)
	}
	if err := s.store.Check(t.Context()); !errors.Is(err, sqlstore.ErrSchema) {
		t.Errorf("Check after down: got %v, want ErrSchema", err)
	}
}

func TestOtherToolsMigrate(t *testing.T) {
	withEach(t, func(t *testing.T, s setup) {
		ctx := t.Context()
		for range 2 { // down takes back everything that up made
			s.up(t, s.files)
			if err := errors.Join(s.store.Check(ctx), s.store.Migrate(ctx), s.store.Check(ctx)); err != nil {
				t.Errorf("Check, Migrate, Check: got %v, want nil", err)
			}
			if err := s.store.CreateApplication(ctx, users.Application{ID: "a", APIKey: "demo"}); err != nil {
				t.Errorf("CreateApplication: got %v, want nil", err)
			}
			s.down(t, s.files)
		}
	})
}

func TestOtherToolsMigrateToTheNextVersion(t *testing.T) {
	withEach(t, func(t *testing.T, s setup) {
		ctx := t.Context()
		set := suite.Next(t, s.dialect, s.o)
		next := s.tool.next(set)
		s.up(t, s.files)
		for range 2 {
			s.up(t, next)
			if _, err := s.db.Exec("SELECT nickname FROM app_users"); err != nil {
				t.Errorf("after up: got %v, want the new column", err)
			}
			conn, err := s.db.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.store.Check(ctx), set.Run(ctx, conn), conn.Close()); err != nil {
				t.Errorf("Check, and Run with nothing left to do: got %v, want nil", err)
			}
			s.down(t, next)
		}
	})
}
