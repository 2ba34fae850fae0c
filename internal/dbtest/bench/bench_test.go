// Package bench_test measures what the store costs beside the same statements
// run by hand, in turns within one run: ratios hold on any machine, absolute
// times do not.
//
//	go test -run '^$' -bench . -benchtime 1000x ./bench
package bench_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

type engine struct {
	name    string
	dialect sqlstore.Dialect
	driver  string
	dsn     func(testing.TB) string
}

func sqlite(synchronous string) func(testing.TB) string {
	return func(t testing.TB) string {
		return "file:" + filepath.Join(t.TempDir(), "users.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(" + synchronous + ")"
	}
}

var engines = []engine{
	{"SQLiteFULL", sqlstore.SQLite, "sqlite", sqlite("full")},
	{"SQLiteNORMAL", sqlstore.SQLite, "sqlite", sqlite("normal")},
	{"PostgreSQL", sqlstore.Postgres, "pgx", servers.Postgres},
	{"MariaDB", sqlstore.MySQL, "mysql", servers.MySQL},
}

const userColumns = `application_id, id, user_name, name_key, email, email_key, key_version, display_name, display_key, credential, is_approved, is_locked_out, dashboard_access, dashboard_settings, created_by, creation_date, date_created, date_updated, failures, locked_until, last_login, email_verified, password_changed, version`

func (e engine) param(n int, cast string) string {
	if e.dialect == sqlstore.Postgres {
		return fmt.Sprintf("$%d::%s", n, cast)
	}
	return "?"
}

// insertUser is the statement of a user with nothing else to write.
func (e engine) insertUser() string {
	casts := strings.Fields("text text text text text text bigint text text text boolean boolean boolean text text bigint bigint bigint bigint bigint bigint bigint bigint bigint")
	for i, c := range casts {
		casts[i] = e.param(i+1, c)
	}
	s := "INSERT INTO users (" + userColumns + ") SELECT " + strings.Join(casts, ", ") + " FROM applications WHERE id = " + e.param(len(casts)+1, "text")
	if e.dialect != sqlstore.MySQL {
		s += " ON CONFLICT DO NOTHING"
	}
	return s
}

func (e engine) args(u *users.UserRecord) []any {
	return []any{u.ApplicationID, u.ID, u.UserName, u.NameKey, u.Email, u.EmailKey, u.KeyVersion, u.Name, u.DisplayKey, u.Hash.Reveal(),
		u.IsApproved, u.IsLockedOut, u.AllowDashboardAccess, nil, u.CreatedBy, u.CreationDate.UnixMicro(), u.DateCreated.UnixMicro(),
		u.DateUpdated.UnixMicro(), u.Login.Failures, u.Login.LockedUntil.UnixMicro(), u.LastLogin.UnixMicro(),
		u.EmailVerified.UnixMicro(), u.PasswordChanged.UnixMicro(), u.Version, u.ApplicationID}
}

var serial atomic.Int64

func newUser() *users.NewUser {
	id := fmt.Sprintf("01%024d", serial.Add(1))
	now := time.Now().UTC()
	return &users.NewUser{UserRecord: users.UserRecord{
		User: users.User{ID: id, UserName: "user" + id, Email: id + "@example.com", Name: "A User", IsApproved: true,
			CreationDate: now, DateCreated: now, DateUpdated: now, Version: 1},
		ApplicationID: "app", NameKey: "user" + id, EmailKey: id + "@example.com", DisplayKey: "a user", KeyVersion: 1,
		Hash: password.NewHash("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$q2Z1bGxvZmVudHJvcHlmdWxsb2ZlbnRyb3B5ZnVsbG9m"),
	}}
}

func BenchmarkUserAlone(b *testing.B) {
	for _, e := range engines {
		for _, connections := range []int{1, 16} {
			for _, prepared := range []bool{false, true} {
				name := fmt.Sprintf("%s/%d", e.name, connections)
				if prepared {
					name += "/prepared"
				}
				b.Run(name, func(b *testing.B) {
					db, store := e.open(b, connections, prepared)
					text := e.insertUser()
					exec := func(ctx context.Context, args ...any) (sql.Result, error) { return db.ExecContext(ctx, text, args...) }
					if prepared {
						st, err := db.Prepare(text)
						if err != nil {
							b.Fatal(err)
						}
						defer st.Close()
						exec = st.ExecContext
					}
					compare(b, connections, func(n *users.NewUser) error {
						_, err := exec(context.Background(), e.args(&n.UserRecord)...)
						return err
					}, func(n *users.NewUser) error { return store.CreateUser(context.Background(), n) })
				})
			}
		}
	}
}

func BenchmarkUserWithRolesAndNotification(b *testing.B) {
	for _, e := range engines {
		for _, connections := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", e.name, connections), func(b *testing.B) {
				db, store := e.open(b, connections, false)
				compare(b, connections, func(n *users.NewUser) error { return e.byHand(db, n) }, func(n *users.NewUser) error {
					n.Roles = []users.Role{{ID: "r1"}, {ID: "r2"}}
					n.Notifications = []users.NotificationRecord{{ID: n.ID, ApplicationID: n.ApplicationID, UserID: n.ID, Kind: users.KindAccountCreated,
						State: users.StatePending, Created: n.DateCreated, Due: n.DateCreated}}
					return store.CreateUser(context.Background(), n)
				})
			})
		}
	}
}

// byHand is the transaction of the same statements.
func (e engine) byHand(db *sql.DB, n *users.NewUser) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec(e.insertUser(), e.args(&n.UserRecord)...); err != nil {
		return err
	}
	p := e.param
	if _, err := tx.Exec("INSERT INTO user_roles (application_id, user_id, role_id) SELECT "+p(1, "text")+", "+p(2, "text")+
		", id FROM roles WHERE application_id = "+p(3, "text")+" AND id IN ("+p(4, "text")+", "+p(5, "text")+")", "app", n.ID, "app", "r1", "r2"); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO notifications (application_id, id, user_id, kind, state, pending, urgent, due_at, lease_until, lease_owner, attempts, last_error, date_created) SELECT "+
		p(1, "text")+", "+p(2, "text")+", "+p(3, "text")+", "+p(4, "text")+", "+p(5, "text")+", 1, false, "+p(6, "bigint")+", 0, '', "+p(7, "bigint")+", "+p(8, "text")+", "+p(9, "bigint"),
		"app", n.ID, n.ID, users.KindAccountCreated, users.StatePending, n.DateCreated.UnixMicro(), 0, "", n.DateCreated.UnixMicro()); err != nil {
		return err
	}
	return tx.Commit()
}

func (e engine) open(b *testing.B, connections int, prepared bool) (*sql.DB, *sqlstore.Store) {
	b.Helper()
	db, err := sql.Open(e.driver, e.dsn(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	store, err := sqlstore.New(db, e.dialect, &sqlstore.Options{PrepareStatements: prepared})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	ctx := context.Background()
	if err := store.Migrate(ctx); err != nil {
		b.Fatal(err)
	}
	if err := store.CreateApplication(ctx, users.Application{ID: "app", APIKey: "demo"}); err != nil {
		b.Fatal(err)
	}
	for _, id := range []string{"r1", "r2"} {
		if err := store.CreateRole(ctx, "app", users.RoleRecord{Role: users.Role{ID: id, Name: id}, NameKey: id}); err != nil {
			b.Fatal(err)
		}
	}
	return db, store
}

// compare runs both ways in short turns and reports
// the throughput of the store as a multiple of that by hand: the median of all
// turns, for other work on the machine hits single turns.
func compare(b *testing.B, workers int, hand, store func(*users.NewUser) error) {
	b.Helper()
	const turn = 25
	var ratios []float64
	var inStore time.Duration
	run := func(way func(*users.NewUser) error, rows int) time.Duration {
		var wg sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(rows))
		start := time.Now()
		for range workers {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					if err := way(newUser()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	rows := turn
	if workers > 1 {
		rows = turn * 4
	}
	run(hand, rows)
	run(store, rows)
	b.ResetTimer()
	turns := 0
	for done := 0; done < b.N || turns < 2; done += rows {
		var spent [2]time.Duration
		for i := range 2 {
			which := (i + turns) % 2 // neither always goes first
			way := hand
			if which == 1 {
				way = store
			}
			spent[which] = run(way, rows)
		}
		ratios = append(ratios, float64(spent[0])/float64(spent[1]))
		inStore += spent[1]
		turns++
	}
	b.StopTimer()
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-of-raw")
	b.ReportMetric(float64(turns*rows)/inStore.Seconds(), "rows/s")
	b.ReportMetric(0, "ns/op")
}
