package users_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// A wrapper around the store, for logging or metrics, takes nothing away.
func TestWrappedStoreKeepsItsCapabilities(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, storefake.Wrapped(storefake.Wrapped(store)), users.Options{})
	u := invite(t, svc, "ann")
	token := issue(t, svc, u.ID)
	if err := svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret)); err != nil {
		t.Errorf("SetPassword: got %v, want none", err)
	}
	if err := svc.RecoverPassword(t.Context(), apiKey, "ann"); err != nil {
		t.Errorf("RecoverPassword: got %v, want none", err)
	}
	if list, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{}); err != nil || len(list.Notifications) != 1 {
		t.Errorf("Notifications: got %v, %v, want one", list, err)
	}
	if box, err := svc.Outbox(); err != nil || box != users.OutboxStore(store) {
		t.Errorf("Outbox: got %v, %v, want the store inside", box, err)
	}
}

// The host says that it is inside its own transaction. No wrapper can lose that.
func TestAfterCreateNeverRunsInsideTheHostsTransaction(t *testing.T) {
	t.Parallel()
	store, after := memstore.New(), 0
	svc := newServiceOn(t, store, users.Options{AfterCreate: func(context.Context, users.CreateEvent) { after++ }})
	for i, inside := range []users.Store{
		store, storefake.Wrapped(store), storefake.Without(store), storefake.Wrapped(storefake.Without(store)),
	} {
		tx := svc.InTx(inside)
		addUser(t, t.Context(), tx, string(rune('a'+i)))
		prepared, err := tx.Prepare(t.Context(), apiKey, params(string(rune('p'+i))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.CreatePrepared(t.Context(), prepared); err != nil {
			t.Fatal(err)
		}
		equal(t, "runs of AfterCreate inside the transaction", after, 0)
	}
	addUser(t, t.Context(), svc.InTx(store).WithStore(store), "zoe") // outside again
	equal(t, "runs of AfterCreate", after, 1)
}

// A store inside a host's transaction refuses a Service that does not know of it.
func TestServiceTellsTheStoreWhoEndsTheTransaction(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	errOutside := errors.New("the Service does not know")
	tx := storefake.Around(store, func(_ context.Context, m storefake.Method, arg any, do func() error) error {
		if m == storefake.CreateUser && !arg.(*users.NewUser).HostTx {
			return errOutside
		}
		return do()
	})
	if _, err := svc.WithStore(tx).Create(t.Context(), apiKey, params("alice")); !errors.Is(err, errOutside) {
		t.Errorf("WithStore: got %v, want the store's refusal", err)
	}
	if _, err := svc.InTx(tx).Create(t.Context(), apiKey, params("alice")); err != nil {
		t.Errorf("InTx: got %v, want none", err)
	}
}

func TestNilStoreIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	for name, call := range map[string]func(users.Store) *users.Service{"WithStore": svc.WithStore, "InTx": svc.InTx} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s(nil) did not panic", name)
				}
			}()
			call(nil)
		}()
	}
}

func TestStoreAsFollowsUnwrapToItsEnd(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	if got, ok := users.StoreAs[*memstore.Store](storefake.Wrapped(store)); !ok || got != store {
		t.Errorf("got %v, %v, want the store inside", got, ok)
	}
	if _, ok := users.StoreAs[interface{ NotThere() }](storefake.Wrapped(store)); ok {
		t.Error("found what is not there")
	}
	if _, ok := users.StoreAs[users.OutboxStore](nil); ok {
		t.Error("found an outbox in nil")
	}
	if _, ok := users.StoreAs[users.OutboxStore](storefake.Wrapped(nil)); ok {
		t.Error("found an outbox in a wrapper of nil")
	}
}

// A store that was written before there were notifications ignores them and
// returns nil. The Service asks for the capability instead, before it hashes.
func TestNotificationIsNotLeftToAStoreWithoutAnOutbox(t *testing.T) {
	t.Parallel()
	h, store := newHasher(), memstore.New()
	svc := newServiceOn(t, struct{ users.Store }{store}, users.Options{Hasher: h})
	p := params("alice")
	p.SendEmailNotification = true
	for name, err := range map[string]error{
		"Create":      ignore(svc.Create(t.Context(), apiKey, p)),
		"CheckCreate": svc.CheckCreate(t.Context(), apiKey, p),
		"Prepare":     ignore(svc.Prepare(t.Context(), apiKey, p)),
	} {
		if !errors.Is(err, users.ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrUnsupported", name, err)
		}
	}
	equal(t, "users", count(t, store, "alice"), 0)
	equal(t, "hashes", h.made.Load(), 0)
}

// A message with a link needs a token. A store without one is asked first, before
// a user comes into being that never gets its link.
func TestLinkIsNotPromisedByAStoreWithoutTokens(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, struct {
		users.Store
		users.OutboxStore
	}{store, store}, users.Options{})
	p := params("alice")
	p.AutoCreatePassword, p.SendEmailNotification = true, true
	p.Password, p.ConfirmPassword = password.Secret{}, password.Secret{}
	for name, err := range map[string]error{
		"Create":          ignore(svc.Create(t.Context(), apiKey, p)),
		"RecoverPassword": svc.RecoverPassword(t.Context(), apiKey, "alice"),
	} {
		if !errors.Is(err, users.ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrUnsupported", name, err)
		}
	}
	equal(t, "users", count(t, store, "alice"), 0)

	told := params("bob") // a plain message needs no token
	told.SendEmailNotification = true
	if _, err := svc.Create(t.Context(), apiKey, told); err != nil {
		t.Errorf("account_created: got %v, want none", err)
	}
}

// readdressing is a store in which every user has another address by now.
type readdressing struct {
	users.Store
	users.TokenStore
}

func (s readdressing) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	found, err := s.Store.FindUsers(ctx, q)
	for i := range found {
		found[i].Email, found[i].EmailKey = "new@example.com", "new@example.com"
	}
	return found, err
}

func TestTokenOfAFormerAddressIsBadBeforeAnythingIsHashed(t *testing.T) {
	t.Parallel()
	h, store := newHasher(), memstore.New()
	svc := newServiceOn(t, store, users.Options{Hasher: h})
	u := invite(t, svc, "ann")
	app, err := svc.Application(t.Context(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := svc.PrepareNotification(t.Context(), users.NotificationRecord{
		ID: u.ID, ApplicationID: app.ID, UserID: u.ID, Kind: users.KindSetPassword,
	})
	if err != nil {
		t.Fatal(err)
	}
	moved := svc.WithStore(readdressing{store, store})
	for _, pw := range []string{newSecret, "short"} {
		if err := moved.SetPassword(t.Context(), apiKey, n.Token, password.New(pw)); err != users.ErrBadToken {
			t.Errorf("%q: got %v, want ErrBadToken", pw, err)
		}
	}
	equal(t, "hashes", h.made.Load(), 0)
	if err := svc.SetPassword(t.Context(), apiKey, n.Token, password.New(newSecret)); err != nil {
		t.Errorf("at the address that it went to: got %v, want none", err)
	}
}
