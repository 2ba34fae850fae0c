// Package database opens what the flag -db of an example names.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/sqlstore"
)

// UpDeadline is how long Open waits for a database to come up.
const UpDeadline = 30 * time.Second

const (
	maxConns = 16
	upPause  = 500 * time.Millisecond
	// More than Migrate waits for a process that died on another node of a cluster.
	migrateDeadline = 7 * time.Minute
)

// DSN says what -db may be.
const DSN = "`DSN`: sqlite:PATH, postgres://…, mysql://user:pass@host:port/db"

// Database says how to open what -db names.
type Database struct {
	dialect sqlstore.Dialect
	open    func() (*sql.DB, error) // nil: memory
}

// Memory reports whether d lasts no longer than the process.
func (d Database) Memory() bool { return d.open == nil }

// Parse judges the DSN without connecting. Its errors never hold a password.
func Parse(dsn string) (Database, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "memory":
		if rest != "" {
			return Database{}, errors.New("memory: takes nothing after it")
		}
		return Database{}, nil
	case "sqlite":
		if rest == "" || rest == ":memory:" {
			return Database{}, errors.New("must be sqlite:PATH; memory: keeps everything in memory")
		}
		// What a file: URI means by //localhost/, and by no other host (sqlite.org/uri.html).
		path := strings.TrimPrefix(rest, "//localhost")
		if strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///") {
			return Database{}, errors.New("must be sqlite:PATH, without //")
		}
		return Database{sqlstore.SQLite, func() (*sql.DB, error) {
			if err := createPrivate(path); err != nil {
				return nil, err
			}
			return sql.Open("sqlite", sqliteDSN(path))
		}}, nil
	case "postgres", "postgresql":
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return Database{}, errors.New("not a PostgreSQL URL: postgres://user:pass@host:port/db")
		}
		return Database{sqlstore.Postgres, func() (*sql.DB, error) { return stdlib.OpenDB(*cfg), nil }}, nil
	case "mysql":
		cfg, err := mysqlConfig(dsn)
		if err != nil {
			return Database{}, err
		}
		return Database{sqlstore.MySQL, func() (*sql.DB, error) {
			c, err := mysql.NewConnector(cfg)
			if err != nil {
				return nil, err
			}
			return sql.OpenDB(c), nil
		}}, nil
	}
	return Database{}, errors.New("must be sqlite:PATH, postgres://…, mysql://… or memory: itself")
}

// createPrivate makes the file unless it is there, for its owner alone: SQLite
// would let everyone read it. Its -wal and -shm get the mode of the file.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return f.Close()
}

// sqliteDSN asks for the settings that keep what was acknowledged when the power
// fails, and that let writers wait for each other instead of failing.
func sqliteDSN(path string) string {
	path = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + path + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
}

// mysqlConfig turns mysql://user:pass@host:port/db?param=value into the driver's own form.
func mysqlConfig(dsn string) (*mysql.Config, error) {
	bad := errors.New("not a MySQL URL: mysql://user:pass@host:port/db")
	u, err := url.Parse(dsn)
	if err != nil || u.Hostname() == "" || len(u.Path) < 2 {
		return nil, bad
	}
	cfg, err := mysql.ParseDSN("tcp(x)/?" + u.RawQuery)
	if err != nil {
		return nil, bad
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	cfg.Addr = net.JoinHostPort(u.Hostname(), port)
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.DBName = u.Path[1:]
	cfg.Logger = &mysql.NopLogger{}
	return cfg, nil
}

// Open opens the database, for which it waits if it is not up yet, and
// brings its tables up to date, which a production service leaves to its deployment.
func (d Database) Open(ctx context.Context, log *slog.Logger) (store users.Store, closeStore func() error, err error) {
	if d.open == nil {
		return memstore.New(), func() error { return nil }, nil
	}
	db, err := d.open()
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	if d.dialect != sqlstore.SQLite {
		db.SetConnMaxLifetime(30 * time.Minute)
	}
	s, err := sqlstore.New(db, d.dialect, nil)
	if err != nil {
		return nil, nil, err
	}

	err = awaitUp(ctx, log, func(connecting context.Context) error {
		if err := db.PingContext(connecting); err != nil {
			return err
		}
		return inTime(ctx, func(ctx context.Context) error {
			if err := s.Migrate(ctx); err != nil {
				return err
			}
			return s.Check(ctx) // a table may have been changed, or made by a version that was never released
		})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	return s, db.Close, nil
}

// inTime runs migrate with its deadline. That it passed says nothing of whether the
// database is up, and so the error is no time-out to awaitUp.
func inTime(ctx context.Context, migrate func(context.Context) error) error {
	migrating, cancel := context.WithTimeout(ctx, migrateDeadline)
	defer cancel()
	err := migrate(migrating)
	if err != nil && migrating.Err() != nil {
		return fmt.Errorf("its tables are not up to date after %v, maybe because another process is at it: %v", migrateDeadline, err)
	}
	return err
}

// awaitUp repeats open until the database is up, which the log tells once, or
// UpDeadline has passed. Any other error ends it at once, and so does ctx.
func awaitUp(ctx context.Context, log *slog.Logger, open func(context.Context) error) error {
	connecting, cancel := context.WithTimeout(ctx, UpDeadline)
	defer cancel()
	pause := time.NewTicker(upPause)
	defer pause.Stop()
	for down := error(nil); ; {
		err := open(connecting)
		if timedOut(err) && down != nil {
			err = down // which tells more
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			return nil
		case connecting.Err() != nil && (timedOut(err) || notUpYet(err)):
			return fmt.Errorf("not up after %v: %w", UpDeadline, err)
		case !notUpYet(err):
			return err
		case down == nil:
			log.Info("the database is not up yet: waiting for it", "at most", UpDeadline)
		}

		down = err
		select {
		case <-pause.C:
		case <-connecting.Done(): // open says so
		}
	}
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// notUpYet reports whether err may pass when a database has come up: nobody
// listens or has that name yet, as with a container that is being started, or the
// database says itself that it is starting or stopping. Silence is another
// matter: the DSN's own timeouts judge it, and UpDeadline.
func notUpYet(err error) bool {
	// What the database says counts first: of several addresses only one may be refused.
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains([]string{"57P01", "57P02", "57P03"}, pg.Code) // admin_shutdown, crash_shutdown, cannot_connect_now
	}
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return my.Number == 1053 || my.Number == 1047 // ER_SERVER_SHUTDOWN; a Galera node that joins
	}
	if _, noName := errors.AsType[*net.DNSError](err); noName {
		return true
	}
	return slices.ContainsFunc([]error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		syscall.ENOENT,              // of a socket in a directory
		io.EOF, io.ErrUnexpectedEOF, // a proxy before nothing
		driver.ErrBadConn, mysql.ErrInvalidConn,
	}, func(target error) bool { return errors.Is(err, target) })
}
