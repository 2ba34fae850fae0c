// Package network_test runs the tests on the drivers that can live in one
// program: those of the servers, and modernc.org/sqlite.
package network_test

import (
	"os"
	"slices"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/internal/dbtest/suite"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func targets() []*suite.Target {
	return []*suite.Target{
		{Name: "pgx", Dialect: sqlstore.Postgres, Driver: "pgx", Prepared: true},
		{Name: "pq", Dialect: sqlstore.Postgres, Driver: "postgres", SecondDriver: true},
		{Name: "mysql", Dialect: sqlstore.MySQL, Driver: "mysql", Prepared: true},
		{Name: "modernc", Dialect: sqlstore.SQLite, Driver: "sqlite", Prepared: true, DSN: func(path string) string {
			// Package crash tests synchronous=FULL.
			return "file:" + path + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)"
		}},
	}
}

func TestDrivers(t *testing.T) { suite.Run(t, targets()...) }

func TestGuessesAtOnceOnMemstore(t *testing.T) { suite.GuessesAtOnce(t, memstore.New()) }

func TestAllStoresAnswerAlike(t *testing.T) {
	suite.SameAnswers(t, slices.DeleteFunc(targets(), func(g *suite.Target) bool { return g.SecondDriver })...)
}

func TestMigrations(t *testing.T) {
	if suite.MigrateChild(t, targets()) {
		return
	}
	for _, g := range targets() {
		if g.SecondDriver {
			continue
		}
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel() // they wait for the disks of three databases
			suite.Migrations(t, g, "TestMigrations", 20)
		})
	}
}
