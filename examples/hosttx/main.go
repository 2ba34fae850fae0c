// Command hosttx is a small host whose accounts table and the users of the
// library live in one database. It makes an account and its user in one
// transaction of its own: either both are there afterwards, or neither.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

const apiKey = "crm"

func main() {
	dir, err := os.MkdirTemp("", "hosttx")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := run(context.Background(), os.Stdout, filepath.Join(dir, "host.db")); err != nil {
		log.Fatal(err)
	}
}

// host is what the application around the library looks like.
type host struct {
	db    *sql.DB
	store *sqlstore.Store
	svc   *users.Service
}

func run(ctx context.Context, w io.Writer, path string) error {
	h, err := open(ctx, path)
	if err != nil {
		return err
	}
	defer h.db.Close()

	if _, err := h.register(ctx, "Acme", "jane"); err != nil {
		return err
	}
	fmt.Fprintln(w, "Acme and jane: committed")

	// The account is refused after the user was written: both are rolled back.
	if _, err := h.register(ctx, "Acme", "john"); err == nil {
		return errors.New("a second Acme was accepted")
	}
	fmt.Fprintln(w, "Acme again, with john: rolled back")
	if _, err := h.svc.User(ctx, apiKey, "john"); errors.Is(err, users.ErrNotFound) {
		fmt.Fprintln(w, "john does not exist")
	}

	// The user is refused: the account is not even tried.
	_, err = h.register(ctx, "Globex", "jane")
	var taken *users.ConflictError
	if errors.As(err, &taken) {
		fmt.Fprintln(w, "Globex, with jane again: taken are", taken.Members)
	}

	var accounts int
	if err := h.db.QueryRowContext(ctx, `SELECT count(*) FROM accounts`).Scan(&accounts); err != nil {
		return err
	}
	fmt.Fprintln(w, "accounts:", accounts)
	return nil
}

func open(ctx context.Context, path string) (*host, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	h := &host{db: db}
	if err := h.setUp(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return h, nil
}

func (h *host) setUp(ctx context.Context) (err error) {
	if h.store, err = sqlstore.New(h.db, sqlstore.SQLite, nil); err != nil {
		return err
	}
	if err = h.store.Migrate(ctx); err != nil {
		return err
	}
	if _, err = h.db.ExecContext(ctx, `CREATE TABLE accounts (company TEXT PRIMARY KEY, user_id TEXT NOT NULL)`); err != nil {
		return err
	}
	if h.svc, err = users.New(h.store, nil); err != nil {
		return err
	}
	_, err = h.svc.CreateApplication(ctx, users.Application{APIKey: apiKey})
	return err
}

// register makes an account and its user, both or neither.
func (h *host) register(ctx context.Context, company, name string) (*users.User, error) {
	pw := password.New("violet harbour 47 crumpets")
	p := users.CreateUserParams{UserName: name, Email: name + "@example.com", Password: pw, ConfirmPassword: pw}

	// Hashing takes its time: do it before the transaction holds a connection.
	prepared, err := h.svc.Prepare(ctx, apiKey, p)
	if err != nil {
		return nil, err
	}

	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	u, err := h.svc.InTx(h.store.WithTx(tx)).CreatePrepared(ctx, prepared)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO accounts (company, user_id) VALUES (?, ?)`, company, u.ID); err != nil {
		return nil, err
	}
	return u, tx.Commit()
}
