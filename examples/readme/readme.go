// Package readme holds the fragments of Go that README.md shows, so that they
// compile. A test compares them.
package readme

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
	"github.com/gousers/users/smtpnotify"
	"github.com/gousers/users/sqlstore"
	"github.com/gousers/users/storetest"
)

// Mount hangs the API under /v1 of the host's own mux.
func Mount(svc *users.Service, mux *http.ServeMux) error {
	authenticate := httpapi.BearerTokens(httpapi.BearerToken{
		Secret: password.New("a long random secret"),
		Caller: users.Caller{ID: "backoffice", APIKey: "demo", Permissions: users.AllPermissions},
	})
	api, err := httpapi.New(svc, authenticate, &httpapi.Options{Prefix: "/v1"})
	if err != nil {
		return err
	}
	mux.Handle("/v1/", api) // any router: see examples/routers
	return nil
}

// Open makes a service on PostgreSQL.
func Open(ctx context.Context, db *sql.DB) (*users.Service, error) {
	store, err := sqlstore.New(db, sqlstore.Postgres, nil)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	return users.New(store, nil)
}

// Watch logs locks after failed sign-ins.
func Watch(store *sqlstore.Store) (*users.Service, error) {
	return users.New(store, &users.Options{
		AfterSignIn: func(ctx context.Context, e users.SignInEvent) {
			if e.Lock > 0 {
				slog.WarnContext(ctx, "too many failed sign-ins", "user", e.User.ID, "failures", e.Failures, "locked for", e.Lock)
			}
		},
	})
}

// OldUser is a user of another system.
type OldUser struct {
	Login, Email, Hash string
	Since              time.Time
}

// Move creates a user who keeps the password of another system.
func Move(ctx context.Context, svc *users.Service, old OldUser) error {
	hash := password.NewHash(old.Hash) // "$2y$10$…", "pbkdf2_sha256$…", "{SSHA}…"
	_, err := svc.Create(ctx, "demo", users.CreateUserParams{
		UserName: old.Login, Email: old.Email, PasswordHash: hash, CreationDate: old.Since,
	})
	return err
}

// MigrationFiles returns the schema to the host's own migration tool.
func MigrationFiles() (forGoose, forMigrate fs.FS, err error) {
	forGoose, err = sqlstore.Goose(sqlstore.Postgres, nil) // goose.NewProvider(goose.DialectPostgres, db, forGoose)
	if err != nil {
		return nil, nil, err
	}
	forMigrate, err = sqlstore.GolangMigrate(sqlstore.Postgres, nil) // iofs.New(forMigrate, ".")
	return forGoose, forMigrate, err
}

// WithAccounts adds a row of the host's to every user, also to those that come
// in over HTTP.
func WithAccounts(store *sqlstore.Store) (*users.Service, error) {
	return users.New(store, &users.Options{
		OnCreate: func(ctx context.Context, e users.CreateEvent) error {
			tx, ok := sqlstore.TxFrom(ctx)
			if !ok {
				return errors.New("not inside a transaction")
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO accounts (application_id, user_id) VALUES ($1, $2)`, e.Application.ID, e.User.ID)
			return err
		},
	})
}

// Deliver sends the mail until ctx ends.
func Deliver(ctx context.Context, svc *users.Service) error {
	mail, err := smtpnotify.New("smtp://user:password@mail.example.com:587", "Example <no-reply@example.com>", nil)
	if err != nil {
		return err
	}
	defer mail.Close()
	relay, err := outbox.New(svc, mail, &outbox.Options{
		SetPasswordURL: func(app users.Application, token string) string {
			return "https://example.com/set-password#token=" + token
		},
	})
	if err != nil {
		return err
	}
	return relay.Run(ctx)
}

// SetPassword is what the page behind that link calls.
func SetPassword(ctx context.Context, svc *users.Service, token, newPassword string) error {
	return svc.SetPassword(ctx, "demo", password.New(token), password.New(newPassword))
}

// CreateAndTell shows the errors of Create.
func CreateAndTell(ctx context.Context, svc *users.Service, p users.CreateUserParams) string {
	_, err := svc.Create(ctx, "demo", p)
	var (
		invalid   *users.ValidationError
		taken     *users.ConflictError
		forbidden *users.ForbiddenError
	)
	switch {
	case err == nil:
		return "created"
	case errors.As(err, &invalid):
		return invalid.Error() // invalid.Fields has every invalid member
	case errors.As(err, &taken):
		return "taken: " + strings.Join(taken.Members, ", ") // "userName", "email"
	case errors.As(err, &forbidden):
		return forbidden.Error() // forbidden.Members is empty where the operation as a whole is refused
	case errors.Is(err, users.ErrOverloaded), errors.Is(err, users.ErrUnavailable):
		return "try again later"
	}
	return "failed"
}

// StoreTest checks a store; in a host it is called TestStore and is in a test file.
func StoreTest(t *testing.T) {
	storetest.Run(t, func(testing.TB) users.Store { return memstore.New() })
}

// find asks for the first page of the Janes that wait for approval, the newest first.
func find(ctx context.Context, svc *users.Service) (*users.UserPage, error) {
	page, err := svc.FindUsers(ctx, "demo", users.FindUsersParams{
		UserFilter: users.UserFilter{Phrase: "jane", IsApproved: new(false)},
		Order:      []users.Order{{By: users.ByDateCreated, Desc: true}},
		Page:       1, // counts page.Total; without it, go on with After: page.Next
	})
	return page, err
}

// change gives Jane another address and a role, unless another writer was faster.
func change(ctx context.Context, svc *users.Service, version int64) (*users.User, error) {
	u, err := svc.UpdateUser(ctx, "demo", "jane@example.com", users.UserChange{
		IfVersion: version, // of the user that was shown; 0: whatever it is
		Email:     new("jane@example.org"),
		Roles:     new([]users.RoleRef{{Name: "editor"}}),
	})
	return u, err
}
