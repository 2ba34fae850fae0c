package users_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

var errStore = errors.New("the store broke")

// The faults of the matrix. They happen before the call reaches the store or
// after it took effect.
var faults = map[string]func(cancel context.CancelFunc) error{
	"error":       func(context.CancelFunc) error { return errStore },
	"unavailable": func(context.CancelFunc) error { return fmt.Errorf("%w: %w", users.ErrUnavailable, errStore) },
	"panic":       func(context.CancelFunc) error { panic(errStore) },
	"cancel":      func(cancel context.CancelFunc) error { cancel(); return context.Canceled },
	"late cancel": func(cancel context.CancelFunc) error { cancel(); return nil }, // the call succeeds, ctx is done
}

// Whatever call of the store fails, and however: the error says so, is of none
// of the classes that promise more than is known, the gate is free, and a
// repeat with the same key finds or makes exactly one user.
func TestCreateEndsAsPromisedWhateverTheStoreDoes(t *testing.T) {
	t.Parallel()
	for _, method := range []storefake.Method{
		storefake.FindApplication, storefake.FindIdempotencyRecord, storefake.FindRoles, storefake.FindUsers, storefake.CreateUser,
	} {
		for name, fault := range faults {
			for _, when := range []string{"before", "after"} {
				t.Run(string(method)+"/"+name+" "+when, func(t *testing.T) {
					t.Parallel()
					store, h := memstore.New(), newHasher()
					gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1})
					if err != nil {
						t.Fatal(err)
					}
					after := 0
					sound := newServiceOn(t, store, users.Options{Hasher: h, Gate: gate, AfterCreate: func(context.Context, users.CreateEvent) { after++ }})
					addRole(t, sound, "editor")
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					broken := sound.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
						if m != method {
							return do()
						}
						if when == "before" {
							if err := fault(cancel); err != nil {
								return err
							}
							return do()
						}
						if err := do(); err != nil && !errors.Is(err, users.ErrNotFound) {
							t.Errorf("the store itself failed: %v", err)
						}
						if err := fault(cancel); err != nil {
							return err
						}
						if method == storefake.FindIdempotencyRecord {
							return users.ErrNotFound
						}
						return nil
					}))
					p := keyed("alice", "k")
					p.Roles, p.SendEmailNotification = []users.RoleRef{{Name: "editor"}}, true

					err = recovered(func() error { _, err := broken.Create(ctx, apiKey, p); return err })

					written := method == storefake.CreateUser && when == "after"
					switch {
					case name == "late cancel" && written:
						if err != nil { // it is durable, so it is said
							t.Errorf("got %v, want success", err)
						}
					case name == "cancel" || name == "late cancel":
						if !errors.Is(err, context.Canceled) {
							t.Errorf("got %v, want the context's error", err)
						}
					default:
						if !errors.Is(err, errStore) {
							t.Errorf("got %v, want the store's error", err)
						}
						if name == "unavailable" && !errors.Is(err, users.ErrUnavailable) {
							t.Errorf("got %v, want ErrUnavailable", err)
						}
					}
					for _, promise := range []error{
						users.ErrValidation, users.ErrForbidden, users.ErrConflict, users.ErrOverloaded, users.ErrUnknownApplication,
						users.ErrUnauthenticated, users.ErrIdempotencyMismatch, users.ErrNotFound,
					} {
						if errors.Is(err, promise) {
							t.Errorf("%v is taken for %v", err, promise)
						}
					}
					n := count(t, store, "alice")
					if want := map[bool]int{true: 1, false: 0}[written]; n != want {
						t.Errorf("%d users were written, want %d", n, want)
					}
					if wantAfter := map[bool]int{true: 1}[err == nil]; after != wantAfter {
						t.Errorf("AfterCreate ran %d times, want %d", after, wantAfter)
					}
					if _, busy := sound.Overloaded(apiKey); busy || h.now.Load() != 0 {
						t.Error("the gate is not free")
					}

					u, err := sound.Create(t.Context(), apiKey, p)
					if err != nil {
						t.Fatalf("the repeat got %v", err)
					}
					if n := count(t, store, "alice"); n != 1 || len(u.Roles) != 1 {
						t.Errorf("after the repeat: %d users, roles %v", n, u.Roles)
					}
					waiting, err := sound.Notifications(t.Context(), apiKey, users.NotificationQuery{})
					if err != nil || len(waiting.Notifications) != 1 || waiting.Notifications[0].UserID != u.ID {
						t.Errorf("after the repeat: notifications %v, %v, want one", waiting, err)
					}
				})
			}
		}
	}
}

// The look for a racing twin can fail as well: then that is the answer, not the
// conflict, which may be the twin's work.
func TestFailedLookForATwinIsTheAnswer(t *testing.T) {
	t.Parallel()
	for _, conflict := range []error{&users.ConflictError{Members: []string{"userName"}}, users.ErrIdempotencyKeyUsed} {
		store, looks := memstore.New(), 0
		svc := newServiceOn(t, store, users.Options{}).WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
			switch m {
			case storefake.CreateUser:
				return conflict
			case storefake.FindIdempotencyRecord:
				if looks++; looks == 2 {
					return errStore
				}
			}
			return do()
		}))
		_, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
		if !errors.Is(err, errStore) {
			t.Errorf("got %v, want the store's error", err)
		}
		// Without a twin the conflict is the answer.
		_, err = svc.Create(t.Context(), apiKey, keyed("alice", "k"))
		if !errors.Is(err, conflict) {
			t.Errorf("got %v, want %v", err, conflict)
		}
	}
}

func TestOtherOperationsPassTheStoresErrorOn(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	sound := newServiceOn(t, store, users.Options{})
	role, user := addRole(t, sound, "editor"), addUser(t, t.Context(), sound, "alice")
	other := addUser(t, t.Context(), sound, "bob")
	ctx := t.Context()
	find := []storefake.Method{storefake.FindApplication, storefake.FindUsers}
	n := 0
	next := func() *string { n++; return ptr(fmt.Sprint("new", n)) }
	for _, c := range []struct {
		op    string
		calls []storefake.Method
		do    func(svc *users.Service) error
	}{
		{"CreateApplication", []storefake.Method{storefake.CreateApplication}, func(svc *users.Service) error {
			return ignore(svc.CreateApplication(ctx, users.Application{}))
		}},
		{"Application", []storefake.Method{storefake.FindApplication}, func(svc *users.Service) error { return ignore(svc.Application(ctx, apiKey)) }},
		{"CreateRole", []storefake.Method{storefake.FindApplication, storefake.CreateRole}, func(svc *users.Service) error {
			return ignore(svc.CreateRole(ctx, apiKey, users.Role{Name: "new"}))
		}},
		{"Role", []storefake.Method{storefake.FindApplication, storefake.FindRoles}, func(svc *users.Service) error {
			return ignore(svc.Role(ctx, apiKey, users.RoleRef{ID: role.ID}))
		}},
		{"Roles", []storefake.Method{storefake.FindApplication, storefake.ListRoles}, func(svc *users.Service) error { return ignore(svc.Roles(ctx, apiKey, users.Page{})) }},
		{"User", []storefake.Method{storefake.FindApplication, storefake.FindUsers}, func(svc *users.Service) error { return ignore(svc.User(ctx, apiKey, user.ID)) }},
		{"SetStatus", []storefake.Method{storefake.FindApplication, storefake.FindUsers, storefake.SetUserStatus}, func(svc *users.Service) error {
			now := get(t, sound, user.ID)
			return ignore(svc.SetStatus(ctx, apiKey, user.ID, users.Status{IsLockedOut: ptr(!now.IsLockedOut)}))
		}},
		{"Exists", find, func(svc *users.Service) error { return ignore(svc.Exists(ctx, apiKey, "alice")) }},
		{"FindUsers", []storefake.Method{storefake.FindApplication, storefake.FindRoles, storefake.ListUsers}, func(svc *users.Service) error {
			return ignore(svc.FindUsers(ctx, apiKey, users.FindUsersParams{UserFilter: users.UserFilter{Roles: roleRefs("editor")}}))
		}},
		{"UpdateUser", []storefake.Method{storefake.FindApplication, storefake.FindUsers, storefake.FindRoles, storefake.EditUser}, func(svc *users.Service) error {
			now := get(t, sound, user.ID)
			roles := roleRefs("editor")[:1-len(now.Roles)]
			if len(roles) == 0 { // so that they are looked up
				roles = append(roles, users.RoleRef{ID: addRole(t, sound, *next()).ID})
			}
			return ignore(svc.UpdateUser(ctx, apiKey, user.ID, users.UserChange{Name: next(), Roles: &roles}))
		}},
		{"ChangePassword", append(slices.Clone(find), storefake.EditUser), func(svc *users.Service) error {
			return svc.ChangePassword(ctx, apiKey, user.ID, users.ChangePasswordParams{NewPassword: password.New(secret)})
		}},
		{"ChangePassword/own", append(slices.Clone(find), storefake.BeginLogin, storefake.EndLogin, storefake.EditUser), func(svc *users.Service) error {
			own := as(ctx, users.Caller{APIKey: apiKey, UserID: other.ID})
			return svc.ChangePassword(own, apiKey, other.ID, users.ChangePasswordParams{NewPassword: password.New(secret), OldPassword: password.New(secret)})
		}},
		{"Authenticate", append(slices.Clone(find), storefake.BeginLogin, storefake.EndLogin), func(svc *users.Service) error {
			err := ignore(svc.Authenticate(ctx, apiKey, "alice", password.New(secret)))
			if errors.Is(err, users.ErrLockedOut) { // by SetStatus above, or not
				err = nil
			}
			return err
		}},
		{"DeleteUser", append(slices.Clone(find), storefake.DeleteUser), func(svc *users.Service) error {
			return svc.DeleteUser(ctx, apiKey, addUser(t, ctx, sound, *next()).ID, 0)
		}},
		{"UpdateRole", []storefake.Method{storefake.FindApplication, storefake.FindRoles, storefake.UpdateRole}, func(svc *users.Service) error {
			return ignore(svc.UpdateRole(ctx, apiKey, role.ID, users.RoleChange{Description: next()}))
		}},
		{"DeleteRole", []storefake.Method{storefake.FindApplication, storefake.DeleteRole}, func(svc *users.Service) error {
			return svc.DeleteRole(ctx, apiKey, addRole(t, sound, *next()).ID)
		}},
		{"Applications", []storefake.Method{storefake.ListApplications}, func(svc *users.Service) error { return ignore(svc.Applications(ctx, users.Page{})) }},
		{"UpdateApplication", []storefake.Method{storefake.FindApplication, storefake.UpdateApplication}, func(svc *users.Service) error {
			return ignore(svc.UpdateApplication(ctx, apiKey, users.ApplicationChange{Name: next()}))
		}},
		{"CheckCreate", []storefake.Method{storefake.FindApplication, storefake.FindRoles}, func(svc *users.Service) error {
			p := params("new")
			p.Roles = []users.RoleRef{{ID: role.ID}}
			return svc.CheckCreate(ctx, apiKey, p)
		}},
		{"Purge", []storefake.Method{storefake.Purge}, func(svc *users.Service) error { return ignore(svc.Purge(ctx, 1)) }},
		{"repeated key", []storefake.Method{storefake.FindApplication, storefake.FindIdempotencyRecord, storefake.FindUsers}, func(svc *users.Service) error {
			p := keyed("repeated", "k")
			if err := ignore(sound.Create(ctx, apiKey, p)); err != nil {
				t.Fatal(err)
			}
			return ignore(svc.Create(ctx, apiKey, p))
		}},
	} {
		var seen log
		equal(t, c.op, c.do(sound.WithStore(seen.on(store))), nil)
		calls, _ := seen.take()
		equal(t, c.op+": calls", calls, c.calls)
		for _, broken := range calls {
			err := c.do(sound.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
				if m == broken {
					return errStore
				}
				return do()
			})))
			if !errors.Is(err, errStore) || class(err) != err.Error() {
				t.Errorf("%s, %s fails: got %v, want the store's error and no class", c.op, broken, err)
			}
		}
	}
}

func TestIdsThatCannotBeMadeEndTheOperation(t *testing.T) {
	t.Parallel()
	good := ids()
	for name, bad := range map[string]func() (string, error){
		"error": func() (string, error) { return "", errStore },
		"text":  func() (string, error) { return "alice", nil },
		"empty": func() (string, error) { return "", nil },
		"zero":  func() (string, error) { return "00000000-0000-0000-0000-000000000000", nil },
	} {
		for at := range 4 { // application, role, user, notification
			n := 0
			store := memstore.New()
			svc, err := users.New(store, &users.Options{Hasher: password.InsecureForTests(), NewID: func() (string, error) {
				if n++; n == at+1 {
					return bad()
				}
				return good()
			}})
			if err != nil {
				t.Fatal(err)
			}
			errs := []error{ignore(svc.CreateApplication(t.Context(), users.Application{APIKey: apiKey}))}
			if at > 0 {
				errs = append(errs, ignore(svc.CreateRole(t.Context(), apiKey, users.Role{Name: "editor"})))
				if at > 1 {
					p := params("alice")
					p.SendEmailNotification = true
					errs = append(errs, ignore(svc.Create(t.Context(), apiKey, p)))
					equal(t, "users", count(t, store, "alice"), 0)
				}
			}
			err = errs[len(errs)-1]
			if err == nil || class(err) != err.Error() || name == "error" && !errors.Is(err, errStore) {
				t.Errorf("%s, id %d: got %v, want an error of no class", name, at, err)
			}
		}
	}
}

func TestFailingHasherIsAnErrorWithoutClass(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{Hasher: brokenHasher{password.InsecureForTests(), panics}})
		err := recovered(func() error { return ignore(svc.Create(t.Context(), apiKey, params("alice"))) })
		if !errors.Is(err, errStore) {
			t.Errorf("got %v, want the hasher's error", err)
		}
		err = recovered(func() error { return ignore(svc.Prepare(t.Context(), apiKey, params("alice"))) })
		if !errors.Is(err, errStore) {
			t.Errorf("Prepare: got %v, want the hasher's error", err)
		}
		equal(t, "users", count(t, store, "alice"), 0)
		if wait, busy := svc.Overloaded(apiKey); busy {
			t.Errorf("the gate is busy for %v", wait)
		}
	}
}

type brokenHasher struct {
	password.Hasher
	panics bool
}

func (h brokenHasher) Hash([]byte) (password.Hash, error) {
	if h.panics {
		panic(errStore)
	}
	return password.Hash{}, errStore
}
