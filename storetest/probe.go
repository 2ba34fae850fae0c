package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// probe is one case at work on one store. Its methods that make something stop
// the case when the store refuses.
type probe struct {
	users.Store
	ctx context.Context
	seq int

	mu    sync.Mutex
	found []string
}

// stop is the panic that ends a case which can't go on.
type stop struct{}

// errorf notes a breach. It is safe for concurrent use.
func (p *probe) errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found = append(p.found, fmt.Sprintf(format, args...))
}

// fatalf notes a breach and ends the case.
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

// is notes an error that does not match want.
func (p *probe) is(call string, err, want error) {
	if !errors.Is(err, want) {
		p.errorf("%s: got error %v, want %v", call, err, want)
	}
}

// conflicts notes an error that is not a *ConflictError with just these
// members in this order.
func (p *probe) conflicts(call string, err error, members ...string) {
	var conflict *users.ConflictError
	if !errors.As(err, &conflict) {
		p.errorf("%s: got error %v, want a *ConflictError of %q", call, err, members)
	} else if !slices.Equal(conflict.Members, members) {
		p.errorf("%s: got conflict of %q, want %q", call, conflict.Members, members)
	}
}

// base is when everything happens that does not say otherwise: in the past of
// any store's clock, also of the one in a testing/synctest bubble.
var base = time.Date(1996, 2, 29, 23, 59, 59, 123456000, time.UTC)

// id gives a new ULID.
func (p *probe) id() string {
	p.seq++
	return fmt.Sprintf("01HZ%022d", p.seq)
}

func (p *probe) app() users.Application {
	id := p.id()
	a := users.Application{ID: id, APIKey: "key-" + id, Name: "Application", DateCreated: base}
	p.must("CreateApplication", p.CreateApplication(p.ctx, a))
	return a
}

func (p *probe) role(app users.Application, name string) users.Role {
	r := users.Role{ID: p.id(), Name: name, Description: "may " + name, DateCreated: base, DateUpdated: base.Add(time.Second)}
	p.must("CreateRole", p.CreateRole(p.ctx, app.ID, users.RoleRecord{Role: r, NameKey: name}))
	return r
}

// user gives a user with keys of its own that is not stored yet.
func (p *probe) user(app users.Application) *users.NewUser {
	id := p.id()
	n := &users.NewUser{}
	n.ApplicationID, n.ID, n.Version, n.KeyVersion = app.ID, id, 1, 1
	n.UserName, n.Email, n.Name = "User-"+id, "User-"+id+"@Example.com", "A User"
	n.NameKey, n.EmailKey = strings.ToLower(n.UserName), strings.ToLower(n.Email)
	n.Hash = password.Hash("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + id)
	n.IsApproved = true
	n.CreationDate, n.DateCreated, n.DateUpdated = base, base, base
	return n
}

// full gives a user with everything that can come with one.
func (p *probe) full(app users.Application, roles ...users.Role) *users.NewUser {
	n := p.user(app)
	n.Roles = roles
	n.DashboardSettings = json.RawMessage(`{"theme": "dark"}`)
	n.Replay = p.replay(n, "key-"+n.ID)
	if outbox.lackedBy(p.Store) == "" {
		n.Notification = p.notification(n)
	}
	return n
}

func (p *probe) replay(n *users.NewUser, key string) *users.Replay {
	return &users.Replay{
		ReplayKey:   users.ReplayKey{ApplicationID: n.ApplicationID, Scope: "caller:someone", Key: key},
		Fingerprint: [32]byte{0, 1, 0xff, 31: 0x80}, UserID: n.ID, Expires: n.DateCreated.Add(24 * time.Hour),
	}
}

func (p *probe) notification(n *users.NewUser) *users.OutboxRow {
	return &users.OutboxRow{
		ID: p.id(), ApplicationID: n.ApplicationID, UserID: n.ID, Kind: users.KindAccountCreated,
		State: users.StatePending, Created: n.DateCreated, Due: n.DateCreated,
	}
}

// create stores n.
func (p *probe) create(n *users.NewUser) *users.NewUser {
	p.must("CreateUser", p.CreateUser(p.ctx, n))
	return n
}

// users gives what q finds.
func (p *probe) users(q users.UserQuery) []users.UserRecord {
	found, err := p.FindUsers(p.ctx, q)
	p.must("FindUsers", err)
	return found
}

// byID gives the user of n as it is stored; without one the case ends.
func (p *probe) byID(n *users.NewUser) users.UserRecord {
	found := p.users(users.UserQuery{ApplicationID: n.ApplicationID, IDs: []string{n.ID}})
	if len(found) != 1 {
		p.fatalf("FindUsers by id: got %d users, want 1", len(found))
	}
	return found[0]
}

// stored notes what of n is not stored as it was given.
func (p *probe) stored(n *users.NewUser) {
	p.same("user", n.UserRecord, p.byID(n))
	if n.Replay != nil {
		got, err := p.FindReplay(p.ctx, n.Replay.ReplayKey)
		p.must("FindReplay", err)
		p.same("idempotency record", *n.Replay, got)
	}
	if n.Notification != nil && outbox.lackedBy(p.Store) == "" {
		i := slices.IndexFunc(p.rows(n.ApplicationID), func(r users.OutboxRow) bool { return r.ID == n.Notification.ID })
		if i < 0 {
			p.errorf("the notification is not there")
		} else {
			p.same("notification", *n.Notification, p.rows(n.ApplicationID)[i])
		}
	}
}

// absent notes what of n is stored: nothing may be, and its idempotency key
// and notification id must be free.
func (p *probe) absent(n *users.NewUser) {
	for by, q := range map[string]users.UserQuery{
		"id": {IDs: []string{n.ID}}, "name": {NameKeys: []string{n.NameKey}}, "address": {EmailKeys: []string{n.EmailKey}},
	} {
		q.ApplicationID = n.ApplicationID
		for _, u := range p.users(q) {
			if u.ID == n.ID {
				p.errorf("the user is there, found by its %s", by)
			}
		}
	}
	if n.Replay != nil {
		got, err := p.FindReplay(p.ctx, n.Replay.ReplayKey)
		if err == nil && got.UserID == n.ID {
			p.errorf("the idempotency record is there")
		} else if err != nil {
			p.is("FindReplay", err, users.ErrNotFound)
		}
	}
	if outbox.lackedBy(p.Store) == "" {
		for _, r := range p.rows(n.ApplicationID) {
			if r.UserID == n.ID {
				p.errorf("the notification is there")
			}
		}
	}
}

// creatable stores n, which an earlier attempt left no trace of, whatever its
// InTx was: role links, for one, can't be seen without their user.
func (p *probe) creatable(n *users.NewUser) {
	again := *n
	again.InTx = nil
	if err := p.CreateUser(p.ctx, &again); err != nil {
		p.errorf("CreateUser once more, with nothing in its way: got error %v, want none", err)
		return
	}
	p.stored(&again)
}

// same notes how two records differ. Times must be the same instant, in UTC.
// Secrets are not shown.
func (p *probe) same(what string, want, got any) {
	p.diff(what, reflect.ValueOf(want), reflect.ValueOf(got))
}

func (p *probe) diff(at string, want, got reflect.Value) {
	switch w := want.Interface().(type) {
	case time.Time:
		g := got.Interface().(time.Time)
		if !g.Equal(w) {
			p.errorf("%s: got %v, want %v", at, g.Format(time.RFC3339Nano), w.Format(time.RFC3339Nano))
		} else if g.Location() != time.UTC {
			p.errorf("%s: got a time in %v, want UTC", at, g.Location())
		}
		return
	case password.Hash:
		if got.Interface() != want.Interface() {
			p.errorf("%s: another hash came back", at)
		}
		return
	case json.RawMessage:
		if g := got.Interface().(json.RawMessage); !bytes.Equal(g, w) {
			p.errorf("%s: got %d bytes %.80q, want %d bytes %.80q", at, len(g), g, len(w), w)
		}
		return
	}
	switch want.Kind() {
	case reflect.Struct:
		for i := range want.NumField() {
			p.diff(at+"."+want.Type().Field(i).Name, want.Field(i), got.Field(i))
		}
	case reflect.Slice:
		if want.Len() != got.Len() {
			p.errorf("%s: got %d elements, want %d", at, got.Len(), want.Len())
			return
		}
		for i := range want.Len() {
			p.diff(fmt.Sprintf("%s[%d]", at, i), want.Index(i), got.Index(i))
		}
	default:
		if !reflect.DeepEqual(want.Interface(), got.Interface()) {
			p.errorf("%s: got %.80q, want %.80q", at, fmt.Sprint(got.Interface()), fmt.Sprint(want.Interface()))
		}
	}
}

// sameStrings notes another list than want.
func (p *probe) sameStrings(what string, got, want []string) {
	if !slices.Equal(got, want) {
		p.errorf("%s: got %d: %.300q, want %d: %.300q", what, len(got), got, len(want), want)
	}
}

// racers is how many writers race.
const racers = 20

// race calls f from racers goroutines at once and gives their errors.
func (p *probe) race(f func(i int) error) []error {
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					errs[i] = fmt.Errorf("panic: %v", v)
				}
			}()
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneWins notes a race that has not exactly one winner, and losers whose error
// is not as it should be. It gives the winner.
func (p *probe) oneWins(call string, errs []error, lost func(error) bool) (winner int) {
	winner = -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			p.errorf("%s: %d and %d both succeeded, want one", call, winner, i)
		case err == nil:
			winner = i
		case !lost(err):
			p.errorf("%s: a loser got error %v", call, err)
		}
	}
	if winner < 0 {
		p.fatalf("%s: nobody succeeded of %d, want one", call, len(errs))
	}
	return winner
}

func isError(want error) func(error) bool {
	return func(err error) bool { return errors.Is(err, want) }
}

// isConflict accepts a *ConflictError that names these members.
func isConflict(members ...string) func(error) bool {
	return func(err error) bool {
		var c *users.ConflictError
		return errors.As(err, &c) && slices.Equal(c.Members, members)
	}
}

// eventually calls f until it reports true. Where the store's own clock must
// run on there is nothing to wait for but time.
func (p *probe) eventually(what string, f func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-limit:
			p.fatalf("%s: not within 10 s", what)
		}
	}
}

func ids[T any](all []T, id func(T) string) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = id(all[i])
	}
	return out
}

func userIDs(all []users.UserRecord) []string {
	return ids(all, func(u users.UserRecord) string { return u.ID })
}
func roleIDs(all []users.RoleRecord) []string {
	return ids(all, func(r users.RoleRecord) string { return r.ID })
}
func rowIDs(all []users.OutboxRow) []string {
	return ids(all, func(r users.OutboxRow) string { return r.ID })
}

// wide repeats a character of four bytes in UTF-8.
func wide(n int) string { return strings.Repeat("𝔘", n) }
