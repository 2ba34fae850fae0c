package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// probe is one case at work on one store. Its methods come in three kinds: those
// that make or read something stop the case if the store refuses (app, create,
// rows); those that begin with want note a finding and go on; the rest prepares
// values without calling the store (user, full).
type probe struct {
	users.Store
	ctx context.Context
	seq int // of id

	// What the Store can do besides; nil: it can't.
	outbox            users.OutboxStore
	tokens            users.TokenStore
	lister            users.UserLister
	editor            users.UserEditor
	roleEditor        users.RoleEditor
	applicationEditor users.ApplicationEditor
	logins            users.LoginStore
	batches           users.BatchStore

	mu    sync.Mutex
	found []string
}

func newProbe(ctx context.Context, s users.Store) *probe {
	p := &probe{Store: s, ctx: ctx}
	p.outbox, _ = users.StoreAs[users.OutboxStore](s)
	p.tokens, _ = users.StoreAs[users.TokenStore](s)
	p.lister, _ = users.StoreAs[users.UserLister](s)
	p.editor, _ = users.StoreAs[users.UserEditor](s)
	p.roleEditor, _ = users.StoreAs[users.RoleEditor](s)
	p.applicationEditor, _ = users.StoreAs[users.ApplicationEditor](s)
	p.logins, _ = users.StoreAs[users.LoginStore](s)
	p.batches, _ = users.StoreAs[users.BatchStore](s)
	return p
}

// stop is the panic that ends a case which can't go on.
type stop struct{}

// errorf notes a finding. It is safe for concurrent use.
func (p *probe) errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found = append(p.found, fmt.Sprintf(format, args...))
}

// fatalf notes a finding and ends the case.
func (p *probe) fatalf(format string, args ...any) {
	p.errorf(format, args...)
	panic(stop{})
}

// must ends the case on an error of a call that has no reason to fail.
func (p *probe) must(call string, err error) {
	if err != nil {
		p.fatalf("%s: got error %v, want none", call, err)
	}
}

// base is when everything happens that does not say otherwise: in the past of
// any store's clock, also of the one in a testing/synctest bubble.
var base = time.Date(1996, 2, 29, 23, 59, 59, 123456000, time.UTC)

// id returns a new ULID, greater than those before.
func (p *probe) id() string {
	p.seq++
	return fmt.Sprintf("01HZ%022d", p.seq)
}

// app stores a new application.
func (p *probe) app() users.Application {
	id := p.id()
	a := users.Application{ID: id, APIKey: "key-" + id, Name: "Application", DateCreated: base, Version: 1}
	p.must("CreateApplication", p.CreateApplication(p.ctx, a))
	return a
}

// role stores a new role.
func (p *probe) role(app users.Application, name string) users.Role {
	r := p.newRole(name)
	r.Description = "may " + name
	r.DateUpdated = base.Add(time.Second)
	p.must("CreateRole", p.CreateRole(p.ctx, app.ID, r))
	return r.Role
}

// newRole returns a role that is not stored yet.
func (p *probe) newRole(name string) users.RoleRecord {
	return users.RoleRecord{
		Role:    users.Role{ID: p.id(), Name: name, DateCreated: base, DateUpdated: base},
		NameKey: name,
	}
}

// user returns a user with keys of its own that is not stored yet.
func (p *probe) user(app users.Application) *users.NewUser {
	id := p.id()
	n := &users.NewUser{}

	n.ApplicationID = app.ID
	n.ID = id
	n.Version = 1
	n.KeyVersion = 1

	n.UserName = "User-" + id
	n.Email = "User-" + id + "@Example.com"
	n.Name = "A User"
	n.NameKey = strings.ToLower(n.UserName)
	n.EmailKey = strings.ToLower(n.Email)
	n.DisplayKey = strings.ToLower(n.Name)

	n.Hash = password.NewHash("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + id)
	n.PasswordChanged = base
	n.IsApproved = true
	n.CreationDate = base
	n.DateCreated = base
	n.DateUpdated = base
	return n
}

// full returns a user with everything that can come with one: a store that
// writes several rows can leave half of them behind.
func (p *probe) full(app users.Application, roles ...users.Role) *users.NewUser {
	n := p.user(app)
	n.Roles = roles
	n.DashboardSettings = json.RawMessage(`{"theme": "dark"}`)
	n.Idempotency = p.record(n, "key-"+n.ID)
	if p.outbox != nil {
		n.Notifications = []users.NotificationRecord{p.notification(n, users.KindAccountCreated)}
	}
	return n
}

// record returns an idempotency record that names n.
func (p *probe) record(n *users.NewUser, key string) *users.IdempotencyRecord {
	return &users.IdempotencyRecord{
		IdempotencyKey: users.IdempotencyKey{
			ApplicationID: n.ApplicationID,
			Caller:        "caller:someone",
			Key:           key,
		},
		Fingerprint: [32]byte{0, 1, 0xff, 31: 0x80},
		UserID:      n.ID,
		Lifetime:    24 * time.Hour,
	}
}

// notification returns a pending notification of n, due since n was created.
func (p *probe) notification(n *users.NewUser, kind string) users.NotificationRecord {
	return users.NotificationRecord{
		ID:            p.id(),
		ApplicationID: n.ApplicationID,
		UserID:        n.ID,
		Kind:          kind,
		State:         users.StatePending,
		Created:       n.DateCreated,
		Due:           n.DateCreated,
	}
}

// create stores n.
func (p *probe) create(n *users.NewUser) *users.NewUser {
	p.must("CreateUser", p.CreateUser(p.ctx, n))
	return n
}

// users returns what q finds.
func (p *probe) users(q users.UserQuery) []users.UserRecord {
	found, err := p.FindUsers(p.ctx, q)
	p.must("FindUsers", err)
	return found
}

// byID returns the user of n as it is stored; without one the case ends.
func (p *probe) byID(n *users.NewUser) users.UserRecord {
	found := p.users(users.UserQuery{ApplicationID: n.ApplicationID, IDs: []string{n.ID}})
	if len(found) != 1 {
		p.fatalf("FindUsers by id: got %d users, want 1", len(found))
	}
	return found[0]
}

// mapped returns f of each element.
func mapped[T any](all []T, f func(T) string) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = f(all[i])
	}
	return out
}

func userIDs(all []users.UserRecord) []string {
	return mapped(all, func(u users.UserRecord) string { return u.ID })
}

func roleIDs(all []users.RoleRecord) []string {
	return mapped(all, func(r users.RoleRecord) string { return r.ID })
}

func rowIDs(all []users.NotificationRecord) []string {
	return mapped(all, func(r users.NotificationRecord) string { return r.ID })
}

// wide repeats a character of four bytes in UTF-8, the widest there is: columns
// are declared in characters or in bytes, and must hold both limits.
func wide(n int) string { return strings.Repeat("𝔘", n) }
