package suite

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/sqlstore"
)

// Isolation checks what is one statement without a transaction of the store's on
// databases whose default isolation is stricter than read committed: there the
// loser of a race is aborted, and has to look again.
func Isolation(t *testing.T, g *Target) {
	if g.Dialect != sqlstore.Postgres {
		t.Skip("a setting of PostgreSQL's")
	}
	g.Share(t)
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(strings.ReplaceAll(level, " ", ""), func(t *testing.T) {
			t.Run("Enqueue", func(t *testing.T) { raceToEnqueue(t, g.Fresh(t).isolated(t, level)) })
			t.Run("Claim", func(t *testing.T) { raceToClaim(t, g.Fresh(t).isolated(t, level)) })
			t.Run("RetryAndEnqueue", func(t *testing.T) { raceToBePending(t, g.Fresh(t).isolated(t, level)) })
		})
	}
}

// isolated returns e on connections with this default isolation.
func (e *Env) isolated(t *testing.T, level string) *Env {
	t.Helper()
	db, sw := open(t, e.Driver, e.DSN+"&default_transaction_isolation="+strings.ReplaceAll(level, " ", "%20"))
	t.Cleanup(func() { db.Close() })
	var got string
	must(t, db.QueryRow("SHOW transaction_isolation").Scan(&got))
	if got != level {
		t.Fatalf("default isolation: got %s, want %s", got, level)
	}
	i := &Env{Target: e.Target, DB: db, Switch: sw, Options: e.Options, DSN: e.DSN}
	i.Store = i.New(t, i.Options)
	return i
}

// raceToClaim lets workers claim at once: each notification has one that gets it.
func raceToClaim(t *testing.T, e *Env) {
	e.addApplication(t)
	const all = 30
	for i := range all {
		must(t, e.Store.CreateUser(t.Context(), withNotifications(fmt.Sprint("user", i), users.KindAccountCreated)))
	}

	var mu sync.Mutex
	claimed := map[string]int{}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for {
				rows, err := e.Store.Claim(t.Context(), users.Claim{Worker: fmt.Sprint("w", worker), Lease: time.Minute, Limit: 3})
				if err != nil {
					t.Errorf("Claim: got %v, want nil", err)
				}
				if len(rows) == 0 {
					return
				}
				mu.Lock()
				for _, r := range rows {
					claimed[r.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, times := range claimed {
		if times != 1 {
			t.Errorf("%s: claimed %d times, want once", id, times)
		}
	}
	if len(claimed) != all {
		t.Errorf("claimed: got %d, want %d", len(claimed), all)
	}
}

// raceToBePending lets Retry of a discarded notification race with Enqueue of
// another for the one place that a user has for each kind.
func raceToBePending(t *testing.T, e *Env) {
	e.addApplication(t)
	for i := range 20 {
		n := withNotifications(fmt.Sprint("user", i), users.KindSetPassword)
		old := &n.Notifications[0]
		old.State = users.StateDiscarded
		must(t, e.Store.CreateUser(t.Context(), n))

		var retried, enqueued error
		var wg sync.WaitGroup
		wg.Go(func() { retried = e.Store.Retry(t.Context(), "app", old.ID) })
		wg.Go(func() {
			r := users.NotificationRecord{ID: "new" + n.ID, ApplicationID: "app", UserID: n.ID, Kind: users.KindSetPassword, Created: n.DateCreated}
			enqueued = e.Store.Enqueue(t.Context(), r, time.Minute)
		})
		wg.Wait()
		pending, err := e.Store.ListNotifications(t.Context(), users.NotificationQuery{
			ApplicationID: "app", States: []string{users.StatePending}, Page: users.Page{Limit: 100},
		})
		must(t, err)
		conflict := errors.Is(retried, users.ErrConflict)
		if enqueued != nil || retried != nil && !conflict || len(pending) != i+1 {
			t.Fatalf("round %d: Enqueue: %v, Retry: %v, pending: %d, want nil, nil or a conflict, %d", i, enqueued, retried, len(pending), i+1)
		}
	}
}
