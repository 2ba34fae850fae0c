package interop

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) {
	mysql.SetLogger(&mysql.NopLogger{})
	os.Exit(servers.Main(m))
}

const version = "v1" // the first segment of every path, as the client has it

// target tells the scripts where to ask and in which form.
type target struct {
	Host    string `json:"host"`
	Version string `json:"version"`
	APIKey  string `json:"apiKey"`
	Token   string `json:"token"`
	Limited string `json:"limited"` // may only create users
	HAL     bool   `json:"hal"`
}

// server is a handler with Interop that listens.
type server struct {
	host string
	svc  *users.Service
}

// links says how the handler writes links.
type links bool

const (
	relative links = false // to the application
	absolute links = true  // with BaseURL
)

// serve starts a server with an application for each key, which pages of origins may call.
func serve(t *testing.T, store users.Store, l links, keys []string, origins ...string) *server {
	t.Helper()
	listening := httptest.NewUnstartedServer(nil)
	t.Cleanup(listening.Close)
	host := listening.Listener.Addr().String()
	svc, err := users.New(store, &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	var tokens []httpapi.BearerToken
	add := func(token, apiKey string, allow users.Permissions) {
		tokens = append(tokens, httpapi.BearerToken{
			Secret: password.New(token),
			Caller: users.Caller{ID: token, APIKey: apiKey, Permissions: allow},
		})
	}
	for _, key := range keys {
		if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: key, Name: key}); err != nil {
			t.Fatal(err)
		}
		add(key+"-token", key, users.AllPermissions)
		add(key+"-limited", key, users.CreateUsers)
		add(key+"-signed-in", key, users.ReadUsers)
	}

	o := &httpapi.Options{
		Prefix: "/" + version,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Interop: &httpapi.Interop{
			Origins: origins,
			SignIn: func(_ context.Context, apiKey string, u users.User) (httpapi.AccessToken, error) {
				return httpapi.AccessToken{Secret: password.New(apiKey + "-signed-in"), ExpiresIn: time.Hour}, nil
			},
		},
	}
	if l == absolute {
		o.BaseURL = "http://" + host
	}
	listening.Config.Handler, err = httpapi.New(svc, httpapi.BearerTokens(tokens...), o)
	if err != nil {
		t.Fatal(err)
	}
	listening.Start()
	return &server{host, svc}
}

// target is how the scripts reach the application.
func (s *server) target(apiKey string, hal bool) target {
	return target{s.host, version, apiKey, apiKey + "-token", apiKey + "-limited", hal}
}

// stores are the stores that the client is tried on, by name. Never written to.
var stores = map[string]func(t *testing.T) users.Store{
	"memstore": func(*testing.T) users.Store { return memstore.New() },
	"SQLite": func(t *testing.T) users.Store {
		return sqlStore(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "users.db")+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)", sqlstore.SQLite)
	},
	"PostgreSQL": func(t *testing.T) users.Store { return sqlStore(t, "pgx", servers.Postgres(t), sqlstore.Postgres) },
	"MariaDB":    func(t *testing.T) users.Store { return sqlStore(t, "mysql", servers.MySQL(t), sqlstore.MySQL) },
}

func sqlStore(t *testing.T, driver, dsn string, dialect sqlstore.Dialect) users.Store {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	store, err := sqlstore.New(db, dialect, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return store
}
