package crash

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

// What every process of these tests agrees on.
const (
	apiKey = "crash"
	token  = "crash-token"
	role   = "member"
)

// backend is a database that a process opens by its driver's name and DSN.
type backend struct {
	Driver  string
	Dialect sqlstore.Dialect
	DSN     string
}

func (b backend) open() (*sql.DB, *sqlstore.Store, error) {
	db, err := sql.Open(b.Driver, b.DSN)
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlstore.New(db, b.Dialect, nil)
	return db, store, err
}

func newService(store users.Store) (*users.Service, error) {
	return users.New(store, &users.Options{
		Hasher: password.InsecureForTests(),
		Policy: &password.Policy{Blocked: func(string) bool { return false }},
	})
}

func newHandler(svc *users.Service, log *slog.Logger) (http.Handler, error) {
	authenticate := httpapi.BearerTokens(httpapi.BearerToken{
		Secret: password.New(token),
		Caller: users.Caller{ID: "admin", APIKey: apiKey, Permissions: users.AllPermissions},
	})
	return httpapi.New(svc, authenticate, &httpapi.Options{Logger: log, Prefix: "/v1"})
}

const childVariable = "USERS_CRASH_CHILD"

// TestMain makes the test binary its own victim: with one variable set it is
// the server process that the tests kill, with others a relay process or one that
// guesses at a password.
func TestMain(m *testing.M) {
	if spec := os.Getenv(relayVariable); spec != "" {
		if err := relayUntilIdle(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if spec := os.Getenv(guessVariable); spec != "" {
		if err := guessOnceTold(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if spec := os.Getenv(childVariable); spec != "" {
		fmt.Fprintln(os.Stderr, serve(spec))
		os.Exit(1)
	}
	mysql.SetLogger(&mysql.NopLogger{}) // it logs every connection that a kill ends
	os.Exit(servers.Main(m))
}

// serve runs an HTTP server and a relay until the process is killed. Its first
// line on standard output is its address. A delivered notification is one line
// of the mail file, written by one system call.
func serve(spec string) error {
	var b backend
	var mailFile string
	if _, err := fmt.Sscanf(spec, "%s %s %q %q", &b.Driver, (*string)(&b.Dialect), &b.DSN, &mailFile); err != nil {
		return err
	}
	_, store, err := b.open()
	if err != nil {
		return err
	}
	svc, err := newService(store)
	if err != nil {
		return err
	}
	mail, err := os.OpenFile(mailFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	relay, err := outbox.New(svc, users.NotifierFunc(func(_ context.Context, n users.Notification) error {
		_, err := fmt.Fprintf(mail, "%s %s\n", n.ID, n.User.ID)
		return err
	}), &outbox.Options{Lease: 3 * time.Second, Timeout: time.Second})
	if err != nil {
		return err
	}
	handler, err := newHandler(svc, nil)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- fmt.Errorf("relay: %w", errors.Join(relay.Run(context.Background()))) }()
	go func() { failed <- http.Serve(l, handler) }()
	fmt.Println(l.Addr())
	return <-failed
}
