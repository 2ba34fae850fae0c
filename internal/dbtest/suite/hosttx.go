package suite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

// HostTransactions runs the promises about the host's own transaction.
func HostTransactions(t *testing.T, g *Target) {
	g.Share(t)
	for _, c := range []struct {
		promise string
		check   func(*testing.T, *host)
	}{
		{"CommitMakesBothVisible", commitMakesBothVisible},
		{"RollbackLeavesNeither", rollbackLeavesNeither},
		{"DuplicateLeavesTheTransactionUsable", duplicateLeavesTheTransactionUsable},
		{"IgnoredErrorKeepsNoHalfUser", ignoredErrorKeepsNoHalfUser},
		{"ServiceThatDoesNotKnowIsRefused", serviceThatDoesNotKnowIsRefused},
		{"WrappedStoreIsRefusedWithoutInTx", wrappedStoreIsRefusedWithoutInTx},
		{"WrappedStoreCommitsAllWithoutAfterCreate", wrappedStoreCommitsAllWithoutAfterCreate},
		{"WrappedStoreRollsBackAll", wrappedStoreRollsBackAll},
		{"OnCreateFailureUndoesItsPart", onCreateFailureUndoesItsPart},
		{"OnCreateUsesTheStoreInItsTransaction", onCreateUsesTheStoreInItsTransaction},
		{"NoConnectionIsHeldWhileHashing", noConnectionIsHeldWhileHashing},
	} {
		t.Run(c.promise, func(t *testing.T) { c.check(t, newHost(t, g)) })
	}
}

// host is a program with a table of its own beside those of the store.
type host struct {
	*Env
	svc *users.Service
}

func newHost(t *testing.T, g *Target) *host {
	t.Helper()
	e := g.Fresh(t)
	h := &host{e, e.service(t, users.Options{})}
	id := "TEXT"
	if g.Dialect == sqlstore.MySQL {
		id = "VARCHAR(64)"
	}
	e.exec(t, "CREATE TABLE "+e.table("accounts")+" (user_id "+id+")")
	t.Cleanup(func() { e.exec(t, "DROP TABLE "+e.table("accounts")) })
	return h
}

// withHooks returns a Service like the host's with the hooks of o.
func (h *host) withHooks(t *testing.T, o users.Options) *users.Service {
	t.Helper()
	o.Hasher = password.InsecureForTests()
	svc, err := users.New(h.Store, &o)
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// withHook returns a Service like the host's with this OnCreate.
func (h *host) withHook(t *testing.T, onCreate func(context.Context, users.CreateEvent) error) *users.Service {
	t.Helper()
	return h.withHooks(t, users.Options{OnCreate: onCreate})
}

func (h *host) begin(t *testing.T) *sql.Tx {
	t.Helper()
	tx, err := h.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// addRow writes a row of the host's own in tx.
func (h *host) addRow(tx *sql.Tx) error {
	_, err := tx.Exec("INSERT INTO " + h.table("accounts") + " VALUES ('x')")
	return err
}

func (h *host) wantOwnRows(t *testing.T, want int) {
	t.Helper()
	if got := h.count(t, "accounts"); got != want {
		t.Errorf("the host's rows: got %d, want %d", got, want)
	}
}

// createIn creates a user in tx, as hosts do.
func (h *host) createIn(t *testing.T, svc *users.Service, tx *sql.Tx, p users.CreateUserParams) error {
	t.Helper()
	prepared, err := svc.Prepare(t.Context(), "demo", p)
	if err != nil {
		t.Fatal(err)
	}
	_, err = svc.InTx(h.Store.WithTx(tx)).CreatePrepared(t.Context(), prepared)
	return err
}

func commitMakesBothVisible(t *testing.T, h *host) {
	tx := h.begin(t)
	if err := errors.Join(h.addRow(tx), h.createIn(t, h.svc, tx, params("ada")), tx.Commit()); err != nil {
		t.Fatalf("got %v, want nil", err)
	}
	h.wantRows(t, 1)
	h.wantOwnRows(t, 1)
}

func rollbackLeavesNeither(t *testing.T, h *host) {
	tx := h.begin(t)
	if err := errors.Join(h.addRow(tx), h.createIn(t, h.svc, tx, params("ada")), tx.Rollback()); err != nil {
		t.Fatalf("got %v, want nil", err)
	}
	h.wantRows(t, 0)
	h.wantOwnRows(t, 0)
	rows, err := h.Store.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Minute, Limit: 10})
	if err != nil || len(rows) != 0 {
		t.Errorf("Claim after the rollback: got %d rows and error %v, want none", len(rows), err)
	}
}

func duplicateLeavesTheTransactionUsable(t *testing.T, h *host) {
	if _, err := h.svc.Create(t.Context(), "demo", params("ada")); err != nil {
		t.Fatal(err)
	}

	tx := h.begin(t)
	p := params("ada")
	p.IdempotencyKey = "another"
	err := h.createIn(t, h.svc, tx, p)
	var conflict *users.ConflictError
	if !errors.As(err, &conflict) || !slices.Equal(conflict.Members, []string{"userName", "email"}) {
		t.Fatalf("duplicate: got %v, want a conflict of userName and email", err)
	}

	// The host goes on, and its next user is whole.
	if err := errors.Join(h.addRow(tx), h.createIn(t, h.svc, tx, params("bob")), tx.Commit()); err != nil {
		t.Fatalf("after the duplicate: got %v, want nil", err)
	}
	h.wantRows(t, 2)
}

func ignoredErrorKeepsNoHalfUser(t *testing.T, h *host) {
	for _, step := range []string{"user_roles", "notifications"} {
		for _, after := range []bool{false, true} {
			tx := h.begin(t)
			if err := h.addRow(tx); err != nil {
				t.Fatal(err)
			}
			h.Switch.Set(failAt(step, after, errors.New("injected")))
			err := h.createIn(t, h.svc, tx, params("ada"))
			h.Switch.Set(nil)
			if err == nil {
				t.Fatalf("%s: got no error, want the injected one", step)
			}
			tx.Commit()
			h.wantRows(t, 0)
		}
	}
}

func serviceThatDoesNotKnowIsRefused(t *testing.T, h *host) {
	tx := h.begin(t)
	_, err := h.svc.WithStore(h.Store.WithTx(tx)).Create(t.Context(), "demo", params("ada"))
	if err == nil || !strings.Contains(err.Error(), "Service.InTx") {
		t.Errorf("Create with WithStore: got %v, want an error that says what to use", err)
	}
	if err := errors.Join(h.createIn(t, h.svc, tx, params("bob")), tx.Commit()); err != nil {
		t.Errorf("after the refusal: got %v, want nil", err)
	}
	h.wantRows(t, 1)
}

// wrappings are the ways in which hosts wrap a store, for logging say: with a
// method Unwrap, and without one.
var wrappings = map[string]func(users.Store) users.Store{
	"Unwrap":   storefake.Wrapped,
	"NoUnwrap": func(s users.Store) users.Store { return struct{ users.Store }{s} },
}

func wrappedStoreIsRefusedWithoutInTx(t *testing.T, h *host) {
	for name, wrap := range wrappings {
		for shape, params := range shapes() {
			tx := h.begin(t)
			_, err := h.svc.WithStore(wrap(h.Store.WithTx(tx))).Create(t.Context(), "demo", params("ada"))
			if err == nil || !strings.Contains(err.Error(), "Service.InTx") {
				t.Errorf("%s: %s: Create with WithStore: got %v, want an error that names Service.InTx", name, shape, err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatalf("%s: %s: %v", name, shape, err)
			}
			h.wantRows(t, 0)
		}
	}
}

func wrappedStoreCommitsAllWithoutAfterCreate(t *testing.T, h *host) {
	announced := 0
	svc := h.withHooks(t, users.Options{AfterCreate: func(context.Context, users.CreateEvent) { announced++ }})

	made := 0
	for name, wrap := range wrappings {
		tx := h.begin(t)
		if _, err := svc.InTx(wrap(h.Store.WithTx(tx))).Create(t.Context(), "demo", params(strings.ToLower(name))); err != nil {
			t.Errorf("%s: got %v, want nil", name, err)
		}
		if announced != 0 {
			t.Errorf("%s: before the commit: AfterCreate ran %d times, want 0", name, announced)
		}
		if err := tx.Commit(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if announced != 0 {
			t.Errorf("%s: after the commit: AfterCreate ran %d times, want 0", name, announced)
		}
		made++
		h.wantRows(t, made)
	}

	if _, err := svc.Create(t.Context(), "demo", params("ada")); err != nil || announced != 1 {
		t.Errorf("outside a transaction: got error %v and AfterCreate %d times, want 1", err, announced)
	}
}

func wrappedStoreRollsBackAll(t *testing.T, h *host) {
	for name, wrap := range wrappings {
		tx := h.begin(t)
		_, err := h.svc.InTx(wrap(h.Store.WithTx(tx))).Create(t.Context(), "demo", params("ada"))
		if err := errors.Join(err, tx.Rollback()); err != nil {
			t.Errorf("%s: got %v, want nil", name, err)
		}
		h.wantRows(t, 0)
	}
}

func onCreateFailureUndoesItsPart(t *testing.T, h *host) {
	veto := errors.New("veto")
	vetoed := h.withHooks(t, users.Options{OnCreate: func(ctx context.Context, _ users.CreateEvent) error {
		tx, ok := sqlstore.TxFrom(ctx)
		if !ok {
			t.Error("TxFrom inside OnCreate: got none")
			return nil
		}
		return errors.Join(h.addRow(tx), veto)
	}})
	if _, err := vetoed.Create(t.Context(), "demo", params("eve")); !errors.Is(err, veto) {
		t.Fatalf("got %v, want OnCreate's error", err)
	}

	tx := h.begin(t)
	if err := h.createIn(t, vetoed, tx, params("eve")); !errors.Is(err, veto) {
		t.Fatalf("in the host's transaction: got %v, want OnCreate's error", err)
	}
	if err := errors.Join(h.createIn(t, h.svc, tx, params("ada")), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	h.wantRows(t, 1)
	h.wantOwnRows(t, 0)
}

func onCreateUsesTheStoreInItsTransaction(t *testing.T, h *host) {
	app, err := h.svc.Application(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	svc := h.withHooks(t, users.Options{OnCreate: func(ctx context.Context, e users.CreateEvent) error {
		tx, _ := sqlstore.TxFrom(ctx)
		in := h.Store.WithTx(tx)
		role := users.RoleRecord{Role: users.Role{ID: "of-" + e.User.ID, Name: e.User.UserName}, NameKey: e.User.UserName}
		if err := in.CreateRole(ctx, app.ID, role); err != nil {
			return err
		}
		made = append(made, role.ID)

		// A conflict inside undoes no more than itself.
		if err := in.CreateRole(ctx, app.ID, role); !errors.Is(err, users.ErrConflict) {
			t.Errorf("CreateRole twice inside OnCreate: got %v, want a conflict", err)
		}
		return nil
	}})
	if _, err := svc.Create(t.Context(), "demo", params("ada")); err != nil {
		t.Errorf("Create: got %v, want nil", err)
	}

	tx := h.begin(t)
	if err := h.createIn(t, svc, tx, params("bob")); err != nil {
		t.Errorf("Create in the host's transaction: got %v, want nil", err)
	}
	if err := errors.Join(h.addRow(tx), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	h.wantRows(t, 2)
	if got := h.count(t, "roles"); got != 2+2 || len(made) != 2 {
		t.Errorf("roles: got %d, made %q, want the 2 of the application and 1 of each user", got, made)
	}
}

func noConnectionIsHeldWhileHashing(t *testing.T, h *host) {
	hashed := 0
	svc, err := users.New(h.Store, &users.Options{Hasher: hasher{password.InsecureForTests(), func() {
		hashed++
		if got := h.DB.Stats().InUse; got != 0 {
			t.Errorf("connections in use while hashing: got %d, want 0", got)
		}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Create(t.Context(), "demo", params("ada")); err != nil {
		t.Fatal(err)
	}

	prepared, err := svc.Prepare(t.Context(), "demo", params("bob"))
	if err != nil {
		t.Fatal(err)
	}
	tx := h.begin(t)
	_, err = svc.InTx(h.Store.WithTx(tx)).CreatePrepared(t.Context(), prepared)
	if err := errors.Join(err, tx.Commit()); err != nil {
		t.Fatal(err)
	}
	if hashed != 2 {
		t.Errorf("hashed: got %d times, want 2", hashed)
	}
	h.wantRows(t, 2)
}
