// Package network_test runs the tests on the drivers that can live in one
// program: those of the servers, and modernc.org/sqlite.
package network_test

import (
	"os"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/internal/dbtest/suite"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func targets() []*suite.Target {
	return []*suite.Target{
		{Name: "pgx", Dialect: sqlstore.Postgres, Driver: "pgx", Prepared: true},
		{Name: "pq", Dialect: sqlstore.Postgres, Driver: "postgres"},
		{Name: "mysql", Dialect: sqlstore.MySQL, Driver: "mysql", Prepared: true},
		{Name: "modernc", Dialect: sqlstore.SQLite, Driver: "sqlite", Prepared: true, DSN: func(path string) string {
			// Package crash tests synchronous=FULL.
			return "file:" + path + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)"
		}},
	}
}

func each(t *testing.T, run func(t *testing.T, g *suite.Target)) {
	for _, g := range targets() {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel() // they wait for the disks of three databases
			run(t, g)
		})
	}
}

func TestConformance(t *testing.T) { each(t, suite.Conformance) }

func TestHostTransactions(t *testing.T) { each(t, suite.HostTransactions) }

func TestRetries(t *testing.T) { each(t, suite.Retries) }

func TestRaces(t *testing.T) { each(t, suite.Races) }

func TestFaults(t *testing.T) { each(t, suite.Faults) }

func TestStoreFaults(t *testing.T) { each(t, suite.StoreFaults) }

func TestCancellation(t *testing.T) {
	each(t, func(t *testing.T, g *suite.Target) { suite.Cancellation(t, g, 1000) })
}

func TestPlans(t *testing.T) {
	each(t, func(t *testing.T, g *suite.Target) {
		if g.Name != "pq" { // the same database
			suite.Plans(t, g)
		}
	})
}

func TestMigrations(t *testing.T) {
	if suite.MigrateChild(t, targets()) {
		return
	}
	each(t, func(t *testing.T, g *suite.Target) {
		if g.Name != "pq" {
			suite.Migrations(t, g, "TestMigrations", 20)
		}
	})
}

func TestClasses(t *testing.T) { each(t, suite.Classes) }
