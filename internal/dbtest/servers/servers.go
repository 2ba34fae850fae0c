// Package servers finds the database servers that the tests run against, and
// starts throw-away ones that a test may kill.
//
// Found are, in this order: the DSN in USERS_TEST_POSTGRES or
// USERS_TEST_MYSQL, those of a cluster in USERS_TEST_GALERA; a server on the
// default port of 127.0.0.1 (user postgres; user root without a password), but no
// cluster; a throw-away server or cluster started from installed binaries, those in
// PATH first. The word new instead of a DSN asks for a throw-away server. Where
// there is none of them the test is skipped, loudly, and with CI=true it fails.
package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// Main runs the tests of a package and stops the throw-away servers that it
// started: func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }.
// What it can't stop is a failure.
func Main(m *testing.M) (code int) {
	defer func() {
		if err := stopAll(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the throw-away servers:", err)
			code = max(code, 1)
		}
	}()
	return m.Run()
}

func stopAll() (err error) {
	for _, f := range []*finder{&postgres, &mariadb} {
		if f.started != nil {
			err = errors.Join(err, f.started.Stop())
		}
	}
	return errors.Join(err, galera.stop())
}

// finder looks for one server, once in a process.
type finder struct {
	once    sync.Once
	dsn     string
	err     error
	started *Server
}

var postgres, mariadb finder

func (f *finder) find(env, local string, answers func(dsn string) error, start func() (*Server, error)) (string, error) {
	f.once.Do(func() {
		named := os.Getenv(env)
		if f.dsn = named; named != "" && named != "new" {
			f.err = answers(named)
			return
		}
		if f.dsn = local; named == "" && answers(local) == nil {
			return
		}
		if f.started, f.err = start(); f.err == nil {
			f.dsn = f.started.DSN
		}
	})
	return f.dsn, f.err
}

// Postgres returns the URL of a new, empty database, which is dropped when the
// test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	dsn, err := postgres.find("USERS_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable",
		func(dsn string) error { return ping("pgx", dsn) }, func() (*Server, error) { return StartPostgres("") })
	if err != nil {
		missing(t, "PostgreSQL", err)
	}
	name := unique()
	// PostgreSQL 12 has no WITH (FORCE). DROP DATABASE waits for those that end.
	admin(t, "pgx", dsn, `CREATE DATABASE `+name,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`, `DROP DATABASE `+name)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("USERS_TEST_POSTGRES is not a URL: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}

// MySQL returns the DSN (github.com/go-sql-driver/mysql) of a new, empty
// database, which is dropped when the test ends.
func MySQL(t testing.TB) string {
	t.Helper()
	dsn, err := mariadb.find("USERS_TEST_MYSQL", "root@tcp(127.0.0.1:3306)/",
		func(dsn string) error { return ping("mysql", dsn) }, func() (*Server, error) { return StartMariaDB("") })
	if err != nil {
		missing(t, "MariaDB", err)
	}
	name := unique()
	// A collation that calls jose and josé the same: the store must not care.
	admin(t, "mysql", dsn, `CREATE DATABASE `+name+` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`, `DROP DATABASE `+name)
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatalf("USERS_TEST_MYSQL is not a DSN: %v", err)
	}
	c.DBName = name
	return c.FormatDSN()
}

func missing(t testing.TB, what string, err error) {
	t.Helper()
	if ok, _ := strconv.ParseBool(os.Getenv("CI")); ok {
		t.Fatalf("NOT TESTED: no %s server: %v", what, err)
	}
	fmt.Fprintf(os.Stderr, "NOT TESTED: no %s server: %v\n", what, err)
	t.Skipf("NOT TESTED: no %s server: %v", what, err)
}

var counter atomic.Int64

// unique returns a name that no other process uses.
func unique() string {
	return fmt.Sprintf("users_t_%d_%d_%s", os.Getpid(), counter.Add(1), strconv.FormatInt(time.Now().UnixNano()%1e9, 36))
}

func admin(t testing.TB, driver, dsn, make string, drop ...string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(make); err != nil {
		t.Fatalf("%s: %v", make, err)
	}
	t.Cleanup(func() {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range drop {
			if _, err := db.Exec(statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
}

func ping(driver, dsn string) error {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return db.PingContext(ctx)
}

// await pings until the server answers.
func await(driver, dsn string, died <-chan struct{}) error {
	for end := time.Now().Add(3 * time.Minute); ; {
		err := ping(driver, dsn)
		if err == nil {
			return nil
		}
		select {
		case <-died:
			return errors.Join(errors.New("the server ended"), err)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// PrivatePostgres starts a PostgreSQL of the test's own, which it may kill and
// restart, and stops it when the test ends. The DSN names the database "postgres".
func PrivatePostgres(t testing.TB) *Server {
	t.Helper()
	return private(t, "PostgreSQL", StartPostgres)
}

// PrivateMySQL is PrivatePostgres for MariaDB. The DSN names the database "users".
func PrivateMySQL(t testing.TB) *Server {
	t.Helper()
	s := private(t, "MariaDB", StartMariaDB)
	db, err := sql.Open("mysql", s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE DATABASE users"); err != nil {
		t.Fatal(err)
	}
	s.DSN += "users"
	return s
}

func private(t testing.TB, what string, start func(dir string) (*Server, error)) *Server {
	t.Helper()
	s, err := start("")
	if err != nil {
		missing(t, what, err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stopping %s: %v", what, err)
		}
	})
	return s
}
