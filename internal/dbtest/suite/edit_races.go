package suite

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/password"
)

// EditRaces runs the promises about edits and deletions that race.
func EditRaces(t *testing.T, g *Target) {
	g.Share(t)
	t.Run("OneVersion", func(t *testing.T) { raceForAVersion(t, g.Fresh(t)) })
	t.Run("OneFreeName", func(t *testing.T) { raceForAName(t, g.Fresh(t)) })
	t.Run("DeletedUsersLeaveNothing", func(t *testing.T) { raceToDelete(t, g.Fresh(t)) })
	t.Run("BehindADeletedUser", func(t *testing.T) { behindADeletedUser(t, g) })
	t.Run("BeforeADeletedRole", func(t *testing.T) { beforeADeletedRole(t, g) })
	t.Run("DeletedRolesLeaveNothing", func(t *testing.T) { raceToGiveARole(t, g.Fresh(t)) })
}

// withRole adds the application "app" with the role "r".
func (e *Env) withRole(t *testing.T) {
	t.Helper()
	e.addApplication(t)
	must(t, e.Store.CreateRole(t.Context(), "app", users.RoleRecord{Role: users.Role{ID: "r", Name: "r"}, NameKey: "r"}))
}

// stored creates a user of version 1 and returns it.
func (e *Env) stored(t *testing.T, id string) users.UserRecord {
	t.Helper()
	n := newUser(id, time.Now().UTC().Truncate(time.Microsecond))
	n.Version = 1
	must(t, e.Store.CreateUser(t.Context(), n))
	return n.UserRecord
}

// outcomes calls f n times at once and counts what it answers.
func outcomes(n int, f func(i int) error) map[string]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := map[string]int{}
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			answer := class(f(i))
			mu.Lock()
			defer mu.Unlock()
			got[answer]++
		})
	}
	close(start)
	wg.Wait()
	return got
}

func raceForAVersion(t *testing.T, e *Env) {
	e.withRole(t)
	u := e.stored(t, "ada")
	for version := int64(1); version <= 3; version++ {
		got := outcomes(20, func(i int) error {
			edit := &users.UserEdit{UserRecord: u}
			edit.Version, edit.Name = version, fmt.Sprint(i)
			if i%2 == 0 {
				edit.Roles = []users.Role{{ID: "r"}}
			}
			return e.Store.EditUser(t.Context(), edit)
		})
		if got[class(nil)] != 1 || got[class(users.ErrStale)] != 19 {
			t.Errorf("20 edits of version %d: got %v, want 1 written and 19 stale", version, got)
		}
	}
}

func raceForAName(t *testing.T, e *Env) {
	e.withRole(t)
	var all []users.UserRecord
	for i := range 20 {
		all = append(all, e.stored(t, fmt.Sprint("user", i)))
	}
	for round := range 3 {
		got := outcomes(20, func(i int) error {
			edit := &users.UserEdit{UserRecord: all[i]}
			edit.NameKey = fmt.Sprint("wanted", round)
			edit.Roles = []users.Role{{ID: "r"}}
			err := e.Store.EditUser(t.Context(), edit)
			if err == nil {
				all[i].Version++
			}
			return err
		})
		if got[class(nil)] != 1 || got[class(&users.ConflictError{Members: []string{"userName"}})] != 19 {
			t.Errorf("20 edits to one free name: got %v, want 1 written and 19 in conflict", got)
		}
	}
}

// raceToDelete deletes users while everything is done that adds something for them.
func raceToDelete(t *testing.T, e *Env) {
	e.withRole(t)
	for round := range 15 {
		id := fmt.Sprint("user", round)
		u := e.stored(t, id)
		sum := func(n int) [32]byte { return sha256.Sum256(fmt.Append(nil, id, n)) }
		token := users.TokenRecord{ApplicationID: "app", UserID: id, Lifetime: time.Hour, Created: u.DateCreated.Add(-time.Hour)}
		token.Sum = sum(0)
		must(t, e.Store.CreateToken(t.Context(), token))

		ways := []func(n int) error{
			func(int) error {
				return e.Store.DeleteUser(t.Context(), users.UserDeletion{ApplicationID: "app", ID: id, IfVersion: 1})
			},
			func(n int) error {
				token := token
				token.Sum = sum(n)
				return e.Store.CreateToken(t.Context(), token)
			},
			func(n int) error { return e.Store.Enqueue(t.Context(), e.message(id, n), 0) },
			func(n int) error {
				return e.Store.EditUser(t.Context(), e.fullEdit(u, n))
			},
			func(int) error { return e.relay(t) },
			func(n int) error {
				return e.Store.RedeemToken(t.Context(), e.fullRedemption(token, 2000+n))
			},
		}
		got := outcomes(24, func(i int) error { return ways[i%len(ways)](i) })
		for answer := range got {
			switch answer {
			case class(nil), class(users.ErrNotFound), class(users.ErrStale), class(users.ErrBadToken):
			default:
				t.Errorf("got %s (%d times), want what the contract knows", answer, got[answer])
			}
		}
		e.deleteNow(t, id)
	}
	e.wantNothingOfUsers(t)
}

// message is a notification of a user.
func (e *Env) message(userID string, n int) users.NotificationRecord {
	return users.NotificationRecord{
		ID: fmt.Sprint(userID, "/", n), ApplicationID: "app", UserID: userID,
		Kind: []string{users.KindSetPassword, users.KindAccountCreated}[n%2], State: users.StatePending,
	}
}

// fullEdit changes all that can be changed with a user.
func (e *Env) fullEdit(u users.UserRecord, n int) *users.UserEdit {
	edit := &users.UserEdit{UserRecord: u, Notifications: []users.NotificationRecord{e.message(u.ID, 1000+n)}}
	edit.Roles = []users.Role{{ID: "r"}}
	return edit
}

// token stores a token of u that was mailed, and returns it.
func (e *Env) token(t *testing.T, u users.UserRecord) users.TokenRecord {
	t.Helper()
	k := users.TokenRecord{
		ApplicationID: "app", UserID: u.ID, Sum: sha256.Sum256([]byte(u.ID)), NotificationID: "mailed",
		Lifetime: time.Hour, Created: u.DateCreated,
	}
	must(t, e.Store.CreateToken(t.Context(), k))
	return k
}

// fullRedemption uses a token up and tells its user.
func (e *Env) fullRedemption(k users.TokenRecord, n int) users.Redemption {
	return users.Redemption{
		ApplicationID: "app", UserID: k.UserID, Sum: k.Sum, Hash: password.NewHash("h"), Now: k.Created.Add(time.Minute),
		Notifications: []users.NotificationRecord{e.message(k.UserID, n)},
	}
}

// relay claims what is due and settles it in every way.
func (e *Env) relay(t *testing.T) error {
	rows, err := e.Store.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Minute, Limit: 3})
	for i, r := range rows {
		outcome := []users.Outcome{users.OutcomeRetry, users.OutcomeDiscarded, users.OutcomeReleased}[i%3]
		err = errors.Join(err, e.Store.Settle(t.Context(), users.Settlement{ApplicationID: "app", ID: r.ID, Worker: "w", Outcome: outcome}))
		if outcome == users.OutcomeDiscarded {
			err = errors.Join(err, e.Store.Retry(t.Context(), "app", r.ID))
		}
	}
	if errors.Is(err, users.ErrConflict) { // another of the kind is pending by now
		return nil
	}
	return err
}

// deleteNow deletes a user of whatever version, if it is there.
func (e *Env) deleteNow(t *testing.T, id string) {
	t.Helper()
	found, err := e.Store.FindUsers(t.Context(), users.UserQuery{ApplicationID: "app", IDs: []string{id}})
	must(t, err)
	for _, u := range found {
		must(t, e.Store.DeleteUser(t.Context(), users.UserDeletion{ApplicationID: "app", ID: id, IfVersion: u.Version}))
	}
}

func (e *Env) wantNothingOfUsers(t *testing.T) {
	t.Helper()
	for _, table := range []string{"users", "user_roles", "password_tokens", "notifications"} {
		if got := e.count(t, table); got != 0 {
			t.Errorf("rows of %s: got %d, want none", table, got)
		}
	}
}

// atCommit has f begin right before the next commit, which goes on when f has ended or,
// by a while, is taken to wait for that commit. done waits for the end of f.
func (e *Env) atCommit(f func()) (done func()) {
	var begun atomic.Bool
	ended := make(chan struct{})
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if c.Op != flaky.Commit || !begun.CompareAndSwap(false, true) {
			return nil
		}
		go func() {
			defer close(ended)
			f()
		}()
		select {
		case <-ended:
		case <-time.After(150 * time.Millisecond):
		}
		return nil
	}})
	return func() {
		<-ended
		e.Switch.Set(nil)
	}
}

// behindADeletedUser adds something for a user whose deletion has done all but commit.
func behindADeletedUser(t *testing.T, g *Target) {
	for name, add := range map[string]func(e *Env, u users.UserRecord) error{
		"CreateToken": func(e *Env, u users.UserRecord) error {
			return e.Store.CreateToken(t.Context(), users.TokenRecord{ApplicationID: "app", UserID: u.ID, Lifetime: time.Hour})
		},
		"Enqueue":  func(e *Env, u users.UserRecord) error { return e.Store.Enqueue(t.Context(), e.message(u.ID, 0), 0) },
		"EditUser": func(e *Env, u users.UserRecord) error { return e.Store.EditUser(t.Context(), e.fullEdit(u, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			e := g.Fresh(t)
			e.withRole(t)
			u := e.stored(t, "ada")
			var added error
			done := e.atCommit(func() { added = add(e, u) })
			err := e.Store.DeleteUser(t.Context(), users.UserDeletion{ApplicationID: "app", ID: u.ID, IfVersion: 1})
			done()
			if err != nil || !errors.Is(added, users.ErrNotFound) {
				t.Errorf("got %v behind a deletion that returned %v, want ErrNotFound", added, err)
			}
			e.wantNothingOfUsers(t)
		})
	}
}

// beforeADeletedRole deletes a role, and purges, when a user has got it by all but the
// commit.
func beforeADeletedRole(t *testing.T, g *Target) {
	for name, give := range map[string]func(e *Env, u users.UserRecord) error{
		"CreateUser": func(e *Env, u users.UserRecord) error {
			n := withKey("bob", u.DateCreated, time.Hour)
			n.Roles = []users.Role{{ID: "r"}}
			return e.Store.CreateUser(t.Context(), n)
		},
		"EditUser": func(e *Env, u users.UserRecord) error { return e.Store.EditUser(t.Context(), e.fullEdit(u, 0)) },
		"CreateUsers": func(e *Env, _ users.UserRecord) error {
			outcomes, err := e.Store.CreateUsers(t.Context(), []*users.NewUser{joiner("bob"), joiner("eve")})
			return errors.Join(append(outcomes, err)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := g.Fresh(t)
			e.withRole(t)
			u := e.stored(t, "ada")
			var deleted error
			done := e.atCommit(func() {
				deleted = e.Store.DeleteRole(t.Context(), "app", "r")
				_, err := e.Store.Purge(t.Context(), 100)
				deleted = errors.Join(deleted, err)
			})
			err := give(e, u)
			done()
			if err != nil || deleted != nil {
				t.Errorf("got %v, and %v for the deletion, want nil", err, deleted)
			}
			e.wantNoLinks(t)
		})
	}
}

// raceToGiveARole deletes a role that users get, and one call after the other purges.
func raceToGiveARole(t *testing.T, e *Env) {
	e.withRole(t)
	for round := range 10 {
		role := fmt.Sprint("role", round)
		must(t, e.Store.CreateRole(t.Context(), "app", users.RoleRecord{Role: users.Role{ID: role, Name: role}, NameKey: role}))
		u := e.stored(t, fmt.Sprint("user", round))
		got := outcomes(10, func(i int) error {
			switch i % 5 {
			case 0:
				return e.Store.DeleteRole(t.Context(), "app", role)
			case 1:
				_, err := e.Store.Purge(t.Context(), 3)
				return err
			case 2:
				edit := &users.UserEdit{UserRecord: u}
				edit.Roles = []users.Role{{ID: role}, {ID: "r"}}
				return e.Store.EditUser(t.Context(), edit)
			}
			n := newUser(fmt.Sprint("new", round, i), u.DateCreated)
			n.Roles = []users.Role{{ID: role}}
			return e.Store.CreateUser(t.Context(), n)
		})
		for answer := range got {
			switch answer {
			case class(nil), class(users.ErrNotFound), class(users.ErrUnknownRole), class(users.ErrStale):
			default:
				t.Errorf("got %s (%d times), want what the contract knows", answer, got[answer])
			}
		}
	}
	must(t, e.Store.DeleteRole(t.Context(), "app", "r"))
	e.wantNoLinks(t)
}

// wantNoLinks purges what deleted roles left, and checks that it was all.
func (e *Env) wantNoLinks(t *testing.T) {
	t.Helper()
	for {
		n, err := e.Store.Purge(t.Context(), 2)
		must(t, err)
		if n > 2 {
			t.Fatalf("Purge of 2: got %d", n)
		}
		if n == 0 {
			break
		}
	}
	for _, table := range []string{"user_roles", "deleted_roles"} {
		if got := e.count(t, table); got != 0 {
			t.Errorf("rows of %s: got %d, want none", table, got)
		}
	}
}
