package servers

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// Galera returns, for each node of a MariaDB Galera cluster, the DSN of one new,
// empty database, which is dropped when the test ends.
func Galera(t testing.TB) []string {
	t.Helper()
	dsns := strings.Split(os.Getenv("USERS_TEST_GALERA"), ",")
	name := unique()
	admin(t, "mysql", dsns[0], `CREATE DATABASE `+name, `DROP DATABASE `+name)
	var all []string
	for _, dsn := range dsns {
		// Not before the database is on that node.
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for n := 0; n == 0; {
			if err := db.QueryRow("SELECT count(*) FROM information_schema.schemata WHERE schema_name = ?", name).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
		c, err := mysql.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		c.DBName = name
		all = append(all, c.FormatDSN())
	}
	return all
}
