package suite

import (
	"crypto/sha256"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

// SilentRepeats has a driver call a connection bad after the statement took
// effect: database/sql repeats the statement without a word, or the store does,
// and the store's own row is never taken for somebody else's. A second call with
// the same row is not taken for such a repetition.
func SilentRepeats(t *testing.T, g *Target) {
	g.Share(t)
	t.Run("LostCommits", func(t *testing.T) { lostCommits(t, g) })
	for name, prepared := range map[string]bool{"Plain": false, "Prepared": true} {
		t.Run(name, func(t *testing.T) {
			e := g.Fresh(t)
			o := e.Options
			o.PrepareStatements = prepared
			s := e.New(t, o)
			defer s.Close()
			for range 2 { // with statements that are prepared by now
				repeatedAdditions(t, e, s)
				repeatedChanges(t, e, s)
				repeatedEdits(t, e, s)
				for _, table := range tables {
					e.exec(t, "DELETE FROM "+e.table(table))
				}
			}
		})
	}
}

// lose has the first statement that writes to table take effect on a connection
// that is then called bad.
func (e *Env) lose(table string) {
	lost := false
	e.Switch.Set(&flaky.Hooks{After: func(c flaky.Call) error {
		update := (c.Op == flaky.Exec || c.Op == flaky.Query) && strings.HasPrefix(c.Query, "UPDATE")
		if !lost && (update || writes(c)) && strings.Contains(c.Query, table) {
			lost = true
			return driver.ErrBadConn
		}
		return nil
	}})
}

func repeatedAdditions(t *testing.T, e *Env, s *sqlstore.Store) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, c := range []struct {
		table string
		add   func() error
		again error // the answer to a second call; nil: any error
	}{
		{"applications", func() error {
			return s.CreateApplication(t.Context(), users.Application{ID: "app", APIKey: "app", DateCreated: now})
		}, users.ErrConflict},
		{"roles", func() error {
			return s.CreateRole(t.Context(), "app", users.RoleRecord{Role: users.Role{ID: "r", Name: "r", DateCreated: now}, NameKey: "r"})
		}, users.ErrConflict},
		{"users", func() error { return s.CreateUser(t.Context(), newUser("ada", now)) }, users.ErrConflict},
		{"users", func() error {
			n := withNotifications("eve", users.KindAccountCreated, users.KindSetPassword)
			n.DateCreated = now
			return s.CreateUser(t.Context(), n)
		}, users.ErrConflict},
		{"password_tokens", func() error {
			return s.CreateToken(t.Context(), users.TokenRecord{ApplicationID: "app", UserID: "ada", Sum: sha256.Sum256([]byte("x"))})
		}, nil},
	} {
		there := e.count(t, c.table)
		e.lose(c.table)
		if err := c.add(); err != nil {
			t.Errorf("%s: got %v, want nil", c.table, err)
		}
		e.Switch.Set(nil)
		if got := e.count(t, c.table); got != there+1 {
			t.Errorf("%s: got %d more rows, want 1", c.table, got-there)
		}
		if err := c.add(); err == nil || c.again != nil && !errors.Is(err, c.again) {
			t.Errorf("%s, a second call: got %v, want an error (%v)", c.table, err, c.again)
		}
	}
}

func repeatedChanges(t *testing.T, e *Env, s *sqlstore.Store) {
	const bob = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	now := time.Now().UTC().Truncate(time.Microsecond)
	n := withNotifications(bob, users.KindAccountCreated)
	n.Version = 1
	must(t, s.CreateUser(t.Context(), n))
	id := n.Notifications[0].ID
	claimed, err := s.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Minute, Limit: 10})
	if err != nil || len(claimed) != 3 {
		t.Fatalf("Claim: got %d rows and error %v, want the 2 of eve and 1", len(claimed), err)
	}
	must(t, s.Settle(t.Context(), users.Settlement{ApplicationID: "app", ID: id, Worker: "w", Outcome: users.OutcomeDiscarded}))

	e.lose("notifications")
	if err := s.Retry(t.Context(), "app", id); err != nil {
		t.Errorf("Retry: got %v, want nil", err)
	}
	e.Switch.Set(nil)
	if err := s.Retry(t.Context(), "app", id); !errors.Is(err, users.ErrNotFound) {
		t.Errorf("Retry of what is pending: got %v, want ErrNotFound", err)
	}

	e.lose("notifications")
	r := users.NotificationRecord{ID: "m", ApplicationID: "app", UserID: bob, Kind: users.KindSetPassword, Created: now.Add(time.Hour)}
	if err := s.Enqueue(t.Context(), r, time.Minute); err != nil {
		t.Errorf("Enqueue: got %v, want nil", err)
	}
	e.Switch.Set(nil)
}

// repeatedEdits are those by one statement.
func repeatedEdits(t *testing.T, e *Env, s *sqlstore.Store) {
	u := newUser("uma", time.Now().UTC().Truncate(time.Microsecond))
	must(t, s.CreateUser(t.Context(), u))
	lock := users.StatusUpdate{ApplicationID: "app", ID: "uma", IsLockedOut: new(true), DateUpdated: u.DateCreated.Add(time.Hour)}
	for _, c := range []struct {
		table string
		edit  func() error
	}{
		{"users", func() error { return s.SetUserStatus(t.Context(), lock) }},
		{"applications", func() error { return s.UpdateApplication(t.Context(), users.Application{ID: "app", Name: "new"}) }},
		{"roles", func() error {
			return s.UpdateRole(t.Context(), users.RoleUpdate{ApplicationID: "app", ID: "r", Description: new("new")})
		}},
		{"users", func() error {
			// The repetition counts too: what is lost is an answer, not a guess.
			failures, err := s.BeginLogin(t.Context(), users.LoginAttempt{ApplicationID: "app", UserID: "uma", Free: 5})
			if err == nil && failures != 2 {
				err = fmt.Errorf("%d failures, want 2", failures)
			}
			return err
		}},
		{"users", func() error {
			return s.EndLogin(t.Context(), users.LoginEnd{ApplicationID: "app", UserID: "uma", Now: u.DateCreated})
		}},
	} {
		e.lose(c.table)
		if err := c.edit(); err != nil {
			t.Errorf("an update of %s: got %v, want nil", c.table, err)
		}
		e.Switch.Set(nil)
	}
	if err := s.SetUserStatus(t.Context(), lock); !errors.Is(err, users.ErrStale) {
		t.Errorf("SetUserStatus, a second call: got %v, want ErrStale", err)
	}
	if err := s.UpdateApplication(t.Context(), users.Application{ID: "app", Name: "new"}); !errors.Is(err, users.ErrStale) {
		t.Errorf("UpdateApplication, a second call: got %v, want ErrStale", err)
	}
}

// lostCommits has a commit take effect whose answer is one that is retried: what the
// retry finds is the call's own doing. A second call is not taken for a retry.
func lostCommits(t *testing.T, g *Target) {
	for name, abort := range g.aborts() {
		e := g.Fresh(t)
		e.withRole(t)
		u := e.stored(t, "ada")
		again := func(what string, second error, f func() error) {
			t.Helper()
			lost := false
			e.Switch.Set(&flaky.Hooks{After: func(c flaky.Call) error {
				if c.Op == flaky.Commit && !lost {
					lost = true
					return abort
				}
				return nil
			}})
			err := f()
			e.Switch.Set(nil)
			if err != nil || !lost {
				t.Errorf("%s, %s: got %v, want nil behind a commit whose answer is lost", name, what, err)
			}
			if err := f(); !errors.Is(err, second) {
				t.Errorf("%s, %s, a second call: got %v, want %v", name, what, err, second)
			}
		}

		batch := []*users.NewUser{newUser("bob", u.DateCreated), newUser("eve", u.DateCreated), newUser("zoe", u.DateCreated)}
		batch[0].Roles = []users.Role{{ID: "r"}}
		batch[1].NameKey = u.NameKey
		again("CreateUsers", users.ErrConflict, func() error {
			outcomes, err := e.Store.CreateUsers(t.Context(), batch)
			if err == nil && class(outcomes[1]) != "conflict of userName" {
				err = fmt.Errorf("who is in conflict: %w", outcomes[1])
			}
			if err == nil {
				err = errors.Join(outcomes[0], outcomes[2])
			}
			return err
		})
		if got := e.count(t, "user_roles"); got != 1 || e.count(t, "users") != 3 {
			t.Errorf("%s: got %d links, want the batch there once", name, got)
		}

		token := e.token(t, u)
		redeem := e.fullRedemption(token, 1)
		again("RedeemToken", users.ErrBadToken, func() error { return e.Store.RedeemToken(t.Context(), redeem) })
		found, err := e.Store.FindUsers(t.Context(), users.UserQuery{ApplicationID: "app", IDs: []string{u.ID}})
		if err != nil || found[0].Version != 2 || e.count(t, "notifications") != 1 {
			t.Errorf("%s: got %+v and error %v, want the token used once", name, found, err)
		}

		u.Version = 2
		edit := e.fullEdit(u, 0)
		edit.SetHash, edit.Hash, edit.DashboardSettings = true, password.NewHash("h"), []byte(`{"a": 1}`)
		again("EditUser", users.ErrStale, func() error { return e.Store.EditUser(t.Context(), edit) })
		again("DeleteUser", users.ErrNotFound, func() error {
			return e.Store.DeleteUser(t.Context(), users.UserDeletion{ApplicationID: "app", ID: u.ID, IfVersion: 3})
		})
		again("DeleteRole", users.ErrNotFound, func() error { return e.Store.DeleteRole(t.Context(), "app", "r") })
	}
}
