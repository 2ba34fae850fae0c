package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// steps is how many calls SameAnswers makes where USERS_DIFFERENTIAL_STEPS is not set.
const steps = 4000

// everything is a Store with all of its capabilities.
type everything interface {
	users.Store
	users.OutboxStore
	users.TokenStore
	users.UserLister
	users.UserEditor
	users.RoleEditor
	users.ApplicationEditor
	users.LoginStore
	users.BatchStore
}

var _ everything = (*memstore.Store)(nil)

// SameAnswers makes random calls, the same on a store of each target and on memstore:
// all answer alike, and hold the same in the end. It logs the seed; USERS_DIFFERENTIAL_SEED
// repeats a run.
func SameAnswers(t *testing.T, targets ...*Target) {
	d := &differential{want: memstore.New(), random: rand.New(rand.NewPCG(seed(t), 1))}
	for _, g := range targets {
		g.Share(t)
		d.stores = append(d.stores, namedStore{g.Name, g.Fresh(t).Store})
	}

	d.setUp(t)
	for i := range setting(t, "USERS_DIFFERENTIAL_STEPS", steps) {
		d.compare(t, fmt.Sprint("step ", i), d.step())
		if t.Failed() {
			return // what follows rests on it
		}
	}
	d.compare(t, "in the end", call{"the whole state", d.wholeState})
}

func seed(t *testing.T) uint64 {
	n := setting(t, "USERS_DIFFERENTIAL_SEED", rand.Uint64())
	t.Logf("USERS_DIFFERENTIAL_SEED=%d", n)
	return n
}

// setting is a number in the environment, or otherwise.
func setting[T int | uint64](t *testing.T, name string, otherwise T) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return T(n)
}

type namedStore struct {
	name string
	everything
}

// call is one call, and what a store answers to it.
type call struct {
	what   string
	answer func(ctx context.Context, s everything) string
}

// differential makes the calls. Every value is drawn before the first store is asked.
type differential struct {
	want   everything
	stores []namedStore
	random *rand.Rand
	made   []users.UserRecord // all users that were ever asked for
	tokens [][32]byte
}

func (d *differential) compare(t *testing.T, when string, c call) {
	t.Helper()
	want := c.answer(t.Context(), d.want)
	for _, s := range d.stores {
		if got := c.answer(t.Context(), s); got != want {
			t.Errorf("%s, %s\n%s: got  %s\n%s: want %s", when, c.what, s.name, got, strings.Repeat(" ", len(s.name)), want)
		}
	}
}

const differentialRoles = 4

// base is the time of all that is not now.
var base = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *differential) setUp(t *testing.T) {
	t.Helper()
	d.compare(t, "set-up", call{"an application and roles", func(ctx context.Context, s everything) string {
		err := s.CreateApplication(ctx, users.Application{ID: "app", APIKey: "app", DateCreated: base, Version: 1})
		for i := range differentialRoles {
			name := fmt.Sprint("role", i)
			err = errors.Join(err, s.CreateRole(ctx, "app", users.RoleRecord{
				Role: users.Role{ID: roleID(i), Name: name, DateCreated: base, DateUpdated: base}, NameKey: name,
			}))
		}
		return class(err)
	}})
	if t.Failed() {
		t.FailNow()
	}
	for range 40 {
		d.compare(t, "set-up", d.create())
	}
}

func roleID(i int) string { return fmt.Sprintf("role-%d", i) }

// step draws the next call.
func (d *differential) step() call {
	switch n := d.random.IntN(100); {
	case n < 13:
		return d.create()
	case n < 15:
		return d.createBatch()
	case n < 50:
		return d.list()
	case n < 70:
		return d.edit()
	case n < 75:
		return d.delete()
	case n < 88:
		return d.signIn()
	case n < 94:
		return d.token()
	case n < 97:
		return d.role()
	}
	return d.application()
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// user draws a user with the number i.
func (d *differential) user(i int) users.UserRecord {
	r := d.random
	key := fmt.Sprintf("%c%c_%d", 'a'+r.IntN(6), 'a'+r.IntN(6), i)
	u := users.UserRecord{ApplicationID: "app", NameKey: key, EmailKey: key + "@example.com", KeyVersion: 1}
	u.ID, u.UserName, u.Email = fmt.Sprintf("user-%05d", i), strings.ToUpper(key), key+"@Example.com"
	u.Name = pick(r, "Ann%a", "Bö_b", "", `Ca\rl`, "Zoe!")
	u.DisplayKey = strings.ToLower(u.Name)
	u.IsApproved, u.IsLockedOut = r.IntN(5) > 0, r.IntN(5) == 0
	u.CreationDate, u.DateCreated, u.DateUpdated = d.hour(), d.hour(), d.hour()
	u.Hash, u.Version = password.NewHash("old"), 1
	for range r.IntN(3) {
		u.Roles = append(u.Roles, users.Role{ID: roleID(r.IntN(differentialRoles))})
	}
	if r.IntN(12) == 0 {
		u.Roles = append(u.Roles, users.Role{ID: "nobody's"})
	}
	return u
}

func (d *differential) hour() time.Time { return base.Add(time.Duration(d.random.IntN(9)) * time.Hour) }

// old draws one of the users that were asked for, whether it is there or not.
func (d *differential) old() users.UserRecord { return d.made[d.random.IntN(len(d.made))] }

// takeKeys may give u keys of another.
func (d *differential) takeKeys(u *users.UserRecord) {
	switch d.random.IntN(9) {
	case 0:
		u.NameKey = d.old().NameKey
	case 1:
		u.EmailKey = d.old().EmailKey
	case 2:
		u.NameKey, u.EmailKey = d.old().NameKey, d.old().EmailKey
	}
}

// createBatch draws few keys, so that users of a batch are in each other's way.
func (d *differential) createBatch() call {
	var ns []*users.NewUser
	what := "create a batch:"
	for range 1 + d.random.IntN(8) {
		n := d.newUser()
		if len(ns) > 0 && d.random.IntN(3) == 0 {
			n.NameKey = ns[d.random.IntN(len(ns))].NameKey
		}
		if len(ns) > 0 && d.random.IntN(3) == 0 {
			n.EmailKey = ns[d.random.IntN(len(ns))].EmailKey
		}
		if slices.ContainsFunc(ns, func(other *users.NewUser) bool { return other.ID == n.ID }) {
			continue
		}
		n.Idempotency = nil
		ns = append(ns, &n)
		what += fmt.Sprintf(" %s %s %s", n.ID, n.NameKey, n.EmailKey)
	}
	return call{what, func(ctx context.Context, s everything) string {
		outcomes, err := s.CreateUsers(ctx, ns)
		text := class(err)
		for _, outcome := range outcomes {
			text += ", " + class(outcome)
		}
		return text
	}}
}

func (d *differential) create() call {
	n := d.newUser()
	return call{fmt.Sprintf("create %s %s %s", n.ID, n.NameKey, n.EmailKey), func(ctx context.Context, s everything) string {
		return class(s.CreateUser(ctx, &n))
	}}
}

// newUser draws a user with what comes with one.
func (d *differential) newUser() users.NewUser {
	n := users.NewUser{UserRecord: d.user(len(d.made))}
	if len(d.made) > 0 {
		d.takeKeys(&n.UserRecord)
		if d.random.IntN(15) == 0 {
			n.ID = d.old().ID
		}
	}
	if d.random.IntN(3) == 0 {
		n.Idempotency = &users.IdempotencyRecord{
			IdempotencyKey: users.IdempotencyKey{ApplicationID: "app", Caller: "c", Key: fmt.Sprint(d.random.IntN(30))},
			UserID:         n.ID, Lifetime: pick(d.random, 0, 24*time.Hour),
		}
	}
	if d.random.IntN(2) == 0 {
		n.Notifications = d.notifications(n.ID)
	}
	d.made = append(d.made, n.UserRecord)
	return n
}

func (d *differential) notifications(userID string) []users.NotificationRecord {
	return []users.NotificationRecord{{
		ID: fmt.Sprintf("n-%d", d.random.Uint64()), ApplicationID: "app", UserID: userID,
		Kind: pick(d.random, users.KindAccountCreated, users.KindSetPassword), State: users.StatePending,
		Created: base, Due: base,
	}}
}

// flat are the members by which a list goes on after a user.
var flat = []users.Member{users.ByID, users.ByUserName, users.ByEmail, users.ByDateCreated}

// members are all by which a page can be ordered.
var members = slices.Concat(flat, []users.Member{
	users.ByName, users.ByCreationDate, users.ByDateUpdated, users.ByIsApproved, users.ByIsLockedOut,
})

func (d *differential) list() call {
	r := d.random
	q := users.UserListing{ApplicationID: pick(r, "app", "app", "app", "app", "app", "app", "other"), Limit: 1 + r.IntN(40)}
	q.UserMatch = d.match()
	if r.IntN(2) == 0 {
		q.Offset, q.Count = r.IntN(60), r.IntN(2) == 0
		for range r.IntN(users.MaxOrder + 1) {
			o := users.Order{By: pick(r, members...), Desc: r.IntN(2) == 0}
			if !slices.ContainsFunc(q.Order, func(before users.Order) bool { return before.By == o.By }) {
				q.Order = append(q.Order, o)
			}
		}
	} else {
		if r.IntN(4) > 0 {
			q.Order = []users.Order{{By: pick(r, flat...), Desc: r.IntN(2) == 0}}
		}
		if r.IntN(4) > 0 {
			after := d.old()
			q.After = &after
		}
	}
	return call{fmt.Sprintf("list %+v after %v", q, q.After != nil), func(ctx context.Context, s everything) string {
		list, err := s.ListUsers(ctx, q)
		text := fmt.Sprint(class(err), " ", list.Total)
		for i := range list.Users {
			text += " " + short(&list.Users[i])
		}
		return text
	}}
}

func (d *differential) match() (m users.UserMatch) {
	r := d.random
	m.Phrase = pick(r, "", "", "", "a_", "b", "%", "_", `\`, "!", "example.com", "ö", "n%a", "zoe", "@")
	m.IsApproved = pick(r, nil, nil, new(true), new(false))
	m.IsLockedOut = pick(r, nil, nil, new(true), new(false))
	if r.IntN(4) == 0 {
		m.RoleIDs = []string{roleID(r.IntN(differentialRoles)), "nobody's", roleID(r.IntN(differentialRoles))}[:r.IntN(4)]
	}
	if r.IntN(6) == 0 {
		m.IDs = []string{d.old().ID, d.old().ID, "nobody"}[:r.IntN(4)]
	}
	return m
}

func (d *differential) edit() call {
	e := &users.UserEdit{UserRecord: d.user(100_000 + d.random.IntN(20))}
	e.ID, e.Version = d.old().ID, int64(1+d.random.IntN(3))
	d.takeKeys(&e.UserRecord)
	e.EmailVerified = pick(d.random, time.Time{}, d.hour())
	e.SetHash, e.DropTokens, e.DropIssued = d.random.IntN(4) == 0, d.random.IntN(4) == 0, d.random.IntN(4) == 0
	e.Hash, e.PasswordChanged = password.NewHash(fmt.Sprint("h", d.random.IntN(3))), d.hour()
	if d.random.IntN(3) == 0 {
		e.Notifications = d.notifications(e.ID)
	}
	return call{fmt.Sprintf("edit %s version %d: %s %s", e.ID, e.Version, e.NameKey, e.EmailKey), func(ctx context.Context, s everything) string {
		return class(s.EditUser(ctx, e))
	}}
}

func (d *differential) delete() call {
	del := users.UserDeletion{ApplicationID: "app", ID: d.old().ID, IfVersion: int64(1 + d.random.IntN(2))}
	return call{fmt.Sprintf("delete %+v", del), func(ctx context.Context, s everything) string {
		return class(s.DeleteUser(ctx, del))
	}}
}

// signIn locks for hours or not at all: the stores have clocks of their own.
func (d *differential) signIn() call {
	id := pick(d.random, d.made[0].ID, d.made[1].ID, d.made[2].ID, d.old().ID)
	if d.random.IntN(4) == 0 {
		end := users.LoginEnd{ApplicationID: "app", UserID: id, Now: pick(d.random, time.Time{}, d.hour())}
		if d.random.IntN(2) == 0 {
			end.OldHash, end.Hash = password.NewHash(pick(d.random, "old", "h1", "other")), password.NewHash("h1")
		}
		return call{"end a sign-in of " + id, func(ctx context.Context, s everything) string {
			return class(s.EndLogin(ctx, end)) + state(ctx, s, id)
		}}
	}
	a := users.LoginAttempt{ApplicationID: "app", UserID: id, Free: 1 + d.random.IntN(5)}
	if d.random.IntN(3) > 0 {
		a.First, a.Max = time.Duration(1+d.random.IntN(3))*time.Hour, 100*time.Hour
	}
	return call{fmt.Sprintf("begin a sign-in: %+v", a), func(ctx context.Context, s everything) string {
		failures, err := s.BeginLogin(ctx, a)
		return fmt.Sprint(failures, " ", class(err), state(ctx, s, id))
	}}
}

func (d *differential) token() call {
	u := d.old()
	if len(d.tokens) == 0 || d.random.IntN(2) == 0 {
		k := users.TokenRecord{
			ApplicationID: "app", UserID: u.ID, Purpose: users.PurposeSetPassword, Created: base,
			EmailKey: pick(d.random, "", u.EmailKey), Lifetime: pick(d.random, 0, 24*time.Hour, 24*time.Hour),
		}
		for i := range k.Sum {
			k.Sum[i] = byte(d.random.IntN(256))
		}
		d.tokens = append(d.tokens, k.Sum)
		return call{"make a token for " + u.ID, func(ctx context.Context, s everything) string {
			return class(s.CreateToken(ctx, k))
		}}
	}

	sum := pick(d.random, d.tokens...)
	now := d.hour()
	var rows []users.NotificationRecord
	if d.random.IntN(2) == 0 {
		rows = d.notifications("")
	}
	return call{fmt.Sprintf("redeem %x", sum[:2]), func(ctx context.Context, s everything) string {
		k, err := s.FindToken(ctx, "app", sum)
		if err != nil {
			return class(err)
		}
		rows := slices.Clone(rows)
		for i := range rows {
			rows[i].UserID = k.UserID
		}
		err = s.RedeemToken(ctx, users.Redemption{
			ApplicationID: "app", UserID: k.UserID, Sum: sum, Hash: password.NewHash("by token"), Now: now, Notifications: rows,
		})
		return class(err) + state(ctx, s, k.UserID)
	}}
}

func (d *differential) role() call {
	i := d.random.IntN(differentialRoles)
	if d.random.IntN(4) == 0 { // and make another, so that there are some
		next := users.RoleRecord{Role: users.Role{ID: fmt.Sprint("new-", d.random.Uint64()), Name: "new", DateCreated: base, DateUpdated: base}}
		next.NameKey = next.ID
		return call{fmt.Sprint("delete role ", i), func(ctx context.Context, s everything) string {
			return class(s.DeleteRole(ctx, "app", roleID(i))) + class(s.CreateRole(ctx, "app", next))
		}}
	}
	u := users.RoleUpdate{ApplicationID: "app", ID: roleID(i), DateUpdated: d.hour()}
	if d.random.IntN(2) == 0 {
		name := fmt.Sprint("role", d.random.IntN(8))
		u.Name = &users.RoleName{Name: strings.ToUpper(name), NameKey: name}
	}
	u.Description = pick(d.random, nil, new("what it is for"))
	return call{fmt.Sprintf("update role %d: %+v", i, u.Name), func(ctx context.Context, s everything) string {
		return class(s.UpdateRole(ctx, u))
	}}
}

func (d *differential) application() call {
	a := users.Application{ID: pick(d.random, "app", "app", "app", "other"), Version: int64(1 + d.random.IntN(4))}
	a.Name, a.Disabled, a.RequireApproval = pick(d.random, "A", "B"), d.random.IntN(2) == 0, d.random.IntN(2) == 0
	return call{fmt.Sprintf("update application %+v", a), func(ctx context.Context, s everything) string {
		err := s.UpdateApplication(ctx, a)
		all, listed := s.ListApplications(ctx, users.Page{})
		return fmt.Sprint(class(err), all, class(listed))
	}}
}

// class is what the contract says of err.
func class(err error) string {
	if conflict, ok := errors.AsType[*users.ConflictError](err); ok {
		return "conflict of " + strings.Join(conflict.Members, " and ")
	}
	for _, class := range []error{
		users.ErrNotFound, users.ErrStale, users.ErrUnknownRole, users.ErrUnknownApplication,
		users.ErrIdempotencyKeyUsed, users.ErrBadToken,
	} {
		if errors.Is(err, class) {
			return class.Error()
		}
	}
	return fmt.Sprint(err)
}

// short tells users on a page apart.
func short(u *users.UserRecord) string {
	text := fmt.Sprintf("%s v%d %v", u.ID, u.Version, u.IsApproved)
	for _, r := range u.Roles {
		text += "/" + r.Name
	}
	return text
}

// long is all of u, but for the clock's part.
func long(u *users.UserRecord) string {
	locked := !u.Login.LockedUntil.IsZero()
	hash := u.Hash.Reveal()
	c := *u
	c.Login.LockedUntil, c.Hash = time.Time{}, password.Hash{}
	return fmt.Sprintf("%+v hash %s, locked once: %v", c, hash, locked)
}

// state is a user as it is.
func state(ctx context.Context, s everything, id string) string {
	found, err := s.FindUsers(ctx, users.UserQuery{ApplicationID: "app", IDs: []string{id}})
	text := " " + class(err)
	for i := range found {
		text += "\n" + long(&found[i])
	}
	return text
}

// wholeState is everything that can be read, but for what the clocks say.
func (d *differential) wholeState(ctx context.Context, s everything) string {
	list, err := s.ListUsers(ctx, users.UserListing{ApplicationID: "app", Limit: users.MaxPage + 1, Count: true})
	text := fmt.Sprint(class(err), " ", list.Total)
	for i := range list.Users {
		text += "\n" + long(&list.Users[i])
	}
	roles, err := s.ListRoles(ctx, "app", users.Page{})
	text += fmt.Sprintf("\n%s %+v", class(err), roles)
	pending, err := s.ListNotifications(ctx, users.NotificationQuery{ApplicationID: "app"})
	text += fmt.Sprintf("\n%s %+v", class(err), pending)
	for _, sum := range d.tokens {
		k, err := s.FindToken(ctx, "app", sum)
		text += fmt.Sprintf("\ntoken of %s %s", k.UserID, class(err))
	}
	return text
}
