package storetest

import (
	"context"
	"database/sql"

	"github.com/gousers/users"
)

// TxHarness is a back end on which the host runs transactions of its own, with
// the store that is tested. For package sqlstore it is:
//
//	storetest.TxHarness{
//		Store: store,
//		Begin: func(ctx context.Context, level sql.IsolationLevel) (storetest.HostTx, error) {
//			tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
//			if err != nil {
//				return storetest.HostTx{}, err
//			}
//			return storetest.HostTx{Store: store.WithTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}, nil
//		},
//	}
type TxHarness struct {
	// Store owns its transactions. It is empty at first.
	Store users.Store
	// Begin begins a transaction of the host's. level is one of
	// sql.LevelReadCommitted, sql.LevelRepeatableRead and
	// sql.LevelSerializable; the answer to one that the back end lacks is an
	// error that matches errors.ErrUnsupported, and its cases are skipped. One
	// level at least must be there.
	//
	// Two transactions are open at once, each used by one goroutine at a time,
	// beside calls on Store. A write may wait for the end of another
	// transaction that has written, but nothing may wait for one that has only
	// read: on SQLite that takes WAL, a plain BEGIN (deferred, not immediate),
	// a busy_timeout of some seconds and more than one connection.
	Begin func(ctx context.Context, level sql.IsolationLevel) (HostTx, error)
}

// HostTx is one transaction of the host's.
type HostTx struct {
	Store            users.Store // writes inside the transaction; a users.HostTx
	Commit, Rollback func() error
}
