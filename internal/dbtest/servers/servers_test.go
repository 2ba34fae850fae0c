package servers_test

import (
	"database/sql"
	"testing"

	"github.com/gousers/users/internal/dbtest/servers"
)

func TestPrivateServerComesBackWithItsDataAfterAKill(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *servers.Server{"pgx": servers.PrivatePostgres, "mysql": servers.PrivateMySQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			db, err := sql.Open(name, s.DSN)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("CREATE SCHEMA kept"); err != nil {
				t.Fatal(err)
			}
			s.Kill(t)
			if err := db.Ping(); err == nil {
				t.Error("Ping of a killed server: got nil, want an error")
			}
			s.Start(t)
			var n int
			err = db.QueryRow("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'kept'").Scan(&n)
			if err != nil || n != 1 {
				t.Errorf("schemas after the restart: got %d and error %v, want 1", n, err)
			}
		})
	}
}
