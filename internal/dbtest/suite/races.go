package suite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// Races runs the promises about requests that race in several processes.
func Races(t *testing.T, g *Target) {
	g.Share(t)
	t.Run("DeadIdempotencyKey", func(t *testing.T) { raceForADeadKey(t, g.Fresh(t)) })
	t.Run("AbortedRevival", func(t *testing.T) { abortedRevival(t, g.Fresh(t)) })
	t.Run("Enqueue", func(t *testing.T) { raceToEnqueue(t, g.Fresh(t)) })
	t.Run("RetryAndEnqueue", func(t *testing.T) { raceToBePending(t, g.Fresh(t)) })
}

// newUser returns a user of application "app" as of now.
func newUser(id string, now time.Time) *users.NewUser {
	n := &users.NewUser{}
	n.ApplicationID, n.ID, n.NameKey, n.EmailKey = "app", id, id, id+"@example.com"
	n.CreationDate, n.DateCreated, n.DateUpdated = now, now, now
	return n
}

// addApplication adds the application "app" for newUser.
func (e *Env) addApplication(t testing.TB) {
	t.Helper()
	if err := e.Store.CreateApplication(t.Context(), users.Application{ID: "app", APIKey: "app"}); err != nil {
		t.Fatal(err)
	}
}

// raceForADeadKey lets many requests race for an idempotency key whose record is
// dead: they queue for it, and no deadlock of theirs has to be sorted out by
// repeating.
func raceForADeadKey(t *testing.T, e *Env) {
	e.addApplication(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	if err := e.Store.CreateUser(t.Context(), withKey("dead", now, 0)); err != nil {
		t.Fatal(err)
	}

	var deadlocks, won atomic.Int64
	e.Switch.Set(&flaky.Hooks{Failed: func(_ flaky.Call, err error) {
		if strings.Contains(strings.ToLower(err.Error()), "deadlock") {
			deadlocks.Add(1)
		}
	}})
	defer e.Switch.Set(nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := e.Store.CreateUser(t.Context(), withKey(fmt.Sprint("racer", i), now, time.Hour))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, users.ErrIdempotencyKeyUsed) {
				t.Errorf("a loser: got %v, want ErrIdempotencyKeyUsed", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || deadlocks.Load() != 0 {
		t.Errorf("got %d winners and %d deadlocks, want 1 and 0", won.Load(), deadlocks.Load())
	}
}

func withKey(id string, now time.Time, lifetime time.Duration) *users.NewUser {
	n := newUser(id, now)
	key := users.IdempotencyKey{ApplicationID: "app", Caller: "host", Key: "key"}
	n.Idempotency = &users.IdempotencyRecord{IdempotencyKey: key, UserID: id, Lifetime: lifetime}
	return n
}

// abortedRevival aborts the try that begins with reviving a dead record: so does
// the next one.
func abortedRevival(t *testing.T, e *Env) {
	if e.Dialect != sqlstore.MySQL {
		t.Skip("elsewhere it is one statement")
	}
	e.addApplication(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	must(t, e.Store.CreateUser(t.Context(), withKey("dead", now, 0)))

	refused, aborted := 0, false
	e.Switch.Set(&flaky.Hooks{
		Before: func(c flaky.Call) error {
			if !aborted && strings.HasPrefix(c.Query, "UPDATE") && strings.Contains(c.Query, "idempotency") {
				aborted = true
				return &numberError{Number: 1213}
			}
			return nil
		},
		Failed: func(c flaky.Call, err error) {
			if strings.HasPrefix(c.Query, "INSERT") && !errors.Is(err, driver.ErrSkip) {
				refused++
			}
		},
	})
	err := e.Store.CreateUser(t.Context(), withKey("ada", now, time.Hour))
	e.Switch.Set(nil)
	if err != nil || !aborted || refused != 1 {
		t.Errorf("got %v after %d refused INSERTs, want success after 1", err, refused)
	}
}

// raceToEnqueue lets two stores, as two processes have them, add a notification
// for one user at once: the database keeps one, also of those that a statement
// past the store adds, and none of another kind or user is in the way.
func raceToEnqueue(t *testing.T, e *Env) {
	e.addApplication(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, id := range []string{"ada", "bob"} {
		if err := e.Store.CreateUser(t.Context(), newUser(id, now)); err != nil {
			t.Fatal(err)
		}
	}

	stores := []users.OutboxStore{e.Store, e.New(t, e.Options)}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			r := users.NotificationRecord{
				ID: fmt.Sprint("n", i), ApplicationID: "app", UserID: []string{"ada", "bob"}[i/2%2],
				Kind: users.KindSetPassword, State: users.StatePending, Created: now,
			}
			if err := stores[i%2].Enqueue(t.Context(), r, time.Minute); err != nil {
				t.Errorf("Enqueue: got %v, want nil", err)
			}
		})
	}
	wg.Wait()
	if got := e.count(t, "notifications"); got != 2 {
		t.Errorf("notifications of 2 users: got %d, want 1 each", got)
	}

	// What no look-up in advance can judge the database does.
	_, err := e.DB.Exec("INSERT INTO " + e.table("notifications") + ` (application_id, id, user_id, kind, state, pending, due_at,
		lease_until, lease_owner, attempts, last_error, date_created)
		VALUES ('app', 'past', 'ada', '` + users.KindSetPassword + `', 'pending', 1, 0, 0, '', 0, '', 0)`)
	if err == nil {
		t.Error("a second pending notification: got no error of the database")
	}
}
