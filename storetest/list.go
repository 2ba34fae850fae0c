package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gousers/users"
)

func listCases() []testCase {
	const afterClause = "Of it the member of Order and the ID count, whether it still exists or not"
	return []testCase{
		{"ListFilters", withLister, listFilters,
			"ListUsers returns the users of q.ApplicationID that match all of q"},
		{"ListPhraseIsLiteral", withLister, listPhraseIsLiteral,
			"Phrase matches users whose NameKey, EmailKey or DisplayKey contains it, byte for byte: no " +
				"character stands for others"},
		{"ListByManyKeys", withLister, listByManyKeys,
			"IDs and RoleIDs match users that have one of these. At most MaxPage each"},
		{"ListEmptySets", withLister, listEmptySets,
			"Nil and empty members do not restrict, but an empty IDs or RoleIDs that is not nil matches nobody"},
		{"ListOrders", withLister, listOrders,
			"Strings are compared by the bytes of their keys (ID, NameKey, EmailKey, DisplayKey), and false " +
				"comes before true"},
		{"ListTies", withLister, listTies,
			"What is equal follows in order of ID, in the direction of the first member"},
		{"ListComesBack", withLister, listComesBack,
			"UserList is a page of users as they are stored"},
		{"ListPages", withLister, listPages,
			"Offset is how many users are skipped, 0 or more; Limit is how many are returned at most, 1 to " +
				"MaxPage + 1"},
		{"ListPagesAfter", withLister, listPagesAfter,
			"After is the last user of the page before; nil: from the start"},
		{"ListAfterNobody", withLister, listAfterNobody, afterClause},
		{"ListAfterKeyTakenOver", withLister, listAfterKeyTakenOver,
			afterClause + ", and where the member is unique that alone"},
		{"ListCounts", withLister, listCounts,
			"of the users that match, on whatever page; 0 without Count"},
		{"ListOtherApplication", withLister, listOtherApplication,
			"nothing is ever found or in conflict across applications"},
		{"ListRoleDeleted", withLister | withRoleEditor, listRoleDeleted,
			"DeleteRole deletes the role: from then on nobody has it"},
		{"RacingLists", withLister, racingLists,
			"One call sees one state"},
	}
}

// people stores users that share values of every member that is not unique, in
// another order than that of their ids, and in bytes that collations order otherwise.
// Those at even places have the first role, every third one has the second.
func (p *probe) people(a users.Application) (all []users.UserRecord, roles [2]users.Role) {
	roles = [2]users.Role{p.role(a, "first"), p.role(a, "second")}
	names := []string{"", "zoe", "Zoe", "ann", "änn", "ann b", "ann_b", "ann%"}
	for i := range 24 {
		n := p.user(a)
		if i%5 == 0 {
			n.ID = fmt.Sprintf("0190163d-8694-739b-aea5-%012d", 99-i)
		}
		n.NameKey = fmt.Sprintf("%s%02d", []string{"a", "Z", "_", "é"}[i%4], i*7%24)
		n.EmailKey = fmt.Sprintf("%s%02d@example.com", []string{"b", "B", "-", "ß", "é"}[i%5], i*5%24)
		n.Name, n.DisplayKey = names[i%8], names[i%8]
		n.IsApproved, n.IsLockedOut = i%3 != 0, i%4 == 0
		n.DateCreated = base.Add(time.Duration(i*5%6) * time.Microsecond)
		n.CreationDate = base.AddDate(-400*(i%5), 0, 0)
		n.DateUpdated = base.Add(-time.Duration(i%7) * time.Second)
		if i%2 == 0 {
			n.Roles = append(n.Roles, roles[0])
		}
		if i%3 == 0 {
			n.Roles = append(n.Roles, roles[1])
		}
		all = append(all, p.create(n).UserRecord)
	}
	return all, roles
}

// everybody is a limit that leaves nobody out.
const everybody = users.MaxPage + 1

// list returns what q selects; without a Limit all of it.
func (p *probe) list(q users.UserListing) users.UserList {
	q.Limit = cmp.Or(q.Limit, everybody)
	list, err := p.lister.ListUsers(p.ctx, q)
	p.must("ListUsers", err)
	return list
}

// wantListed notes other users than want, or another order.
func (p *probe) wantListed(what string, q users.UserListing, want []string) {
	p.wantStrings("ListUsers "+what, userIDs(p.list(q).Users), want)
}

// listed returns the ids of those of all that keep passes, in this order.
func listed(all []users.UserRecord, keep func(users.UserRecord) bool, order ...users.Order) []string {
	var kept []users.UserRecord
	for _, u := range all {
		if keep(u) {
			kept = append(kept, u)
		}
	}
	tie := users.Order{By: users.ByID, Desc: len(order) > 0 && order[0].Desc}
	slices.SortFunc(kept, func(a, b users.UserRecord) int {
		for _, o := range append(slices.Clone(order), tie) {
			if c := strings.Compare(sortValue(o.By, a), sortValue(o.By, b)); c != 0 && o.Desc {
				return -c
			} else if c != 0 {
				return c
			}
		}
		return 0
	})
	return userIDs(kept)
}

func anybody(users.UserRecord) bool { return true }

// sortValue returns the value of a member in a form whose bytes are in its order.
func sortValue(m users.Member, u users.UserRecord) string {
	const stamp = "20060102150405.000000"
	switch m {
	case users.ByID:
		return u.ID
	case users.ByUserName:
		return u.NameKey
	case users.ByEmail:
		return u.EmailKey
	case users.ByName:
		return u.DisplayKey
	case users.ByDateCreated:
		return u.DateCreated.Format(stamp)
	case users.ByCreationDate:
		return u.CreationDate.Format(stamp)
	case users.ByDateUpdated:
		return u.DateUpdated.Format(stamp)
	case users.ByIsApproved:
		return strconv.FormatBool(u.IsApproved)
	case users.ByIsLockedOut:
		return strconv.FormatBool(u.IsLockedOut)
	}
	panic("no such member: " + string(m))
}

// members are all by which users can be ordered.
func members() []users.Member {
	return []users.Member{
		users.ByID, users.ByUserName, users.ByEmail, users.ByDateCreated, users.ByName,
		users.ByCreationDate, users.ByDateUpdated, users.ByIsApproved, users.ByIsLockedOut,
	}
}

// matches is what m means.
func matches(m users.UserMatch, u users.UserRecord) bool {
	has := func(r users.Role) bool { return slices.Contains(m.RoleIDs, r.ID) }
	return (strings.Contains(u.NameKey, m.Phrase) || strings.Contains(u.EmailKey, m.Phrase) ||
		strings.Contains(u.DisplayKey, m.Phrase)) &&
		(m.IDs == nil || slices.Contains(m.IDs, u.ID)) &&
		(m.RoleIDs == nil || slices.ContainsFunc(u.Roles, has)) &&
		(m.IsApproved == nil || *m.IsApproved == u.IsApproved) &&
		(m.IsLockedOut == nil || *m.IsLockedOut == u.IsLockedOut)
}

// listFilters restricts by each member alone and by several. A user that has two of
// the roles asked for comes once.
func listFilters(p *probe) {
	a := p.app()
	all, roles := p.people(a)
	for what, m := range map[string]users.UserMatch{
		"without a filter":     {},
		"by a phrase of names": {Phrase: "Z"},
		"by a phrase of all":   {Phrase: "nn"},
		"by ids":               {IDs: []string{all[7].ID, all[2].ID, all[2].ID, all[5].ID, "nobody"}},
		"by one role":          {RoleIDs: []string{roles[1].ID}},
		"by two roles":         {RoleIDs: []string{roles[1].ID, roles[0].ID, roles[1].ID}},
		"by an unknown role":   {RoleIDs: []string{p.id()}},
		"approved":             {IsApproved: new(true)},
		"not approved":         {IsApproved: new(false)},
		"locked":               {IsLockedOut: new(true)},
		"not locked":           {IsLockedOut: new(false)},
		"by everything": {
			Phrase: "a", IDs: userIDs(all[3:20]), RoleIDs: []string{roles[0].ID, roles[1].ID},
			IsApproved: new(true), IsLockedOut: new(false),
		},
	} {
		want := listed(all, func(u users.UserRecord) bool { return matches(m, u) })
		p.wantListed(what, users.UserListing{ApplicationID: a.ID, UserMatch: m}, want)
	}
}

// listPhraseIsLiteral looks for what SQL's LIKE, GLOB and regular expressions take for
// patterns, for quotes, and for letters that collations take for each other. The
// names as they were given do not count.
func listPhraseIsLiteral(p *probe) {
	a := p.app()
	var all []users.UserRecord
	for _, key := range append(lookalikes(), "a.c", "abc", `a\%c`, "a[b]c", "a*c", "a?c", "$&", "ab_", wide(256)) {
		n := p.user(a)
		n.UserName, n.Email, n.Name = "UPPER", "UPPER@example.com", "UPPER"
		n.NameKey, n.EmailKey, n.DisplayKey = n.ID+"-1", n.ID+"-2", n.ID+"-3"
		for i, to := range []*string{&n.NameKey, &n.EmailKey, &n.DisplayKey} {
			if len(all)%3 == i && len(key) <= 300 || i == 2 && len(key) > 300 {
				*to = key
			}
		}
		all = append(all, p.create(n).UserRecord)
	}

	for _, phrase := range append(lookalikes(), "%", "_", `\`, `\%`, `\_`, "%%", "a%c", "a_c", "a.c", "[b]", "*", "?", "'",
		`"`, "' OR '1'='1", "o", "O", "e", "é", "ss", "UPPER", "$&", wide(users.MaxPhrase), wide(3*users.MaxPhrase)) {
		m := users.UserMatch{Phrase: phrase}
		want := listed(all, func(u users.UserRecord) bool { return matches(m, u) })
		p.wantListed(fmt.Sprintf("by the phrase %.20q", phrase), users.UserListing{ApplicationID: a.ID, UserMatch: m}, want)
	}
}

// listByManyKeys asks for as many as there may be, in an order and with a place in it:
// more than some databases take as parameters.
func listByManyKeys(p *probe) {
	a := p.app()
	all, roles := p.people(a)
	var m users.UserMatch
	for i := range users.MaxPage - len(all) {
		m.IDs = append(m.IDs, fmt.Sprintf("nobody %d", i))
	}
	for i := range users.MaxPage - 1 {
		m.RoleIDs = append(m.RoleIDs, fmt.Sprintf("no role %d", i))
	}
	m.IDs, m.RoleIDs = append(m.IDs, userIDs(all)...), append(m.RoleIDs, roles[0].ID)
	ids, roleIDs := slices.Clone(m.IDs), slices.Clone(m.RoleIDs)

	keep := func(u users.UserRecord) bool { return matches(m, u) }
	order := []users.Order{{By: users.ByUserName, Desc: true}}
	q := users.UserListing{ApplicationID: a.ID, UserMatch: m, Order: order}
	want := listed(all, keep, order...)
	p.wantListed("by 2,000 keys", q, want)
	q.After = place(all, want[4])
	p.wantListed("by 2,000 keys, after one", q, want[5:])
	p.wantStrings("the caller's q.IDs", m.IDs, ids)
	p.wantStrings("the caller's q.RoleIDs", m.RoleIDs, roleIDs)
}

// listEmptySets: a caller who asks for users with one of no roles must not get all.
func listEmptySets(p *probe) {
	a := p.app()
	all, roles := p.people(a)
	for what, c := range map[string]struct {
		m    users.UserMatch
		want []string
	}{
		"nil":                         {users.UserMatch{}, listed(all, anybody)},
		"no IDs":                      {users.UserMatch{IDs: []string{}}, nil},
		"no RoleIDs":                  {users.UserMatch{RoleIDs: []string{}}, nil},
		"no RoleIDs beside IDs":       {users.UserMatch{IDs: userIDs(all), RoleIDs: []string{}}, nil},
		"no IDs beside RoleIDs":       {users.UserMatch{IDs: []string{}, RoleIDs: []string{roles[0].ID}}, nil},
		"a phrase that nobody has":    {users.UserMatch{Phrase: "nobody at all"}, nil},
		"IDs that are empty strings":  {users.UserMatch{IDs: []string{""}}, nil},
		"RoleIDs that are no role's":  {users.UserMatch{RoleIDs: []string{""}}, nil},
		"an empty phrase beside them": {users.UserMatch{Phrase: "", IDs: []string{all[3].ID}}, []string{all[3].ID}},
	} {
		list := p.list(users.UserListing{ApplicationID: a.ID, UserMatch: c.m, Count: true})
		p.wantStrings("ListUsers with "+what, userIDs(list.Users), c.want)
		if list.Total != int64(len(c.want)) {
			p.errorf("ListUsers with %s: got Total %d, want %d", what, list.Total, len(c.want))
		}
	}
}

// listOrders lists by each member in both directions, by several, and by none.
func listOrders(p *probe) {
	a := p.app()
	all, _ := p.people(a)
	orders := [][]users.Order{
		{},
		{{By: users.ByName}, {By: users.ByUserName}},
		{{By: users.ByIsApproved}, {By: users.ByName, Desc: true}},
		{{By: users.ByDateCreated, Desc: true}, {By: users.ByEmail}},
		{{By: users.ByUserName}, {By: users.ByName}},
		{{By: users.ByIsLockedOut, Desc: true}, {By: users.ByIsApproved}, {By: users.ByDateUpdated, Desc: true}, {By: users.ByID}},
		{{By: users.ByCreationDate}, {By: users.ByDateUpdated}, {By: users.ByName}, {By: users.ByIsApproved, Desc: true}},
	}
	for _, m := range members() {
		orders = append(orders, []users.Order{{By: m}}, []users.Order{{By: m, Desc: true}})
	}
	for _, order := range orders {
		want := listed(all, anybody, order...)
		p.wantListed(fmt.Sprint("in the order ", order), users.UserListing{ApplicationID: a.ID, Order: order}, want)
	}
}

// listTies has users that are equal in all that is ordered by: a page of them must not
// depend on how the rows lie.
func listTies(p *probe) {
	a := p.app()
	var want []string
	for range 12 {
		want = append(want, p.create(p.user(a)).ID)
	}
	backwards := slices.Clone(want)
	slices.Reverse(backwards)

	for _, m := range members()[3:] { // those that are not unique
		for _, c := range []struct {
			order []users.Order
			want  []string
		}{
			{[]users.Order{{By: m}}, want},
			{[]users.Order{{By: m, Desc: true}}, backwards},
			{[]users.Order{{By: m, Desc: true}, {By: users.ByIsApproved}}, backwards},
			{[]users.Order{{By: users.ByIsLockedOut}, {By: users.ByName, Desc: true}}, want},
		} {
			q := users.UserListing{ApplicationID: a.ID, Order: c.order}
			p.wantListed(fmt.Sprint("of equals in the order ", c.order), q, c.want)
			q.Offset, q.Limit = 5, 4
			p.wantListed(fmt.Sprint("of a page of equals in the order ", c.order), q, c.want[5:9])
		}
	}
}

// listComesBack lists users with every field at its limit, their roles in full.
func listComesBack(p *probe) {
	a := p.app()
	r, s := p.role(a, "r"), p.role(a, "s")
	long, full, plain := p.longest(a), p.full(a, r, s), p.user(a)
	full.LastLogin, full.Login = base, users.LoginState{Failures: 3, LockedUntil: base.Add(time.Minute)}
	full.EmailVerified, full.AllowDashboardAccess, full.CreatedBy = base, true, "someone"
	var want []users.UserRecord
	for _, n := range []*users.NewUser{long, full, plain} {
		want = append(want, p.create(n).UserRecord)
	}
	slices.SortFunc(want, func(a, b users.UserRecord) int { return strings.Compare(a.ID, b.ID) })

	got := p.list(users.UserListing{ApplicationID: a.ID}).Users
	p.wantEqual("users", want, got)
	for i := range got { // they are the caller's own
		clear(got[i].Roles)
		clear(got[i].DashboardSettings)
	}
	p.wantEqual("users after what was returned is spoilt", want, p.list(users.UserListing{ApplicationID: a.ID}).Users)
}

// listPages reads numbered pages, in orders that are flat and in others: together
// they are everybody, each once.
func listPages(p *probe) {
	a := p.app()
	all, _ := p.people(a)
	for _, order := range [][]users.Order{
		nil,
		{{By: users.ByUserName, Desc: true}},
		{{By: users.ByDateCreated}},
		{{By: users.ByName, Desc: true}, {By: users.ByIsApproved}},
	} {
		want := listed(all, anybody, order...)
		for offset := 0; offset < len(want)+7; offset += 7 {
			q := users.UserListing{ApplicationID: a.ID, Order: order, Offset: offset, Limit: 7}
			from := min(offset, len(want))
			p.wantListed(fmt.Sprintf("from %d in the order %v", offset, order), q, want[from:min(from+7, len(want))])
		}
	}
	q := users.UserListing{ApplicationID: a.ID, Offset: 100_000, Limit: 1}
	p.wantListed("far behind the last", q, nil)
	q = users.UserListing{ApplicationID: a.ID, Offset: 23, Limit: users.MaxPage + 1}
	p.wantListed("the last one", q, listed(all, anybody)[23:])
}

// place returns of the user with this id what a cursor keeps.
func place(all []users.UserRecord, id string) *users.UserRecord {
	u := all[slices.IndexFunc(all, func(u users.UserRecord) bool { return u.ID == id })]
	last := &users.UserRecord{NameKey: u.NameKey, EmailKey: u.EmailKey}
	last.ID, last.DateCreated = u.ID, u.DateCreated
	return last
}

// flatOrders are the orders in which a page can follow a user.
func flatOrders() (all [][]users.Order) {
	all = [][]users.Order{nil}
	for _, m := range members() {
		if m.Flat() {
			all = append(all, []users.Order{{By: m}}, []users.Order{{By: m, Desc: true}})
		}
	}
	return all
}

// listPagesAfter reads each page from the last user of the one before, in every order
// that allows it, with a filter and without.
func listPagesAfter(p *probe) {
	a := p.app()
	all, roles := p.people(a)
	for _, order := range flatOrders() {
		for _, m := range []users.UserMatch{
			{}, {IsApproved: new(true)}, {RoleIDs: []string{roles[0].ID, roles[1].ID}}, {Phrase: "nn"},
		} {
			want := listed(all, func(u users.UserRecord) bool { return matches(m, u) }, order...)
			q := users.UserListing{ApplicationID: a.ID, UserMatch: m, Order: order, Limit: 5}
			var got []string
			for range 10 { // pages; there are no more than five
				page := userIDs(p.list(q).Users)
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				q.After = place(all, page[len(page)-1])
			}
			p.wantStrings(fmt.Sprintf("all pages in the order %v", order), got, want)
		}
	}
}

// listAfterNobody goes on from users that do not exist, or no more: before all, between
// any two, and behind the last. The whole record may be given, or what the order needs.
func listAfterNobody(p *probe) {
	a := p.app()
	all, _ := p.people(a)
	for _, order := range flatOrders() {
		want := listed(all, anybody, order...)
		for i, id := range want {
			last := place(all, id)
			gone := *last // just behind it in the order, or just before in the opposite one
			gone.ID += "0"
			gone.NameKey += "0"
			gone.EmailKey += "0"
			rest := want[i+1:]
			if len(order) > 0 && order[0].Desc {
				rest = want[i:]
			}
			q := users.UserListing{ApplicationID: a.ID, Order: order, After: &gone}
			p.wantListed(fmt.Sprintf("after one who is gone, in the order %v", order), q, rest)
		}
	}
	first := &users.UserRecord{}
	p.wantListed("after an empty id", users.UserListing{ApplicationID: a.ID, After: first}, listed(all, anybody))
}

// listAfterKeyTakenOver: the last user of the page before is gone, and another has its
// key by now, with an id that is lower or higher. It is not behind itself.
func listAfterKeyTakenOver(p *probe) {
	a := p.app()
	all, _ := p.people(a)
	for _, m := range []users.Member{users.ByUserName, users.ByEmail} {
		for _, desc := range []bool{false, true} {
			order := []users.Order{{By: m, Desc: desc}}
			want := listed(all, anybody, order...)
			for _, formerID := range []string{"0", "zzzzzzzzzzzzzzzzzzzzzzzzzz"} {
				last := place(all, want[9])
				last.ID = formerID
				q := users.UserListing{ApplicationID: a.ID, Order: order, After: last}
				p.wantListed(fmt.Sprintf("after a key that another has now, in the order %v", order), q, want[10:])
			}
		}
	}

	// Of those of one date the id counts.
	order := []users.Order{{By: users.ByDateCreated}}
	want := listed(all, anybody, order...)
	last := place(all, want[9])
	last.ID = "0"
	at := slices.IndexFunc(want, func(id string) bool { return !place(all, id).DateCreated.Before(last.DateCreated) })
	p.wantListed("after the first of a date", users.UserListing{ApplicationID: a.ID, Order: order, After: last}, want[at:])
}

// listCounts counts who matches, on a page in the middle, behind the last, and where
// nobody does.
func listCounts(p *probe) {
	a := p.app()
	all, roles := p.people(a)
	for _, m := range []users.UserMatch{
		{}, {IsApproved: new(false)}, {Phrase: "nn"}, {Phrase: "nobody at all"},
		{RoleIDs: []string{roles[0].ID, roles[1].ID}}, {IDs: userIDs(all[:7]), IsLockedOut: new(true)},
	} {
		want := int64(len(listed(all, func(u users.UserRecord) bool { return matches(m, u) })))
		for _, offset := range []int{0, 2, 1000} {
			q := users.UserListing{ApplicationID: a.ID, UserMatch: m, Offset: offset, Limit: 3, Count: true}
			if got := p.list(q).Total; got != want {
				p.errorf("ListUsers from %d: got Total %d, want %d", offset, got, want)
			}
			q.Count = false
			if got := p.list(q).Total; got != 0 {
				p.errorf("ListUsers without Count: got Total %d, want 0", got)
			}
		}
	}
}

// listOtherApplication gives two applications users and a role that are alike.
func listOtherApplication(p *probe) {
	a, b := p.app(), p.app()
	r := p.role(a, "r")
	p.must("CreateRole", p.CreateRole(p.ctx, b.ID, users.RoleRecord{Role: r, NameKey: "r"}))
	n := p.create(p.full(a, r))
	twin := deepCopy(n)
	twin.ApplicationID, twin.IsApproved = b.ID, false
	twin.Idempotency, twin.Notifications = nil, nil
	p.create(twin)
	other := p.create(p.user(b))

	for what, m := range map[string]users.UserMatch{
		"all":       {},
		"by id":     {IDs: []string{n.ID, other.ID}},
		"by role":   {RoleIDs: []string{r.ID}},
		"by phrase": {Phrase: n.NameKey},
	} {
		list := p.list(users.UserListing{ApplicationID: a.ID, UserMatch: m, Count: true})
		p.wantEqual("users "+what, []users.UserRecord{n.UserRecord}, list.Users)
		if list.Total != 1 {
			p.errorf("ListUsers %s: got Total %d, want 1", what, list.Total)
		}
	}
	p.wantListed("of an unknown application", users.UserListing{ApplicationID: p.id(), Count: true}, nil)
}

// listRoleDeleted: what is left of the links must not be found.
func listRoleDeleted(p *probe) {
	a := p.app()
	all, roles := p.people(a)
	p.must("DeleteRole", p.roleEditor.DeleteRole(p.ctx, a.ID, roles[0].ID))

	q := users.UserListing{ApplicationID: a.ID, Count: true}
	q.RoleIDs = []string{roles[0].ID}
	if list := p.list(q); len(list.Users) != 0 || list.Total != 0 {
		p.errorf("ListUsers by a deleted role: got %d users and Total %d, want none", len(list.Users), list.Total)
	}
	q.RoleIDs = []string{roles[0].ID, roles[1].ID}
	want := listed(all, func(u users.UserRecord) bool { return slices.Contains(u.Roles, roles[1]) })
	p.wantListed("by a deleted role and another", q, want)
	for _, u := range p.list(users.UserListing{ApplicationID: a.ID}).Users {
		if slices.ContainsFunc(u.Roles, func(r users.Role) bool { return r.ID != roles[1].ID }) {
			p.errorf("ListUsers: a user has the deleted role: %q", u.Roles)
		}
	}
}

// racingLists counts and lists while users are created: a page with everybody on it
// has as many as are counted.
func racingLists(p *probe) {
	a := p.app()
	fresh := make([]*users.NewUser, racers)
	for i := range fresh {
		fresh[i] = p.user(a)
	}
	errs := p.race(func(i int) error {
		if i%2 == 0 {
			for _, n := range fresh[i : i+2] {
				if err := p.CreateUser(p.ctx, n); err != nil {
					return err
				}
			}
			return nil
		}
		for range 10 {
			q := users.UserListing{ApplicationID: a.ID, Limit: everybody, Count: true}
			list, err := p.lister.ListUsers(p.ctx, q)
			if err != nil {
				return err
			}
			if int64(len(list.Users)) != list.Total {
				return fmt.Errorf("%d users on the page and a Total of %d", len(list.Users), list.Total)
			}
		}
		return nil
	})
	for _, err := range errs {
		if err != nil {
			p.errorf("racing CreateUser and ListUsers: got error %v", err)
		}
	}
	p.wantListed("after the race", users.UserListing{ApplicationID: a.ID}, mapped(fresh, func(n *users.NewUser) string { return n.ID }))
}
