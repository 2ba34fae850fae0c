package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/storetest"
)

func TestMemstoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) users.Store { return memstore.New() })
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func newUser(id string) *users.NewUser {
	n := &users.NewUser{}
	n.ApplicationID = "app"
	n.ID = id
	n.NameKey = id
	n.EmailKey = id + "@example.com"
	n.Version = 1
	n.DateCreated = epoch
	return n
}

// newNotifiedUser returns a user with a notification that is due at epoch.
func newNotifiedUser(id string) *users.NewUser {
	n := newUser(id)
	n.Notifications = []users.NotificationRecord{{
		ID: id, ApplicationID: "app", UserID: id, Kind: users.KindAccountCreated,
		State: users.StatePending, Created: epoch, Due: epoch,
	}}
	return n
}

// newStore returns a store with the application "app". A nil clock is time.Now.
func newStore(t testing.TB, clock func() time.Time) *memstore.Store {
	t.Helper()
	s := memstore.New()
	if clock != nil {
		s = memstore.NewWithClock(clock)
	}
	if err := s.CreateApplication(t.Context(), users.Application{ID: "app", APIKey: "app"}); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustCreate(t testing.TB, s *memstore.Store, n *users.NewUser) {
	t.Helper()
	if err := s.CreateUser(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

func mustSettle(t testing.TB, s *memstore.Store, id string, o users.Outcome, retryIn time.Duration) {
	t.Helper()
	err := s.Settle(t.Context(), users.Settlement{
		ApplicationID: "app", ID: id, Worker: "w", Outcome: o, RetryIn: retryIn,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func exists(t testing.TB, s *memstore.Store, id string) bool {
	t.Helper()
	found, err := s.FindUsers(t.Context(), users.UserQuery{ApplicationID: "app", IDs: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	return len(found) == 1
}

func TestCallsFromInsideItsTransactionFailInsteadOfWaiting(t *testing.T) {
	t.Parallel()
	s, other := newStore(t, nil), newStore(t, nil)
	n := newUser("1")
	n.OnCreate = func(ctx context.Context) error {
		for name, call := range map[string]func() error{
			"CreateUser": func() error { return s.CreateUser(ctx, newUser("2")) },
			"FindUsers": func() error {
				_, err := s.FindUsers(ctx, users.UserQuery{ApplicationID: "app"})
				return err
			},
			"Claim": func() error {
				_, err := s.Claim(ctx, users.Claim{})
				return err
			},
		} {
			if err := call(); !errors.Is(err, memstore.ErrReentrant) {
				t.Errorf("%s inside OnCreate: got error %v, want ErrReentrant", name, err)
			}
		}

		// Another store is another matter, but the first one stays closed in there too.
		m := newUser("1")
		m.OnCreate = func(ctx context.Context) error {
			if err := s.CreateUser(ctx, newUser("2")); !errors.Is(err, memstore.ErrReentrant) {
				t.Errorf("CreateUser inside two OnCreate: got error %v, want ErrReentrant", err)
			}
			return nil
		}
		return other.CreateUser(ctx, m)
	}
	mustCreate(t, s, n)

	if !exists(t, s, "1") || !exists(t, other, "1") || exists(t, s, "2") {
		t.Error("want user 1 in both stores, and no user 2")
	}
}

func TestCallsWithAnotherContextWaitUntilItIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		n := newUser("1")
		n.OnCreate = func(context.Context) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.CreateUser(ctx, newUser("2")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
			}
			return nil
		}
		mustCreate(t, s, n)
	})
}

func TestPanicInTxLeavesTheStoreUsable(t *testing.T) {
	t.Parallel()
	s := newStore(t, nil)
	n := newUser("1")
	n.OnCreate = func(context.Context) error { panic("host") }
	func() {
		defer func() {
			if v := recover(); v != "host" {
				t.Errorf("got panic %v, want the host's", v)
			}
		}()
		_ = s.CreateUser(t.Context(), n)
	}()
	if exists(t, s, "1") {
		t.Error("the user is there")
	}
	n.OnCreate = nil
	if err := s.CreateUser(t.Context(), n); err != nil {
		t.Errorf("CreateUser once more: got error %v, want none", err)
	}
}

func TestLeasesFollowTheStoresClock(t *testing.T) {
	t.Parallel()
	now := epoch.Add(-time.Microsecond)
	clock := newStore(t, func() time.Time { return now })
	t.Run("given", func(t *testing.T) { leases(t, clock, func(d time.Duration) { now = now.Add(d) }) })
	t.Run("synctest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t, func() time.Time { return time.Now().Add(-time.Microsecond) })
			leases(t, s, time.Sleep)
		})
	})
}

// leases expects the store's clock to stand a microsecond before epoch.
func leases(t *testing.T, s *memstore.Store, pass func(time.Duration)) {
	t.Helper()
	mustCreate(t, s, newNotifiedUser("1"))
	claim := func(when string, want int) {
		t.Helper()
		rows, err := s.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Hour, Limit: 10})
		if err != nil || len(rows) != want {
			t.Fatalf("Claim %s: got %d rows and error %v, want %d", when, len(rows), err, want)
		}
	}

	claim("a microsecond before the row is due", 0)
	pass(time.Microsecond)
	claim("when it is due", 1)
	pass(time.Hour - time.Microsecond)
	claim("a microsecond before the lease ends", 0)
	pass(time.Microsecond)
	claim("when the lease ends", 1)

	mustSettle(t, s, "1", users.OutcomeRetry, time.Minute)
	claim("at once after a failed attempt", 0)
	pass(time.Minute)
	claim("when the next attempt is due", 1)
}

// BenchmarkClaim claims and releases 100 rows of a few and of many that wait.
func BenchmarkClaim(b *testing.B) {
	for _, waiting := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			s := newStore(b, nil)
			for i := range waiting {
				mustCreate(b, s, newNotifiedUser(fmt.Sprint(i)))
			}
			for b.Loop() {
				rows, err := s.Claim(b.Context(), users.Claim{Worker: "w", Lease: time.Hour, Limit: 100})
				if err != nil || len(rows) != 100 {
					b.Fatal(len(rows), err)
				}
				for _, r := range rows {
					mustSettle(b, s, r.ID, users.OutcomeReleased, 0)
				}
			}
		})
	}
}

// mustDo runs what a test needs.
func mustDo(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestListCopiesThePageAlone(t *testing.T) { // not parallel: it counts allocations
	s := newStore(t, nil)
	const many = 10_000
	for i := range many {
		n := newUser(fmt.Sprintf("%05d", i*7919%many))
		n.DashboardSettings = []byte("{}")
		mustCreate(t, s, n)
	}
	q := users.UserListing{ApplicationID: "app", Order: []users.Order{{By: users.ByUserName, Desc: true}}, Offset: 5, Limit: 10, Count: true}
	allocs := testing.AllocsPerRun(5, func() {
		list, err := s.ListUsers(t.Context(), q)
		if err != nil || list.Total != many || len(list.Users) != 10 || list.Users[0].ID != "09994" || list.Users[9].ID != "09985" {
			t.Fatalf("got %d users of %d and error %v, want 09994 to 09985 of %d", len(list.Users), list.Total, err, many)
		}
	})
	if allocs > 200 {
		t.Errorf("got %.0f allocations for a page of 10, want no more than the page and its place need", allocs)
	}
}

func TestPurgeCountsEachLinkToADeletedRole(t *testing.T) {
	t.Parallel()
	s := newStore(t, nil)
	role := users.RoleRecord{Role: users.Role{ID: "r", Name: "r"}, NameKey: "r"}
	mustDo(t, s.CreateRole(t.Context(), "app", role))
	var last *users.NewUser
	for i := range 7 {
		last = newUser(fmt.Sprint(i))
		last.Roles = []users.Role{role.Role}
		mustCreate(t, s, last)
	}
	mustDo(t,
		s.DeleteRole(t.Context(), "app", "r"),
		s.DeleteUser(t.Context(), users.UserDeletion{ApplicationID: "app", ID: "0", IfVersion: 1}),
		s.EditUser(t.Context(), &users.UserEdit{UserRecord: newUser("1").UserRecord}),
	)

	for _, want := range []int{2, 2, 1, 0} { // the links of the five who are left
		if n, err := s.Purge(t.Context(), 2); n != want || err != nil {
			t.Errorf("Purge: got %d and error %v, want %d", n, err, want)
		}
	}
}

// The id of a deleted role is not used again by a Service; if it is, nobody has the
// role who had the former one.
func TestFormerHoldersDoNotGetARoleOfTheSameID(t *testing.T) {
	t.Parallel()
	s := newStore(t, nil)
	role := users.RoleRecord{Role: users.Role{ID: "r", Name: "r"}, NameKey: "r"}
	mustDo(t, s.CreateRole(t.Context(), "app", role))
	n := newUser("1")
	n.Roles = []users.Role{role.Role}
	mustCreate(t, s, n)
	mustDo(t, s.DeleteRole(t.Context(), "app", "r"), s.CreateRole(t.Context(), "app", role))

	found, err := s.FindUsers(t.Context(), users.UserQuery{ApplicationID: "app", IDs: []string{"1"}})
	if err != nil || len(found) != 1 || len(found[0].Roles) != 0 {
		t.Errorf("got %v and error %v, want the user without roles", found, err)
	}
}

func TestLocksFollowTheStoresClock(t *testing.T) {
	t.Parallel()
	now := epoch
	s := newStore(t, func() time.Time { return now })
	mustCreate(t, s, newUser("1"))
	begin := func(when string, want int) {
		t.Helper()
		got, err := s.BeginLogin(t.Context(), users.LoginAttempt{
			ApplicationID: "app", UserID: "1", Free: 1, First: time.Minute, Max: time.Hour,
		})
		if got != want || err != nil {
			t.Errorf("BeginLogin %s: got %d and error %v, want %d", when, got, err, want)
		}
	}

	begin("at first", 1)
	now = now.Add(time.Minute - time.Microsecond)
	begin("a microsecond before the lock ends", 0)
	now = now.Add(time.Microsecond)
	begin("when it ends", 2)
	now = now.Add(2*time.Minute - time.Microsecond)
	begin("a microsecond before the second lock ends", 0)
	now = now.Add(time.Microsecond)
	begin("when it ends", 3)
}

func TestPurgedNotificationsLeaveThePendingOne(t *testing.T) {
	t.Parallel()
	s := newStore(t, func() time.Time { return epoch })
	mustCreate(t, s, newNotifiedUser("1"))
	claim := users.Claim{Worker: "w", Lease: time.Hour, Limit: 10}
	if rows, err := s.Claim(t.Context(), claim); err != nil || len(rows) != 1 {
		t.Fatalf("Claim: got %d rows and error %v, want 1", len(rows), err)
	}
	mustSettle(t, s, "1", users.OutcomeDiscarded, 0)
	again := newNotifiedUser("1").Notifications[0]
	again.ID = "2"
	mustDo(t, s.Enqueue(t.Context(), again, 0))
	if n, err := s.PurgeDiscarded(t.Context(), 0, 10); n != 1 || err != nil {
		t.Errorf("PurgeDiscarded: got %d and error %v, want 1", n, err)
	}

	again.ID = "3"
	mustDo(t, s.Enqueue(t.Context(), again, 0))
	rows, err := s.ListNotifications(t.Context(), users.NotificationQuery{ApplicationID: "app"})
	if err != nil || len(rows) != 1 || rows[0].ID != "2" {
		t.Errorf("got %v and error %v, want the one that is pending alone", rows, err)
	}
}
