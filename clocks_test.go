package users_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// Processes share a store and not a clock. What one of them wrote is as good, as due
// and as old for each of the others, however far its clock is off.
func TestProcessesWithOtherClocksAgree(t *testing.T) {
	t.Parallel()
	for name, offs := range map[string][2]time.Duration{
		"of one ahead": {25 * time.Hour, 0}, "of one an hour ahead": {time.Hour, 0}, "of one behind": {-25 * time.Hour, 0},
		"for one ahead": {0, 25 * time.Hour}, "for one an hour ahead": {0, time.Hour}, "for one behind": {0, -25 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { otherClocksAgree(t, offs[0], offs[1]) }) })
	}
}

func otherClocksAgree(t *testing.T, writes, reads time.Duration) {
	store := memstore.New()
	process := func(off time.Duration) *users.Service {
		svc, err := users.New(store, &users.Options{
			Hasher: password.InsecureForTests(), Now: func() time.Time { return time.Now().Add(off) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return svc
	}
	by, on := process(writes), process(reads)
	addApplication(t, by, users.Application{APIKey: apiKey})
	mailed := keyed("ann", "k")
	mailed.SendEmailNotification = true
	u, err := by.Create(t.Context(), apiKey, mailed)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "notifications that are due", deliver(t, on), 1)
	if again, err := on.Create(t.Context(), apiKey, mailed); err != nil || again.ID != u.ID {
		t.Errorf("idempotency key: got %v, %v, want its user", again, err)
	}

	token := issue(t, by, u.ID)
	n, err := on.Purge(t.Context(), 100)
	if n != 0 || err != nil {
		t.Errorf("Purge: got %d, %v, want nothing deleted", n, err)
	}
	time.Sleep(users.RecoveryGap)
	if err := on.RecoverPassword(t.Context(), apiKey, "ann"); err != nil {
		t.Error(err)
	}
	equal(t, "messages after a token", deliver(t, on), 1)
	if err := on.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret)); err != nil {
		t.Errorf("token: got %v, want none", err)
	}

	token = issue(t, by, u.ID)
	time.Sleep(users.DefaultTokenLifetime)
	err = on.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret))
	equal(t, "token after its end", err, users.ErrBadToken)
	n, err = on.Purge(t.Context(), 100)
	if n != 1 || err != nil {
		t.Errorf("Purge after a day: got %d, %v, want the idempotency key deleted", n, err)
	}
}

// The more was sent to a user the longer it takes to the next: a stranger can't
// fill a mailbox by asking, whatever a token's lifetime.
func TestRecoveryMessagesGetRarer(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []time.Duration{0, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			svc := newServiceOn(t, memstore.New(), users.Options{Now: time.Now, TokenLifetime: lifetime})
			invite(t, svc, "ann")
			var sent []int
			for day := range 3 {
				sent = append(sent, 0)
				for range 24 * 60 / 10 {
					for range 10 {
						if err := svc.RecoverPassword(t.Context(), apiKey, "ann"); err != nil {
							t.Fatal(err)
						}
						sent[day] += deliver(t, svc)
						time.Sleep(time.Minute - 250*time.Millisecond)
					}
					if _, err := svc.Purge(t.Context(), 1000); err != nil {
						t.Fatal(err)
					}
				}
			}
			if sent[0] != 16 || sent[1] > 14 || sent[2] > 14 {
				t.Errorf("lifetime %v: got %d messages a day, want 16 in the first and fewer from then on", lifetime, sent)
			}
		})
	}
}

// deliver delivers what is due, and returns how many that were.
func deliver(t *testing.T, svc *users.Service) int {
	t.Helper()
	box, err := svc.Outbox()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := box.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Minute, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if _, err := svc.PrepareNotification(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		done := users.Settlement{ApplicationID: r.ApplicationID, ID: r.ID, Worker: "w", Outcome: users.OutcomeDelivered}
		if err := box.Settle(t.Context(), done); err != nil {
			t.Fatal(err)
		}
	}
	return len(rows)
}
