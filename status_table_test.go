package users_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// statusTable reads the table of the package comment: what each operation does in each
// state of a user.
func statusTable(t *testing.T) (table map[string]map[string]string) {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "password; a wrong one is ErrBadCredentials, whoever is locked out.\n//\n")
	body, _, ok2 := strings.Cut(rest, "//\n")
	if !ok || !ok2 {
		t.Fatal("doc.go has no table")
	}
	wide := regexp.MustCompile(` {2,}`)
	var states []string
	table = make(map[string]map[string]string)
	for line := range strings.Lines(body) {
		cells := wide.Split(strings.TrimSpace(strings.TrimPrefix(line, "//\t")), -1)
		if states == nil {
			states = cells
			continue
		}
		if len(cells) != len(states)+1 {
			t.Fatalf("%q has %d cells", line, len(cells))
		}
		row := make(map[string]string)
		for i, state := range states {
			row[state] = cells[i+1]
		}
		table[cells[0]] = row
	}
	return table
}

// subject is a user in some state.
type subject struct {
	svc   *users.Service
	u     *users.User
	token password.Secret // a set-password token of the user, where one is needed
}

const lastLock = 100 * time.Hour

// enter puts the user into the state.
func (w *subject) enter(t *testing.T, state string) {
	t.Helper()
	status := func(st users.Status) error {
		_, err := w.svc.SetStatus(t.Context(), apiKey, w.u.ID, st)
		return err
	}
	var err error
	switch state {
	case "not approved":
		err = status(users.Status{IsApproved: ptr(false)})
	case "locked out":
		err = status(users.Status{IsLockedOut: ptr(true)})
	case "a lock":
		for range 2 {
			equal(t, "a failure", signIn(t.Context(), w.svc, "ann", newSecret), "bad credentials")
		}
	case "no password":
		err = w.svc.DeleteUser(t.Context(), apiKey, w.u.ID, 0)
		w.u = invite(t, w.svc, "ann")
		if !w.token.IsZero() {
			w.token = mailedToken(t, w.svc, w.u)
		}
	case "disabled":
		_, err = w.svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Disabled: ptr(true)})
	default:
		t.Fatalf("there is no state %q", state)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// do runs the operation and says what came of it in the words of the table.
func (w *subject) do(t *testing.T, operation string) string {
	t.Helper()
	ctx := t.Context()
	pending := func() int {
		box := boxOf(t, w.svc).(users.OutboxStore)
		rows, err := box.Claim(ctx, users.Claim{Worker: "w", Lease: time.Minute, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	own := as(ctx, users.Caller{ID: "s", APIKey: apiKey, UserID: w.u.ID})
	change := func(ctx context.Context) error {
		return w.svc.ChangePassword(ctx, apiKey, w.u.ID, users.ChangePasswordParams{
			OldPassword: password.New(secret), NewPassword: password.New(newSecret),
		})
	}

	works := "works"
	var err error
	switch operation {
	case "Authenticate":
		_, err = w.svc.Authenticate(ctx, apiKey, "ann", password.New(secret))
	case "ChangePassword, own":
		err = change(own)
	case "ChangePassword":
		err = change(ctx)
	case "RecoverPassword":
		if err = w.svc.RecoverPassword(ctx, apiKey, "ann"); err == nil && pending() == 0 {
			works = "sends nothing"
		}
	case "SetPassword":
		err = w.svc.SetPassword(ctx, apiKey, w.token, password.New(newSecret))
	case "messages":
		works = "are sent"
		if _, err := w.svc.PrepareNotification(ctx, users.NotificationRecord{
			ID: unknownID, ApplicationID: w.app(t), UserID: w.u.ID, Kind: users.KindAccountCreated, State: users.StatePending,
		}); class(err) == "forbidden" {
			works = "wait" // package outbox tests that
		} else if err != nil {
			return err.Error()
		}
	case "UpdateUser":
		_, err = w.svc.UpdateUser(ctx, apiKey, w.u.ID, users.UserChange{Name: ptr("Ann")})
	case "all others":
		works = "work"
		for i, do := range []func() error{
			func() error { _, err := w.svc.User(ctx, apiKey, w.u.ID); return err },
			func() error { _, err := w.svc.FindUsers(ctx, apiKey, users.FindUsersParams{Page: 1}); return err },
			func() error { _, err := w.svc.Exists(ctx, apiKey, w.u.ID); return err },
			func() error {
				_, err := w.svc.SetStatus(ctx, apiKey, w.u.ID, users.Status{IsApproved: ptr(w.u.IsApproved)})
				return err
			},
			func() error { _, err := w.svc.IssueSetPasswordToken(ctx, apiKey, w.u.ID); return err },
			func() error { return w.svc.DeleteUser(ctx, apiKey, w.u.ID, 0) },
		} {
			switch failed := do(); {
			case class(failed) == class(err) || i == 0:
				err = failed
			default:
				t.Errorf("of the others some return %v, some %v", err, failed)
			}
		}
	default:
		t.Fatalf("there is no operation %q", operation)
	}
	for _, e := range []struct {
		err  string
		word string
	}{
		{"not approved", "ErrNotApproved"}, {"locked out", "ErrLockedOut"}, {"bad credentials", "ErrBadCredentials"},
		{"forbidden", "ErrForbidden"}, {"bad token", "ErrBadToken"},
	} {
		if class(err) == e.err {
			return e.word
		}
	}
	if err != nil {
		return err.Error()
	}
	return works
}

func (w *subject) app(t *testing.T) string {
	t.Helper()
	app, err := w.svc.Application(t.Context(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	return app.ID
}

// Each cell of the table in the package comment is what happens, and nothing but what it
// says ends a state.
func TestStatusMeansWhatTheTableSays(t *testing.T) {
	t.Parallel()
	table := statusTable(t)
	if len(table) != 8 {
		t.Errorf("the table has %d rows", len(table))
	}
	for operation, row := range table {
		for state, want := range row {
			t.Run(operation+"/"+state, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := memstore.New()
					svc := newServiceOn(t, store, users.Options{Now: time.Now, Lockout: users.Lockout{Free: 2, First: lastLock, Max: lastLock}})
					w := &subject{svc: svc, u: addUser(t, t.Context(), svc, "ann")}
					if operation == "SetPassword" { // who has got one does not get the next at once
						w.token = mailedToken(t, svc, w.u)
					}
					w.enter(t, state)
					want, ends := strings.CutSuffix(want, ", ends it")
					before := record(t, w)
					equal(t, "it", w.do(t, operation), want)
					if operation == "all others" {
						return // the user is deleted
					}
					after := record(t, w)
					equal(t, "IsApproved, IsLockedOut", [2]bool{after.IsApproved, after.IsLockedOut}, [2]bool{before.IsApproved, before.IsLockedOut})
					locked := after.Login.LockedUntil.After(time.Now())
					equal(t, "a lock", locked, state == "a lock" && !ends)
					equal(t, "no password", after.Hash.IsZero(), state == "no password" && !ends)
				})
			})
		}
	}
}

// record returns the user as it is stored.
func record(t *testing.T, w *subject) users.UserRecord {
	t.Helper()
	found, err := boxOf(t, w.svc).FindUsers(t.Context(), users.UserQuery{ApplicationID: w.app(t), IDs: []string{w.u.ID}})
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v, want one user", found, err)
	}
	return found[0]
}
