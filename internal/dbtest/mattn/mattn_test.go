// Package mattn_test runs the tests on a driver whose name, sqlite3, another one
// has too: both in one program panic.
package mattn_test

import (
	"os"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/internal/dbtest/suite"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func targets() []*suite.Target {
	return []*suite.Target{
		{Name: "mattn", Dialect: sqlstore.SQLite, Driver: "sqlite3", DSN: func(path string) string {
			// Package crash tests synchronous=FULL.
			return "file:" + path + "?_busy_timeout=5000&_journal_mode=WAL&_synchronous=NORMAL"
		}},
	}
}

func each(t *testing.T, run func(t *testing.T, g *suite.Target)) {
	for _, g := range targets() {
		t.Run(g.Name, func(t *testing.T) { run(t, g) })
	}
}

func TestConformance(t *testing.T) { each(t, suite.Conformance) }

func TestHostTransactions(t *testing.T) { each(t, suite.HostTransactions) }

func TestRetries(t *testing.T) { each(t, suite.Retries) }

func TestFaults(t *testing.T) { each(t, suite.Faults) }

func TestStoreFaults(t *testing.T) { each(t, suite.StoreFaults) }

func TestCancellation(t *testing.T) {
	each(t, func(t *testing.T, g *suite.Target) { suite.Cancellation(t, g, 1000) })
}

func TestPlans(t *testing.T) { each(t, suite.Plans) }

func TestClasses(t *testing.T) { each(t, suite.Classes) }
