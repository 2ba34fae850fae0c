package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// wantErr notes an error that does not match want.
func (p *probe) wantErr(call string, err, want error) {
	if !errors.Is(err, want) {
		p.errorf("%s: got error %v, want %v", call, err, want)
	}
}

// wantConflict notes an error that is not a *ConflictError with just these
// members in this order: an answer must not depend on the store.
func (p *probe) wantConflict(call string, err error, members ...string) {
	var conflict *users.ConflictError
	if !errors.As(err, &conflict) {
		p.errorf("%s: got error %v, want a *ConflictError of %q", call, err, members)
	} else if !slices.Equal(conflict.Members, members) {
		p.errorf("%s: got conflict of %q, want %q", call, conflict.Members, members)
	}
}

// wantKeyUsed notes an error other than ErrIdempotencyKeyUsed alone: one that
// matches ErrConflict too would be answered as a conflict.
func (p *probe) wantKeyUsed(call string, err error) {
	p.wantErr(call, err, users.ErrIdempotencyKeyUsed)
	if errors.Is(err, users.ErrConflict) {
		p.errorf("%s: got a conflict, want ErrIdempotencyKeyUsed alone", call)
	}
}

// wantStored notes what of n is not stored as it was given.
func (p *probe) wantStored(n *users.NewUser) {
	p.wantEqual("user", n.UserRecord, p.byID(n))

	if n.Idempotency != nil {
		got, err := p.FindIdempotencyRecord(p.ctx, n.Idempotency.IdempotencyKey)
		p.must("FindIdempotencyRecord", err)
		p.wantEqual("idempotency record", *n.Idempotency, got)
	}

	if len(n.Notifications) == 0 || p.outbox == nil {
		return
	}
	rows := p.rows(n.ApplicationID)
	for _, want := range n.Notifications {
		i := slices.IndexFunc(rows, func(r users.NotificationRecord) bool { return r.ID == want.ID })
		if i < 0 {
			p.errorf("a notification of the user is not there")
		} else {
			p.wantEqual("notification", want, rows[i])
		}
	}
}

// wantAbsent notes what of n is stored: nothing may be.
func (p *probe) wantAbsent(n *users.NewUser) {
	for by, q := range map[string]users.UserQuery{
		"id":      {IDs: []string{n.ID}},
		"name":    {NameKeys: []string{n.NameKey}},
		"address": {EmailKeys: []string{n.EmailKey}},
	} {
		q.ApplicationID = n.ApplicationID
		for _, u := range p.users(q) {
			if u.ID == n.ID { // the key may be another user's
				p.errorf("the user is there, found by its %s", by)
			}
		}
	}

	if n.Idempotency != nil {
		got, err := p.FindIdempotencyRecord(p.ctx, n.Idempotency.IdempotencyKey)
		if err == nil && got.UserID == n.ID {
			p.errorf("the idempotency record is there")
		} else if err != nil {
			p.wantErr("FindIdempotencyRecord", err, users.ErrNotFound)
		}
	}

	if p.outbox != nil && len(p.rowsOf(n)) > 0 {
		p.errorf("the notification is there")
	}
}

// wantCreatable stores n without its OnCreate. An earlier attempt failed and may have
// left what can't be seen without the user, such as links to roles.
func (p *probe) wantCreatable(n *users.NewUser) {
	again := *n
	again.OnCreate = nil
	if err := p.CreateUser(p.ctx, &again); err != nil {
		p.errorf("CreateUser once more, with nothing in its way: got error %v, want none", err)
		return
	}
	p.wantStored(&again)
}

// wantStrings notes another list than want.
func (p *probe) wantStrings(what string, got, want []string) {
	if !slices.Equal(got, want) {
		p.errorf("%s: got %d: %.300q, want %d: %.300q", what, len(got), got, len(want), want)
	}
}

// slack is how long a case may take, and how far the clock of the store may be
// from that of the test.
const slack = 10 * time.Minute

// wantNow notes a time that is not about now.
func (p *probe) wantNow(what string, got time.Time) {
	if d := time.Since(got); d > slack || d < -slack {
		p.errorf("%s: got %v, want now", what, got)
	}
}

// wantRunningDown notes a Lifetime that does not get less.
func (p *probe) wantRunningDown(what string, left func() time.Duration) {
	first := left()
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		<-time.After(time.Millisecond) // a clock can be as coarse
		if left() < first {
			return
		}
	}
	p.errorf("%s: its Lifetime is %v still, want what is left", what, first)
}

// wantEqual notes how two records differ, field by field. Times must be the same
// instant, in UTC, and what is left of a Lifetime about the same. Hashes are not
// shown.
func (p *probe) wantEqual(what string, want, got any) {
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
	case time.Duration: // what is left of a Lifetime
		if g := got.Interface().(time.Duration); g > w+slack || g < w-slack {
			p.errorf("%s: got %v, want %v", at, g, w)
		}
		return
	case password.Hash:
		if !got.Interface().(password.Hash).Equal(w) {
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
