package suite

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/fill"
	"github.com/gousers/users/sqlstore"
)

// The statements that look at every user of an application, by what they are for: no
// index serves them.
var (
	phrasePass = regexp.MustCompile(`instr\(name_key, \S+\) > 0|name_key LIKE \S+ ESCAPE`)
	countAll   = regexp.MustCompile(`^SELECT count\(\*\) FROM \S*users\S*( FORCE INDEX \(\S+\))? WHERE application_id = \S+$`)
)

const listed = 6000 // users

// page is a page that an index serves.
type page struct {
	name  string
	q     users.UserListing
	index string // that it is read from; several are possible: separated by |
	most  int    // rows and entries of indexes that a statement may read
}

// ListPlans checks the plans of the lists of users: a page reads no more rows than are
// on it or before it, a filter no more than match, in an index that has the order. Two
// may look at every user: that for a phrase, and the count.
func ListPlans(t *testing.T, g *Target) {
	g.Share(t)
	e := g.Fresh(t)
	e.addApplication(t)
	for _, id := range []string{"few", "all"} {
		must(t, e.Store.CreateRole(t.Context(), "app", users.RoleRecord{Role: users.Role{ID: id, Name: id}, NameKey: id}))
	}
	must(t, fill.Users(e.DB, e.Dialect, e.table("users"), "app", 0, listed))
	must(t, fill.Role(e.DB, e.table("user_roles"), e.table("users"), "app", "few", 300))
	must(t, fill.Role(e.DB, e.table("user_roles"), e.table("users"), "app", "all", 1))
	if e.Dialect != sqlstore.SQLite {
		e.analyze(t)
	}

	for _, p := range append(flatPages(), filteredPages()...) {
		t.Run(p.name, func(t *testing.T) { e.checkPage(t, p) })
	}
	t.Run("Phrase", func(t *testing.T) { e.checkPhrase(t) })
	t.Run("Count", func(t *testing.T) { e.checkCount(t) })
}

// flatPages are those of all users in every flat order, in both directions: the first,
// one by its number, and one after a user.
func flatPages() (all []page) {
	indexes := map[users.Member]string{
		users.ByID: "users_pk|PRIMARY|autoindex_users_1", users.ByUserName: "users_name|autoindex_users_2",
		users.ByEmail: "users_email|autoindex_users_3", users.ByDateCreated: "users_created",
	}
	const n = listed/2 - 5 // is about in the middle, also backwards
	middle := users.UserRecord{NameKey: fill.Name(n), EmailKey: fill.Name(n) + "@example.com"}
	middle.ID, middle.DateCreated = fill.ID(n), time.UnixMicro(n/3).UTC()
	for _, by := range flat {
		for _, desc := range []bool{false, true} {
			first := users.UserListing{Order: []users.Order{{By: by, Desc: desc}}}
			numbered, after := first, first
			numbered.Offset = 1000
			after.After = &middle
			name := fmt.Sprintf("%s,desc=%v/", by, desc)
			all = append(all,
				page{name: name + "First", q: first, index: indexes[by], most: 60},
				page{name: name + "Numbered", q: numbered, index: indexes[by], most: 1060},
				page{name: name + "After", q: after, index: indexes[by], most: 60})
		}
	}
	return all
}

// filteredPages are those of few users among many.
func filteredPages() []page {
	byName := []users.Order{{By: users.ByUserName}}
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = fill.ID(i * 100)
	}
	match := func(m users.UserMatch, order []users.Order) users.UserListing {
		return users.UserListing{UserMatch: m, Order: order}
	}
	few := users.UserMatch{RoleIDs: []string{"few"}}
	notApproved, locked := users.UserMatch{IsApproved: new(false)}, users.UserMatch{IsLockedOut: new(true)}
	matching := 2 * (listed/100 + listed/200)
	return []page{
		{name: "Role", q: match(few, nil), index: "user_roles", most: 200},
		// SQLite goes by the name, and asks for each user whether it has the role: that
		// costs less than sorting a role that many have.
		{name: "RoleByName", q: match(few, byName), index: "user_roles", most: 200},
		{name: "NotApproved", q: match(notApproved, nil), index: "users_standing", most: matching + 60},
		{name: "NotApprovedByName", q: match(notApproved, byName), index: "users_standing|users_name|autoindex_users_2", most: 700},
		{name: "Locked", q: match(locked, nil), index: "users_standing", most: matching + 60},
		{name: "IDs", q: match(users.UserMatch{IDs: ids}, byName), index: "users_pk|PRIMARY|autoindex_users_1", most: 200},
	}
}

func (e *Env) checkPage(t *testing.T, p page) {
	p.q.ApplicationID, p.q.Limit = "app", 10
	sent := e.sentBy(func() {
		list, err := e.Store.ListUsers(t.Context(), p.q)
		if err != nil || len(list.Users) != 10 {
			t.Fatalf("got %d users and %v, want 10", len(list.Users), err)
		}
	})
	used := false
	for _, s := range sent {
		plan := e.planOf(t, s)
		if regexp.MustCompile(`\b(\w+_)?(` + p.index + `)\w*\b`).MatchString(plan) {
			used = true
		}
		if strings.HasPrefix(s.text, "SELECT id, -1") {
			if regexp.MustCompile(`Seq Scan|SCAN (\S+\.)?"?users`).MatchString(plan) {
				t.Errorf("a scan\n%s\n%s", s.text, plan)
			}
			if p.q.UserMatch.RoleIDs == nil && p.q.IDs == nil && p.q.IsApproved == nil && p.q.IsLockedOut == nil && sorts.MatchString(plan) {
				t.Errorf("it sorts\n%s\n%s", s.text, plan)
			}
		}
		if read := e.rowsRead(t, s); read > p.most {
			t.Errorf("it reads %d rows, want at most %d\n%s\n%s", read, p.most, s.text, plan)
		}
	}
	if !used {
		t.Errorf("no statement reads %s:\n%v", p.index, sent)
	}
}

var sorts = regexp.MustCompile(`Sort|filesort|TEMP B-TREE`)

// checkPhrase has one statement look at all users, once, and only for the ids; on MySQL
// one more counts.
func (e *Env) checkPhrase(t *testing.T) {
	passes := 0
	for _, s := range e.sentBy(func() {
		list, err := e.Store.ListUsers(t.Context(), users.UserListing{
			ApplicationID: "app", UserMatch: users.UserMatch{Phrase: "zoe"}, Order: []users.Order{{By: users.ByUserName}},
			Limit: 3, Count: true,
		})
		if err != nil || len(list.Users) != 3 || list.Total != listed/1000 {
			t.Fatalf("got %d of %d users and %v, want 3 of %d", len(list.Users), list.Total, err, listed/1000)
		}
	}) {
		most := 60
		if phrasePass.MatchString(s.text) {
			passes++
			most = listed + 60
		}
		if read := e.rowsRead(t, s); read > most {
			t.Errorf("it reads %d rows, want at most %d\n%s\n%s", read, most, s.text, e.planOf(t, s))
		}
	}
	want := 1
	if e.Dialect == sqlstore.MySQL {
		want = 2
	}
	if passes != want {
		t.Errorf("got %d passes for a phrase, want %d", passes, want)
	}
}

// checkCount has one statement count, which MySQL does not do in the rows themselves.
func (e *Env) checkCount(t *testing.T) {
	counts := 0
	for _, s := range e.sentBy(func() {
		list, err := e.Store.ListUsers(t.Context(), users.UserListing{ApplicationID: "app", Limit: 3, Count: true})
		if err != nil || list.Total != listed {
			t.Fatalf("got a total of %d and %v, want %d", list.Total, err, listed)
		}
	}) {
		if !countAll.MatchString(s.text) {
			continue
		}
		counts++
		if plan := e.planOf(t, s); e.Dialect == sqlstore.MySQL && !strings.Contains(plan, "users_created") {
			t.Errorf("the count does not read users_created\n%s\n%s", s.text, plan)
		}
	}
	if counts != 1 {
		t.Errorf("got %d counts, want 1", counts)
	}
}
