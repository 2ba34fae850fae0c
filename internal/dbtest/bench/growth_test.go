package bench_test

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/fill"
	"github.com/gousers/users/sqlstore"
)

// few is what BenchmarkGrowth compares with.
const few = 10_000

// many is how many users it compares: USERS_BENCH_USERS, 100,000 unless it is set.
func many(b *testing.B) int {
	text := os.Getenv("USERS_BENCH_USERS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= few {
		b.Fatalf("USERS_BENCH_USERS: got %q, want more than %d", text, few)
	}
	return n
}

// BenchmarkGrowth measures what calls cost with many users in the application, as a
// multiple of what they cost with 10,000: both in turns, and the median of all turns.
// What costs the same however many there are is near 1. And it measures what grows with
// the number of users, in milliseconds.
func BenchmarkGrowth(b *testing.B) {
	for _, e := range engines {
		if e.name == "SQLiteFULL" || e.name == "MariaDB" && os.Getenv("USERS_BENCH_USERS") == "" {
			continue
		}
		b.Run(e.name, func(b *testing.B) {
			sizes := [2]crowd{e.crowd(b, few), e.crowd(b, many(b))}
			for _, call := range flatCalls() {
				b.Run(call.name, func(b *testing.B) { compareSizes(b, sizes, call.run) })
			}
			for _, call := range growingCalls() {
				b.Run(call.name, func(b *testing.B) {
					b.ReportMetric(milliseconds(b, sizes[1], call.run), "ms")
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}

// crowd is a store whose application has many users.
type crowd struct {
	*sqlstore.Store
	users int
	next  *int // the user that a call of its own is for
}

func (e engine) crowd(b *testing.B, n int) crowd {
	b.Helper()
	db, store := e.open(b, 4, false)
	if err := fill.Users(db, e.dialect, "users", "app", 0, n); err != nil {
		b.Fatal(err)
	}
	if err := fill.Role(db, "user_roles", "users", "app", "r1", 10); err != nil {
		b.Fatal(err)
	}
	e.settle(b, db)
	return crowd{store, n, new(int)}
}

// settle lets the database count, and clean up behind the many statements.
func (e engine) settle(b *testing.B, db *sql.DB) {
	b.Helper()
	for _, text := range map[sqlstore.Dialect][]string{
		sqlstore.Postgres: {"VACUUM ANALYZE users", "VACUUM ANALYZE user_roles", "CHECKPOINT"},
		sqlstore.MySQL:    {"ANALYZE TABLE users", "ANALYZE TABLE user_roles"},
		sqlstore.SQLite:   {"PRAGMA wal_checkpoint(TRUNCATE)"},
	}[e.dialect] {
		if _, err := db.Exec(text); err != nil {
			b.Fatal(err)
		}
	}
}

// some returns the number of another user each time, all over the application.
func (c crowd) some() int {
	*c.next++
	return *c.next * 7919 % c.users
}

type sizedCall struct {
	name string
	run  func(b *testing.B, c crowd)
}

// flatCalls are those that cost the same however many users there are.
func flatCalls() []sizedCall {
	list := func(name string, order users.Order) sizedCall {
		return sizedCall{"Page/" + name, func(b *testing.B, c crowd) {
			n := c.some()
			after := &users.UserRecord{NameKey: fill.Name(n), EmailKey: fill.Name(n) + "@example.com"}
			after.ID, after.DateCreated = fill.ID(n), time.UnixMicro(int64(n/3)).UTC()
			c.list(b, users.UserListing{Order: []users.Order{order}, After: after})
		}}
	}
	find := func(name string, query func(n int) users.UserQuery) sizedCall {
		return sizedCall{"Find/" + name, func(b *testing.B, c crowd) {
			q := query(c.some())
			q.ApplicationID = "app"
			if found, err := c.FindUsers(b.Context(), q); err != nil || len(found) != 1 {
				b.Fatalf("got %d users and %v, want 1", len(found), err)
			}
		}}
	}
	return []sizedCall{
		list("ID", users.Order{By: users.ByID}),
		list("Name", users.Order{By: users.ByUserName}),
		list("EmailDesc", users.Order{By: users.ByEmail, Desc: true}),
		list("DateCreatedDesc", users.Order{By: users.ByDateCreated, Desc: true}),
		find("ID", func(n int) users.UserQuery { return users.UserQuery{IDs: []string{fill.ID(n)}} }),
		find("Name", func(n int) users.UserQuery { return users.UserQuery{NameKeys: []string{fill.Name(n)}} }),
		find("Email", func(n int) users.UserQuery {
			return users.UserQuery{EmailKeys: []string{fill.Name(n) + "@example.com"}}
		}),
		{"Create", func(b *testing.B, c crowd) {
			if err := c.CreateUser(b.Context(), newUser()); err != nil {
				b.Fatal(err)
			}
		}},
		{"Update", func(b *testing.B, c crowd) {
			u := c.user(b)
			u.Name += "x"
			if err := c.EditUser(b.Context(), &users.UserEdit{UserRecord: u}); err != nil {
				b.Fatal(err)
			}
		}},
		{"SignIn", func(b *testing.B, c crowd) {
			id := fill.ID(c.some())
			_, err := c.BeginLogin(b.Context(), users.LoginAttempt{ApplicationID: "app", UserID: id, Free: 10, First: time.Minute, Max: time.Hour})
			if err != nil {
				b.Fatal(err)
			}
			if err := c.EndLogin(b.Context(), users.LoginEnd{ApplicationID: "app", UserID: id, Now: time.Now()}); err != nil {
				b.Fatal(err)
			}
		}},
		{"Delete", func(b *testing.B, c crowd) {
			u := c.user(b)
			if err := c.DeleteUser(b.Context(), users.UserDeletion{ApplicationID: "app", ID: u.ID, IfVersion: u.Version}); err != nil {
				b.Fatal(err)
			}
		}},
	}
}

// user returns the next user that is there.
func (c crowd) user(b *testing.B) users.UserRecord {
	b.Helper()
	for range c.users {
		found, err := c.FindUsers(b.Context(), users.UserQuery{ApplicationID: "app", IDs: []string{fill.ID(c.some())}})
		if err != nil {
			b.Fatal(err)
		}
		if len(found) == 1 {
			return found[0]
		}
	}
	b.Fatal("all users are deleted")
	return users.UserRecord{}
}

func (c crowd) list(b *testing.B, q users.UserListing) {
	b.Helper()
	q.ApplicationID, q.Limit = "app", 10
	if _, err := c.ListUsers(b.Context(), q); err != nil {
		b.Fatal(err)
	}
}

// growingCalls are those that cost more the more users there are.
func growingCalls() []sizedCall {
	byName := []users.Order{{By: users.ByUserName}}
	call := func(name string, q users.UserListing) sizedCall {
		return sizedCall{"Grows/" + name, func(b *testing.B, c crowd) { c.list(b, q) }}
	}
	return []sizedCall{
		call("FirstPageUncounted", users.UserListing{Order: byName}),
		call("Count", users.UserListing{Order: byName, Count: true}),
		call("NumberedAt10000", users.UserListing{Order: byName, Offset: 10_000}),
		call("NumberedAt100000", users.UserListing{Order: byName, Offset: 100_000}),
		call("PhraseOfAThousandth", users.UserListing{UserMatch: users.UserMatch{Phrase: "zoe"}, Order: byName, Count: true}),
		call("PhraseOfNearlyAll", users.UserListing{UserMatch: users.UserMatch{Phrase: "ann"}, Order: byName, Count: true}),
		call("RoleOfATenth", users.UserListing{UserMatch: users.UserMatch{RoleIDs: []string{"r1"}}, Order: byName}),
		call("RoleOfATenthCounted", users.UserListing{UserMatch: users.UserMatch{RoleIDs: []string{"r1"}}, Order: byName, Count: true}),
		call("NotApproved", users.UserListing{UserMatch: users.UserMatch{IsApproved: new(false)}, Order: byName}),
		call("OrderedByDisplayName", users.UserListing{Order: []users.Order{{By: users.ByName}}}),
	}
}

// compareSizes reports what a call costs with many users as a multiple of what it costs
// with few.
func compareSizes(b *testing.B, sizes [2]crowd, call func(*testing.B, crowd)) {
	b.Helper()
	const turn = 10
	var ratios []float64
	var spent [2]time.Duration
	for i := range sizes { // what is read for the first time is read from the disk
		for range turn {
			call(b, sizes[i])
		}
	}
	for turns := 0; turns < 40; turns++ {
		var took [2]time.Duration
		for i := range sizes {
			which := (i + turns) % 2 // neither always goes first
			start := time.Now()
			for range turn {
				call(b, sizes[which])
			}
			took[which] = time.Since(start)
			spent[which] += took[which]
		}
		ratios = append(ratios, float64(took[1])/float64(took[0]))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], fmt.Sprintf("x-of-%d", few))
	b.ReportMetric(spent[1].Seconds()*1000/float64(turn*len(ratios)), "ms")
	b.ReportMetric(0, "ns/op")
}

// milliseconds returns the median of a few calls.
func milliseconds(b *testing.B, c crowd, call func(*testing.B, crowd)) float64 {
	b.Helper()
	call(b, c)
	var took []time.Duration
	for range 5 {
		start := time.Now()
		call(b, c)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2].Seconds() * 1000
}
