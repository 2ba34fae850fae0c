package suite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

const goodPassword = "seventeen purple elephants"

// hasher tells a test what happens while a password is hashed.
type hasher struct {
	password.Hasher
	during func()
}

func (h hasher) Hash(pw []byte) (password.Hash, error) {
	if h.during != nil {
		h.during()
	}
	return h.Hasher.Hash(pw)
}

// service makes a Service on e's store with the application "demo" and two roles.
func (e *Env) service(t testing.TB, o users.Options) *users.Service {
	t.Helper()
	if o.Hasher == nil {
		o.Hasher = password.InsecureForTests()
	}
	svc, err := users.New(e.Store, &o)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "demo", Name: "Demo"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"admin", "editor"} {
		if _, err := svc.CreateRole(ctx, "demo", users.Role{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	return svc
}

// params asks for everything that a user can come with.
func params(name string) users.CreateUserParams {
	return users.CreateUserParams{
		UserName: name, Email: name + "@example.com",
		Password: password.New(goodPassword), ConfirmPassword: password.New(goodPassword),
		Roles:                 []users.RoleRef{{Name: "admin"}, {Name: "editor"}},
		SendEmailNotification: true,
		IdempotencyKey:        "key-" + name,
	}
}

// wantRows checks how many users there are and that each has all that came
// into being with it.
func (e *Env) wantRows(t testing.TB, users int) {
	t.Helper()
	for table, each := range map[string]int{"users": 1, "user_roles": 2, "notifications": 1, "idempotency": 1} {
		if got := e.count(t, table); got != users*each {
			t.Errorf("rows of %s: got %d, want %d", table, got, users*each)
		}
	}
}

// HostTransactions runs the promises about the host's own transaction.
func HostTransactions(t *testing.T, g *Target) {
	g.Share(t)
	ctx := context.Background()

	setup := func(t *testing.T) (*Env, *users.Service) {
		e := g.Fresh(t)
		svc := e.service(t, users.Options{})
		id := map[sqlstore.Dialect]string{sqlstore.MySQL: "VARCHAR(64)"}[g.Dialect]
		if id == "" {
			id = "TEXT"
		}
		e.exec(t, "CREATE TABLE "+e.table("accounts")+" (user_id "+id+")")
		t.Cleanup(func() { e.exec(t, "DROP TABLE "+e.table("accounts")) })
		return e, svc
	}
	createIn := func(t *testing.T, e *Env, svc *users.Service, tx *sql.Tx, name string) error {
		p, err := svc.PreHash(ctx, "demo", params(name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = svc.WithStore(e.Store.WithTx(tx)).Create(ctx, "demo", p)
		return err
	}
	begin := func(t *testing.T, e *Env) *sql.Tx {
		tx, err := e.DB.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	own := func(e *Env, tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO " + e.table("accounts") + " VALUES ('x')")
		return err
	}

	t.Run("CommitMakesBothVisible", func(t *testing.T) {
		e, svc := setup(t)
		tx := begin(t, e)
		if err := errors.Join(own(e, tx), createIn(t, e, svc, tx, "ada"), tx.Commit()); err != nil {
			t.Fatalf("got %v, want nil", err)
		}
		e.wantRows(t, 1)
		if got := e.count(t, "accounts"); got != 1 {
			t.Errorf("the host's rows: got %d, want 1", got)
		}
	})
	t.Run("RollbackLeavesNeither", func(t *testing.T) {
		e, svc := setup(t)
		tx := begin(t, e)
		if err := errors.Join(own(e, tx), createIn(t, e, svc, tx, "ada"), tx.Rollback()); err != nil {
			t.Fatalf("got %v, want nil", err)
		}
		e.wantRows(t, 0)
		if got := e.count(t, "accounts"); got != 0 {
			t.Errorf("the host's rows: got %d, want 0", got)
		}
		rows, err := e.Store.Claim(ctx, users.Claim{Worker: "w", Lease: time.Minute, Limit: 10})
		if err != nil || len(rows) != 0 {
			t.Errorf("Claim after the roll-back: got %d rows and error %v, want none", len(rows), err)
		}
	})
	t.Run("DuplicateLeavesTheTransactionUsable", func(t *testing.T) {
		e, svc := setup(t)
		if _, err := svc.Create(ctx, "demo", params("ada")); err != nil {
			t.Fatal(err)
		}
		tx := begin(t, e)
		p := params("ada")
		p.IdempotencyKey = "another"
		p, err := svc.PreHash(ctx, "demo", p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = svc.WithStore(e.Store.WithTx(tx)).Create(ctx, "demo", p)
		var conflict *users.ConflictError
		if !errors.As(err, &conflict) || !slices.Equal(conflict.Members, []string{"userName", "email"}) {
			t.Fatalf("duplicate: got %v, want a conflict of userName and email", err)
		}
		// The host goes on, and its next user is whole.
		if err := errors.Join(own(e, tx), createIn(t, e, svc, tx, "bob"), tx.Commit()); err != nil {
			t.Fatalf("after the duplicate: got %v, want nil", err)
		}
		e.wantRows(t, 2)
	})
	t.Run("IgnoredErrorKeepsNoHalfUser", func(t *testing.T) {
		e, svc := setup(t)
		for _, step := range []string{"user_roles", "notifications"} {
			for _, after := range []bool{false, true} {
				tx := begin(t, e)
				if err := own(e, tx); err != nil {
					t.Fatal(err)
				}
				e.Switch.Set(failAt(step, after, errors.New("injected")))
				err := createIn(t, e, svc, tx, "ada")
				e.Switch.Set(nil)
				if err == nil {
					t.Fatalf("%s: got no error, want the injected one", step)
				}
				tx.Commit()
				e.wantRows(t, 0)
			}
		}
	})
	t.Run("OnCreateFailureUndoesItsPart", func(t *testing.T) {
		e, svc := setup(t)
		hook := errors.New("veto")
		vetoed, err := users.New(e.Store, &users.Options{Hasher: password.InsecureForTests(), OnCreate: func(ctx context.Context, u users.User) error {
			tx, ok := sqlstore.TxFrom(ctx)
			if !ok {
				t.Error("TxFrom inside OnCreate: got none")
				return nil
			}
			return errors.Join(own(e, tx), hook)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vetoed.Create(ctx, "demo", params("eve")); !errors.Is(err, hook) {
			t.Fatalf("got %v, want OnCreate's error", err)
		}
		tx := begin(t, e)
		if _, err := vetoed.WithStore(e.Store.WithTx(tx)).Create(ctx, "demo", params("eve")); !errors.Is(err, hook) {
			t.Fatalf("got %v, want OnCreate's error", err)
		}
		if err := errors.Join(createIn(t, e, svc, tx, "ada"), tx.Commit()); err != nil {
			t.Fatal(err)
		}
		e.wantRows(t, 1)
		if got := e.count(t, "accounts"); got != 0 {
			t.Errorf("the rows of OnCreate: got %d, want 0", got)
		}
	})
	t.Run("OnCreateUsesTheStoreInItsTransaction", func(t *testing.T) {
		e, plain := setup(t)
		app, err := plain.Application(ctx, "demo")
		if err != nil {
			t.Fatal(err)
		}
		var roles []string
		svc, err := users.New(e.Store, &users.Options{Hasher: password.InsecureForTests(), OnCreate: func(ctx context.Context, u users.User) error {
			tx, _ := sqlstore.TxFrom(ctx)
			in := e.Store.WithTx(tx)
			role := users.RoleRecord{Role: users.Role{ID: "of-" + u.ID, Name: u.UserName}, NameKey: u.UserName}
			if err := in.CreateRole(ctx, app.ID, role); err != nil {
				return err
			}
			roles = append(roles, role.ID)
			// A conflict inside undoes no more than itself.
			if err := in.CreateRole(ctx, app.ID, role); !errors.Is(err, users.ErrConflict) {
				t.Errorf("CreateRole twice inside OnCreate: got %v, want a conflict", err)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := svc.Create(ctx, "demo", params("ada")); err != nil {
			t.Errorf("Create: got %v, want nil", err)
		}
		tx := begin(t, e)
		if err := createIn(t, e, svc, tx, "bob"); err != nil {
			t.Errorf("Create in the host's transaction: got %v, want nil", err)
		}
		if err := errors.Join(own(e, tx), tx.Commit()); err != nil {
			t.Fatal(err)
		}
		e.wantRows(t, 2)
		if got := e.count(t, "roles"); got != 2+2 || len(roles) != 2 {
			t.Errorf("roles: got %d, made %q, want the 2 of the application and 1 of each user", got, roles)
		}
	})
	t.Run("NoConnectionIsHeldWhileHashing", func(t *testing.T) {
		e, _ := setup(t)
		hashed := 0
		svc, err := users.New(e.Store, &users.Options{Hasher: hasher{password.InsecureForTests(), func() {
			hashed++
			if got := e.DB.Stats().InUse; got != 0 {
				t.Errorf("connections in use while hashing: got %d, want 0", got)
			}
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := svc.Create(ctx, "demo", params("ada")); err != nil {
			t.Fatal(err)
		}
		p, err := svc.PreHash(ctx, "demo", params("bob"))
		if err != nil {
			t.Fatal(err)
		}
		tx := begin(t, e)
		_, err = svc.WithStore(e.Store.WithTx(tx)).Create(ctx, "demo", p)
		if err := errors.Join(err, tx.Commit()); err != nil {
			t.Fatal(err)
		}
		if hashed != 2 {
			t.Errorf("hashed: got %d times, want 2", hashed)
		}
		e.wantRows(t, 2)
	})
}
