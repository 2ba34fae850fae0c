package suite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/sqlstore"
)

// Outbox runs the promises about notifications that come with a new user, where
// a store that has its own statement for them could break them.
func Outbox(t *testing.T, g *Target) {
	g.Share(t)
	t.Run("TwoAtOnce", func(t *testing.T) { twoNotifications(t, g.Fresh(t)) })
	t.Run("TwoOfOneKindAreNone", func(t *testing.T) { twoOfOneKind(t, g.Fresh(t)) })
	t.Run("DiscardedFromTheStart", func(t *testing.T) { discardedFromTheStart(t, g.Fresh(t)) })
	t.Run("ClaimGoesOn", func(t *testing.T) { claimGoesOnBehindAFasterWorker(t, g.Fresh(t)) })
	t.Run("BacklogHoldsUpNobody", func(t *testing.T) { backlogHoldsUpNobody(t, g.Fresh(t)) })
	if g.Dialect != sqlstore.SQLite { // which has one writer, whatever it writes
		t.Run("EnqueueWaitsForNobody", func(t *testing.T) { enqueueWaitsForNobody(t, g.Fresh(t)) })
		t.Run("PurgeDiscardedWaitsForNobody", func(t *testing.T) { purgeDiscardedWaitsForNobody(t, g.Fresh(t)) })
	}
}

func withNotifications(id string, kinds ...string) *users.NewUser {
	now := time.Now().UTC().Truncate(time.Microsecond)
	n := newUser(id, now)
	for i, kind := range kinds {
		n.Notifications = append(n.Notifications, users.NotificationRecord{
			ID: id + string(rune('0'+i)), ApplicationID: "app", UserID: id, Kind: kind,
			State: users.StatePending, Created: now, Due: now.Add(-time.Hour),
		})
	}
	return n
}

// twoNotifications come with a user who needs no transaction, and in the host's.
func twoNotifications(t *testing.T, e *Env) {
	e.addApplication(t)
	must(t, e.Store.CreateUser(t.Context(), withNotifications("ada", users.KindAccountCreated, users.KindSetPassword)))

	tx, err := e.DB.BeginTx(t.Context(), nil)
	must(t, err)
	defer tx.Rollback()
	inTx := withNotifications("bob", users.KindAccountCreated, users.KindSetPassword)
	inTx.HostTx = true
	must(t, e.Store.WithTx(tx).CreateUser(t.Context(), inTx))
	must(t, tx.Commit())

	got, err := e.Store.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Minute, Limit: 10})
	must(t, err)
	kinds := map[string]int{}
	for _, r := range got {
		kinds[r.UserID+" "+r.Kind]++
	}
	for _, user := range []string{"ada ", "bob "} {
		if kinds[user+users.KindAccountCreated] != 1 || kinds[user+users.KindSetPassword] != 1 || len(got) != 4 {
			t.Fatalf("claimed: got %v, want one of each kind for each user", kinds)
		}
	}
}

// twoOfOneKind can't be stored: nothing is, and it is no conflict of the user's.
func twoOfOneKind(t *testing.T, e *Env) {
	e.addApplication(t)
	n := withNotifications("ada", users.KindAccountCreated, users.KindAccountCreated)
	err := e.Store.CreateUser(t.Context(), n)
	if err == nil || errors.Is(err, users.ErrConflict) {
		t.Errorf("got %v, want an error that is no conflict", err)
	}
	for _, table := range []string{"users", "notifications"} {
		if got := e.count(t, table); got != 0 {
			t.Errorf("rows of %s: got %d, want 0", table, got)
		}
	}
}

// discardedFromTheStart is not in the way of a pending one.
func discardedFromTheStart(t *testing.T, e *Env) {
	e.addApplication(t)
	n := withNotifications("ada", users.KindSetPassword)
	n.Notifications[0].State = users.StateDiscarded
	must(t, e.Store.CreateUser(t.Context(), n))

	r := withNotifications("ada", users.KindSetPassword).Notifications[0]
	r.ID = "another"
	must(t, e.Store.Enqueue(t.Context(), r, time.Minute))
	if got := e.count(t, "notifications"); got != 2 {
		t.Errorf("notifications: got %d, want the discarded one and a pending one", got)
	}
	if err := e.Store.Retry(t.Context(), "app", n.Notifications[0].ID); !errors.Is(err, users.ErrConflict) {
		t.Errorf("Retry beside a pending one: got %v, want a conflict", err)
	}
}

// enqueueWaitsForNobody who holds rows of the user, as a host does that edits one,
// or a call that sets a password, nor who adds a notification of another: its time
// would tell that there is such a user.
func enqueueWaitsForNobody(t *testing.T, e *Env) {
	e.addApplication(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	n := newUser("ada", now)
	must(t, e.Store.CreateUser(t.Context(), n))
	must(t, e.Store.CreateToken(t.Context(), users.TokenRecord{
		ApplicationID: "app", UserID: n.ID, Sum: [32]byte{1}, Purpose: users.PurposeSetPassword,
		Created: now.Add(-time.Hour), Lifetime: time.Hour,
	}))
	r := withNotifications("ada", users.KindSetPassword).Notifications[0]
	r.Created = now.Add(-time.Hour)
	enqueue := func(what string) {
		t.Helper()
		tx, err := e.DB.BeginTx(t.Context(), nil)
		must(t, err)
		defer tx.Rollback()
		for _, text := range []string{
			"UPDATE " + e.table("users") + " SET date_updated = date_updated + 1",
			"UPDATE " + e.table("password_tokens") + " SET expires_at = expires_at + 1",
			e.insertNotification("of bob", "bob", users.StatePending),
		} {
			if _, err := tx.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := e.Store.Enqueue(ctx, r, time.Minute); err != nil {
			t.Errorf("Enqueue %s beside a transaction that holds the user: got %v, want none", what, err)
		}
	}
	enqueue("of the first")
	must(t, e.Store.Settle(t.Context(), retryLater(t, e)))
	r.ID = "another"
	enqueue("beside one that waits")
	if got := e.count(t, "notifications"); got != 1 {
		t.Errorf("notifications: got %d, want 1", got)
	}
}

// insertNotification is a statement past the store.
func (e *Env) insertNotification(id, user, state string) string {
	pending := "NULL"
	if state == users.StatePending {
		pending = "1"
	}
	return fmt.Sprintf(`INSERT INTO %s (application_id, id, user_id, kind, state, pending, urgent, due_at, lease_until, lease_owner,
		attempts, last_error, date_created) VALUES ('app', '%s', '%s', 'set_password', '%s', %s, false, 1, 0, '', 0, '', 1)`,
		e.table("notifications"), id, user, state, pending)
}

// purgeDiscardedWaitsForNobody who adds notifications of the same application.
func purgeDiscardedWaitsForNobody(t *testing.T, e *Env) {
	e.addApplication(t)
	for i := range 3 {
		e.exec(t, e.insertNotification(fmt.Sprint("old", i), fmt.Sprint("user", i), users.StateDiscarded))
	}
	tx, err := e.DB.BeginTx(t.Context(), nil)
	must(t, err)
	defer tx.Rollback()
	for _, id := range []string{"a new one", "of now", "zz"} { // before, between and behind the others
		if _, err := tx.Exec(e.insertNotification(id, id, users.StatePending)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if n, err := e.Store.PurgeDiscarded(ctx, time.Hour, 2); n != 2 || err != nil {
		t.Errorf("PurgeDiscarded beside a transaction that adds some: got %d, %v, want 2", n, err)
	}
}

// retryLater claims the one notification there is, and returns what puts it off.
func retryLater(t *testing.T, e *Env) users.Settlement {
	t.Helper()
	got, err := e.Store.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Minute, Limit: 10})
	must(t, err)
	if len(got) != 1 {
		t.Fatalf("Claim: got %d rows, want 1", len(got))
	}
	return users.Settlement{
		ApplicationID: "app", ID: got[0].ID, Worker: "w", Outcome: users.OutcomeRetry, RetryIn: time.Hour,
	}
}

// backlogHoldsUpNobody has a relay deliver what one application has waited for long,
// and one notification of another.
func backlogHoldsUpNobody(t *testing.T, e *Env) {
	svc := e.service(t, users.Options{})
	const backlog = 300
	must(t, e.Store.CreateApplication(t.Context(), users.Application{ID: "other", APIKey: "other"}))
	tx, err := e.DB.BeginTx(t.Context(), nil)
	must(t, err)
	defer tx.Rollback()
	in := svc.InTx(e.Store.WithTx(tx))
	for i := range backlog {
		_, err := in.Create(t.Context(), "demo", params(fmt.Sprint("user", i)))
		must(t, err)
	}
	must(t, tx.Commit())
	ada := params("ada")
	ada.Roles = nil
	_, err = svc.Create(t.Context(), "other", ada)
	must(t, err)

	var got outbox.Recorder
	relay, err := outbox.New(svc, &got, nil)
	must(t, err)
	must(t, relay.Drain(t.Context()))
	place := slices.IndexFunc(got.All(), func(n users.Notification) bool { return n.Application.APIKey == "other" })
	if all := len(got.All()); all != backlog+1 || place < 0 || place > 100 {
		t.Errorf("got %d delivered, the other application's at place %d, want %d, and that at the beginning", all, place, backlog+1)
	}
}
