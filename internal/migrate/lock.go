package migrate

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
)

// On MySQL and MariaDB two locks keep processes apart. The one that decides is a
// row of the journal, version 0 and step 0: of those that insert it at once the
// database lets one pass, on a cluster as well, whose nodes know nothing of each
// other's named locks. And whoever could insert it sees what the one before did,
// though reads on a cluster lag behind.
//
// The row's owner is the name of its node and a random text. It outlives its
// process, and is void after lockLease, unless holdOn was called. On one node
// nobody waits for that: there a named lock is taken first, which dies with its
// connection, so that a row of the same node can only be one that was left.
//
// Nobody calls holdOn during a statement: one that takes longer than lockLease, or
// clocks of two nodes that are as far apart, let another node take the row of a
// living process.
//
// Who lost the row to another writes no entry after that, and changes none that
// the other took over: such statements ask for the owner. DDL can't ask: what is
// being run when the row is lost, or starts right after the entry, is run.

// locked does the steps under both locks.
func (r *runner) locked(ctx context.Context) error {
	schema, err := r.schema(ctx)
	if err != nil {
		return err
	}
	named, release, err := r.lockName(ctx, r.lockOf(schema))
	if err != nil {
		return err
	}
	defer release()

	node, known := r.node(ctx)
	r.owner = node + "/" + rand.Text()
	if err := r.makeJournal(ctx); err != nil {
		return err
	}
	if err := r.lockRow(ctx, node, named && known); err != nil {
		return r.explainJournal(err)
	}
	defer r.cleanUp(ctx, func(ctx context.Context) error {
		_, err := r.exec(ctx, `DELETE FROM {users_migrations} WHERE version = 0 AND step = 0 AND owner = ?`, r.owner)
		return err
	})
	return r.steps(ctx)
}

// schema is the database of the journal.
func (r *runner) schema(ctx context.Context) (string, error) {
	if r.db.Schema != "" {
		return r.db.Schema, nil
	}
	var name sql.NullString
	err := r.again(ctx, func() error { return r.conn.QueryRowContext(ctx, `SELECT DATABASE()`).Scan(&name) })
	return name.String, err
}

// lockOf returns the name of the lock for a journal in schema. MySQL takes 64
// characters; a name that is that of the schema has as many by itself.
func (s *Set) lockOf(schema string) string {
	h := fnv.New128a()
	// Some servers make names lower case, which may be done to one of two here.
	h.Write([]byte(strings.ToLower(schema + "." + s.db.Prefix)))
	return fmt.Sprintf("gousers-%x", h.Sum(nil))
}

// lockName takes the named lock; release frees it. Where a cluster refuses
// such locks, ok is false.
func (r *runner) lockName(ctx context.Context, name string) (ok bool, release func(), err error) {
	deadline, cancel := context.WithTimeoutCause(ctx, lockPatience, errLocked)
	defer cancel()
	for got := (sql.NullInt64{}); got.Int64 != 1; {
		// A wait in the statement would end by the readTimeout of the DSN.
		err := r.again(ctx, func() error { return r.conn.QueryRowContext(ctx, `SELECT GET_LOCK(?, 0)`, name).Scan(&got) })
		switch {
		case err != nil && r.db.Unsupported(err):
			return false, func() { r.commit(ctx) }, nil
		case err != nil:
			return false, nil, err
		case got.Int64 != 1 && pause(deadline) != nil:
			return false, nil, context.Cause(deadline)
		}
	}
	return true, func() {
		r.cleanUp(ctx, func(ctx context.Context) error { // with its connection the lock ends
			commit := r.commit(ctx) // of what was read
			_, err := r.conn.ExecContext(ctx, `DO RELEASE_LOCK(?)`, name)
			return errors.Join(commit, err)
		})
	}, nil
}

// node is the name of the server that conn is on, which no other of its cluster
// has; known is false where the server does not say. It is empty for a server that
// has no nodes beside it.
func (r *runner) node(ctx context.Context) (name string, known bool) {
	for _, show := range []string{
		`SHOW GLOBAL STATUS LIKE 'wsrep_gcomm_uuid'`, // Galera
		`SHOW GLOBAL VARIABLES LIKE 'server_uuid'`,   // MySQL, whose groups write on all members too
	} {
		var variable string
		err := r.again(ctx, func() error { return r.conn.QueryRowContext(ctx, show).Scan(&variable, &name) })
		if !errors.Is(err, sql.ErrNoRows) {
			return name, err == nil
		}
	}
	return "", true
}

// lockRow inserts the row of the lock. It waits for another's until that is void,
// which alone says that there is nobody else of this node.
func (r *runner) lockRow(ctx context.Context, node string, alone bool) error {
	void, args := `started_at < {now} - ?`, []any{lockLease.Microseconds()}
	if alone {
		void, args = `(`+void+` OR SUBSTRING_INDEX(owner, '/', 1) = ?)`, append(args, node)
	}
	deadline, cancel := context.WithTimeoutCause(ctx, lockPatience+lockLease, errLocked)
	defer cancel()
	for {
		_, err := r.exec(ctx, `INSERT INTO {users_migrations} (version, step, started_at, owner) VALUES (0, 0, {now}, ?)`, r.owner)
		if err == nil || !r.db.Taken(err) {
			return err
		}
		err = r.update(ctx, `DELETE FROM {users_migrations} WHERE version = 0 AND step = 0 AND `+void, args...)
		switch {
		case err == nil: // it is gone
		case !errors.Is(err, errEntry):
			return err
		case pause(deadline) != nil:
			return context.Cause(deadline)
		}
	}
}

// holdOn says that the owner of the row is alive, and finds out whether it still
// is the owner.
func (r *runner) holdOn(ctx context.Context) error {
	return r.update(ctx, `UPDATE {users_migrations} SET started_at = GREATEST({now}, started_at + 1) WHERE version = 0 AND step = 0 AND owner = ?`, r.owner)
}
