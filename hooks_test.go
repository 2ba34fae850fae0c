package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
)

var errHost = errors.New("the host says no")

func TestBeforeCreateAmends(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{BeforeCreate: func(ctx context.Context, app users.Application, p *users.CreateUserParams) error {
		if c, _ := users.CallerFrom(ctx); app.APIKey != apiKey || c.ID != "admin" {
			t.Errorf("the hook got application %q and caller %q", app.APIKey, c.ID)
		}
		p.Name = "amended"
		p.Roles[0].Name = "editor"
		p.DashboardSettings[2] = 'b'
		*p.IsApproved, *p.IsLockedOut = false, true
		return nil
	}})
	addRole(t, svc, "editor")
	p := params("alice")
	p.Roles = []users.RoleRef{{Name: "nonsense"}}
	p.DashboardSettings = json.RawMessage(`{"a":1}`)
	p.IsApproved, p.IsLockedOut = ptr(true), ptr(false)
	u, err := svc.Create(as(t.Context(), admin), apiKey, p)
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "amended" || len(u.Roles) != 1 || u.Roles[0].Name != "editor" || string(u.DashboardSettings) != `{"b":1}` || u.IsApproved || !u.IsLockedOut {
		t.Errorf("got %+v, want what the hook made of it", u)
	}
	if p.Name != "" || p.Roles[0].Name != "nonsense" || string(p.DashboardSettings) != `{"a":1}` || !*p.IsApproved || *p.IsLockedOut {
		t.Errorf("the hook changed the caller's own values: %+v", p)
	}
}

// What a hook sets is judged like what the caller sent.
func TestBeforeCreateGivesNoPrivileges(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
		p.AllowDashboardAccess = true
		return nil
	}})
	_, err := svc.Create(as(t.Context(), limited), apiKey, params("alice"))
	var forbidden *users.ForbiddenError
	if !errors.As(err, &forbidden) || !slices.Equal(forbidden.Members, []string{"allowDashboardAccess"}) {
		t.Errorf("got %v, want allowDashboardAccess forbidden", err)
	}
}

func TestBeforeCreateVetoes(t *testing.T) {
	t.Parallel()
	store, h, ran := memstore.New(), newHasher(), 0
	svc := newServiceOn(t, store, users.Options{Hasher: h, BeforeCreate: func(context.Context, users.Application, *users.CreateUserParams) error {
		ran++
		return errHost
	}})
	_, err := svc.Create(t.Context(), apiKey, params("alice"))
	if !errors.Is(err, errHost) {
		t.Errorf("got %v, want the hook's error", err)
	}
	if err := svc.CheckCreate(t.Context(), apiKey, params("alice")); !errors.Is(err, errHost) {
		t.Errorf("CheckCreate: got %v, want the hook's error", err)
	}
	equal(t, "users", count(t, store, "alice"), 0)
	equal(t, "hashes", h.made.Load(), 0)
	_, err = svc.Create(as(t.Context(), users.Caller{ID: "x", APIKey: apiKey}), apiKey, params("alice"))
	equal(t, "who may not create", class(err), "forbidden")
	equal(t, "runs of the hook: not before authorization", ran, 2)
}

func TestOnCreateErrorUndoesEverything(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"error", "panic"} {
		store, after := memstore.New(), 0
		fail := true
		svc := newServiceOn(t, store, users.Options{
			OnCreate: func(_ context.Context, e users.CreateEvent) error {
				u := e.User
				if u.UserName != "alice" || u.ID == "" || len(u.Roles) != 1 {
					t.Errorf("OnCreate got %+v", u)
				}
				u.Roles[0].Name = "x" // a copy
				if !fail {
					return nil
				}
				if how == "panic" {
					panic(errHost)
				}
				return errHost
			},
			AfterCreate: func(context.Context, users.CreateEvent) { after++ },
		})
		addRole(t, svc, "editor")
		p := keyed("alice", "k")
		p.SendEmailNotification, p.Roles = true, []users.RoleRef{{Name: "editor"}}
		err := recovered(func() error { _, err := svc.Create(t.Context(), apiKey, p); return err })
		if !errors.Is(err, errHost) {
			t.Errorf("%s: got %v, want the hook's error", how, err)
		}
		equal(t, "users", count(t, store, "alice"), 0)
		waiting, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{})
		if err != nil || len(waiting.Notifications) != 0 {
			t.Errorf("%s: notifications %v, %v, want none", how, waiting, err)
		}
		equal(t, "AfterCreate", after, 0)
		fail = false
		u, err := svc.Create(t.Context(), apiKey, p) // neither the name nor the key was used up
		if err != nil {
			t.Fatalf("%s: afterwards: %v", how, err)
		}
		equal(t, "role", u.Roles[0].Name, "editor")
		equal(t, "AfterCreate", after, 1)
	}
}

// recovered runs f and returns its error, or the one that it panics with.
func recovered(f func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = r
		default:
			panic(r)
		}
	}()
	return f()
}

func TestAfterCreateRunsOnceWhenTheUserIsDurable(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	var svc *users.Service
	var seen []string
	svc = newServiceOn(t, store, users.Options{AfterCreate: func(ctx context.Context, e users.CreateEvent) {
		u := e.User
		if _, err := svc.User(ctx, apiKey, u.ID); err != nil {
			t.Errorf("the user is not there yet: %v", err)
		}
		seen = append(seen, u.UserName)
		u.DashboardSettings[0] = 'X' // a copy
	}})
	p := keyed("alice", "k")
	p.DashboardSettings = json.RawMessage(`{}`)
	for range 3 { // one and two repeats
		u, err := svc.Create(t.Context(), apiKey, p)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "settings", string(u.DashboardSettings), "{}")
	}
	p.IdempotencyKey = ""
	if _, err := svc.Create(t.Context(), apiKey, p); err == nil {
		t.Fatal("no conflict")
	}
	inTx := p
	inTx.UserName, inTx.Email = "bob", "bob@example.com"
	if _, err := svc.InTx(store).Create(t.Context(), apiKey, inTx); err != nil {
		t.Fatal(err)
	}
	equal(t, "AfterCreate ran for", seen, []string{"alice"})
}

func TestValidateDashboardSettingsNamesTheMembersInside(t *testing.T) {
	t.Parallel()
	ran := 0
	svc := newService(t, users.Options{ValidateDashboardSettings: func(_ context.Context, app users.Application, raw json.RawMessage) error {
		ran++
		if app.APIKey != apiKey {
			t.Errorf("got the application %q", app.APIKey)
		}
		defer func() { clear(raw) }() // a copy
		switch string(raw) {
		case `{"theme":"dark"}`:
			return nil
		case `{"n":0}`:
			return &users.ValidationError{} // names nothing, refuses all the same
		case `{"broken":1}`:
			return errHost
		}
		return &users.ValidationError{Fields: []users.FieldError{
			{Pointer: "/theme", Code: "unknown_theme", Detail: "no such theme"},
			{Pointer: "", Code: "bad", Detail: "is bad"},
		}}
	}})
	for raw, want := range map[string][]string{
		`{"theme":"dark"}`: nil,
		`{"theme":"x"}`:    {"/userName required", "/dashboardSettings/theme unknown_theme", "/dashboardSettings bad"},
		`{"n":0}`:          {"/userName required", "/dashboardSettings invalid"},
	} {
		p := params("alice")
		p.DashboardSettings = json.RawMessage(raw)
		if want != nil {
			p.UserName = ""
		}
		err := svc.CheckCreate(as(t.Context(), admin), apiKey, p)
		equal(t, "the caller's own settings", string(p.DashboardSettings), raw)
		if want == nil {
			equal(t, raw, err, nil)
			continue
		}
		equal(t, raw, findings(t, err), want)
	}
	p := params("alice")
	p.DashboardSettings = json.RawMessage(`{"broken":1}`)
	if err := svc.CheckCreate(t.Context(), apiKey, p); !errors.Is(err, errHost) || errors.Is(err, users.ErrValidation) {
		t.Errorf("got %v, want the hook's own error", err)
	}
	// Host code gets only what could be stored.
	before := ran
	for raw, ctx := range map[string]context.Context{
		`[]`: t.Context(), `{"a":1`: t.Context(), `null`: t.Context(), `{"theme":"x"}`: as(t.Context(), limited),
	} {
		p.DashboardSettings = json.RawMessage(raw)
		_ = svc.CheckCreate(ctx, apiKey, p)
	}
	equal(t, "runs for settings that can't be stored", ran-before, 0)
}

// {} asks for nothing and needs no permission: so it is nothing, for nobody
// judged it.
func TestEmptySettingsAreKeptOnlyForWhoMaySetThem(t *testing.T) {
	t.Parallel()
	var judged []string
	svc := newService(t, users.Options{ValidateDashboardSettings: func(_ context.Context, _ users.Application, raw json.RawMessage) error {
		judged = append(judged, string(raw))
		return nil
	}})
	for name, c := range map[string]struct {
		caller      users.Caller
		given, kept string
	}{
		"limited":       {limited, `{}`, ``},
		"limited-blank": {limited, " {\n\t} ", ``},
		"admin":         {admin, `{}`, `{}`},
		"admin-blank":   {admin, " {\n\t} ", " {\n\t} "},
	} {
		judged = nil
		p := params(name)
		p.DashboardSettings = json.RawMessage(c.given)
		if _, err := svc.Create(as(t.Context(), c.caller), apiKey, p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		u, err := svc.User(t.Context(), apiKey, name)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name+": settings that are kept", string(u.DashboardSettings), c.kept)
		equal(t, name+": settings that are judged", strings.Join(judged, ","), c.kept)
	}
}

// One table of the host's and two applications: a hook needs to know both.
func TestHooksLearnTheApplicationAndWhatElseWasAsked(t *testing.T) {
	t.Parallel()
	var seen []string
	learn := func(hook string, e users.CreateEvent) {
		seen = append(seen, fmt.Sprintf("%s %s %s %s", hook, e.Application.APIKey, e.User.UserName, e.Extra["company"]))
		e.Extra["company"][0] = 'X' // a copy
		delete(e.Extra, "company")
	}
	svc := newService(t, users.Options{
		BeforeCreate: func(_ context.Context, app users.Application, p *users.CreateUserParams) error {
			learn("BeforeCreate", users.CreateEvent{Application: app, User: users.User{UserName: p.UserName}, Extra: maps.Clone(p.Extra)})
			p.Extra = map[string]json.RawMessage{"company": json.RawMessage(`"amended"`)}
			return nil
		},
		OnCreate:    func(_ context.Context, e users.CreateEvent) error { learn("OnCreate", e); return nil },
		AfterCreate: func(_ context.Context, e users.CreateEvent) { learn("AfterCreate", e) },
	})
	addApplication(t, svc, users.Application{APIKey: "other"})
	p := params("alice")
	p.Extra = map[string]json.RawMessage{"company": json.RawMessage(`"asked"`)}
	if _, err := svc.Create(t.Context(), "other", p); err != nil {
		t.Fatal(err)
	}
	equal(t, "the hooks", seen, []string{
		`BeforeCreate other alice "asked"`, `OnCreate other alice "amended"`, `AfterCreate other alice "amended"`,
	})
	equal(t, "the caller's own", string(p.Extra["company"]), `"asked"`)
}

// Whatever class a hook's error has, it is known for a hook's.
func TestErrorsOfHooksAreMarked(t *testing.T) {
	t.Parallel()
	p := params("alice")
	p.DashboardSettings = json.RawMessage(`{}`)
	for _, fail := range []error{errHost, users.ErrNotFound, &users.TooManyRequestsError{RetryAfter: time.Second}, &users.ForbiddenError{Detail: "no new users on Sundays"}, &users.ConflictError{}} {
		for hook, o := range map[string]users.Options{
			"BeforeCreate":              {BeforeCreate: func(context.Context, users.Application, *users.CreateUserParams) error { return fail }},
			"OnCreate":                  {OnCreate: func(context.Context, users.CreateEvent) error { return fail }},
			"ValidateDashboardSettings": {ValidateDashboardSettings: func(context.Context, users.Application, json.RawMessage) error { return fail }},
		} {
			_, err := newService(t, o).Create(t.Context(), apiKey, p)
			var marked *users.HookError
			if !errors.As(err, &marked) || marked.Hook != hook || !errors.Is(err, fail) || errors.Unwrap(marked) != fail {
				t.Errorf("%s fails with %v: got %v, want a *HookError with it", hook, fail, err)
			}
		}
	}
	equal(t, "the time", (&users.TooManyRequestsError{RetryAfter: time.Second}).Error(), "users: too many requests: retry in 1s")
	equal(t, "the sentence", (&users.ForbiddenError{Detail: "no new users on Sundays"}).Error(), "users: forbidden: no new users on Sundays")
}
