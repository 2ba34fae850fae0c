package storetest

import (
	"errors"
	"fmt"

	"github.com/gousers/users"
)

func batchStore(tx Tx) users.BatchStore {
	s, _ := users.StoreAs[users.BatchStore](tx.Store)
	return s
}

// joining returns a user of a batch that a Service made by InTx has created.
func (x *txProbe) joining(a users.Application, roles ...users.Role) *users.NewUser {
	n := x.newcomer(a, roles...)
	n.HostTx = true
	return n
}

// batchInside creates users in the transaction, which sees them, and refuses those that
// are in conflict with them.
func batchInside(x *txProbe) {
	a := x.app()
	r := x.role(a, "r")
	outside := x.create(x.full(a))
	x.eachEnd(func(committed bool) (Tx, func()) {
		first := []*users.NewUser{x.joining(a, r), x.joining(a), x.joining(a)}
		first[2].NameKey = outside.NameKey
		second := []*users.NewUser{x.joining(a), x.joining(a, r)}
		second[0].EmailKey = first[0].EmailKey

		tx := x.begin()
		outcomes, err := batchStore(tx).CreateUsers(x.ctx, first)
		x.must("CreateUsers", err)
		x.wantConflict("a name that was there", outcomes[2], "userName")
		if outcomes[0] != nil || outcomes[1] != nil {
			x.errorf("the others: got %v and %v, want them created", outcomes[0], outcomes[1])
		}
		outcomes, err = batchStore(tx).CreateUsers(x.ctx, second)
		x.must("CreateUsers", err)
		x.wantConflict("an address of the same transaction", outcomes[0], "email")
		if outcomes[1] != nil {
			x.errorf("the other one: got %v, want it created", outcomes[1])
		}

		made := []*users.NewUser{first[0], first[1], second[1]}
		for i, n := range made {
			x.wantEqual(fmt.Sprintf("user %d, seen in the transaction", i),
				[]users.UserRecord{n.UserRecord}, x.seen(tx, a.ID, n.ID))
			x.wantAbsent(n)
		}
		return tx, func() {
			for _, n := range made {
				if committed {
					x.wantStored(n)
				} else {
					x.wantAbsent(n)
				}
			}
			x.wantAbsent(first[2])
			x.wantAbsent(second[0])
		}
	})
	x.wantStored(outside)
}

// failedBatchInside lets the host ignore errors of whole batches and commit.
func failedBatchInside(x *txProbe) {
	a := x.app()
	r := x.role(a, "r")
	first := x.create(x.full(a))
	tx := x.begin()
	nowhere := []*users.NewUser{x.joining(users.Application{ID: x.id()})}
	_, err := batchStore(tx).CreateUsers(x.ctx, nowhere)
	x.wantErr("CreateUsers of an unknown application", err, users.ErrUnknownApplication)

	ns := []*users.NewUser{x.joining(a, r), x.joining(a)}
	if x.outbox != nil {
		ns[1].Notifications[0].ID = first.Notifications[0].ID
		_, err := batchStore(tx).CreateUsers(x.ctx, ns)
		if err == nil || errors.Is(err, users.ErrRetryTx) {
			x.errorf("CreateUsers with the notification id of another: got error %v", err)
		}
	}
	x.wantUsable(tx, a)
	for _, n := range ns {
		found := x.users(users.UserQuery{ApplicationID: a.ID, IDs: []string{n.ID}})
		if len(found) > 0 {
			x.errorf("a user of a batch that failed is there")
		}
	}
	x.wantStored(first)
}

// batchRefusesWhoDoesNotKnow: one of a batch that does not know of the transaction is
// enough.
func batchRefusesWhoDoesNotKnow(x *txProbe) {
	a := x.app()
	ns := []*users.NewUser{x.joining(a), x.joining(a)}
	ns[1].HostTx = false
	tx := x.begin()
	if _, err := batchStore(tx).CreateUsers(x.ctx, ns); err == nil {
		x.errorf("CreateUsers without HostTx: got no error: a Service would call AfterCreate before the commit")
	}
	x.wantUsable(tx, a)
	for _, n := range ns {
		x.wantAbsent(n)
		x.wantCreatable(n)
	}
}
