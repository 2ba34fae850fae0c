// Package ncruces_test runs the tests on a driver whose name, sqlite3, another one
// has too: both in one program panic.
package ncruces_test

import (
	"os"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/internal/dbtest/suite"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func TestDriver(t *testing.T) {
	suite.Run(t, &suite.Target{Name: "ncruces", Dialect: sqlstore.SQLite, Driver: "sqlite3", DSN: func(path string) string {
		// Package crash tests synchronous=FULL.
		return "file:" + path + "?_txlock=deferred&_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)"
	}})
}
