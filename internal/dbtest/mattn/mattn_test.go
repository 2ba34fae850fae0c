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

func TestDriver(t *testing.T) {
	suite.Run(t, &suite.Target{Name: "mattn", Dialect: sqlstore.SQLite, Driver: "sqlite3", DSN: func(path string) string {
		// Package crash tests synchronous=FULL.
		return "file:" + path + "?_busy_timeout=5000&_journal_mode=WAL&_synchronous=NORMAL"
	}})
}
