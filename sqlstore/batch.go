package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"github.com/gousers/users"
)

// CreateUsers implements [users.BatchStore], by statements of many rows. Where a batch
// clashes with users that are there it looks for them, and goes on with the others.
func (s *Store) CreateUsers(ctx context.Context, ns []*users.NewUser) ([]error, error) {
	return s.createUsers(ctx, ns)
}

// CreateUsers implements [users.BatchStore]: it writes ns in the host's transaction,
// behind a savepoint, and tries once. One of ns without HostTx is an error of all, as
// for [TxStore.CreateUser].
func (t *TxStore) CreateUsers(ctx context.Context, ns []*users.NewUser) ([]error, error) {
	for _, n := range ns {
		if !n.HostTx {
			return nil, errHostTx
		}
	}
	return t.createUsers(ctx, ns)
}

func (b *backend) createUsers(ctx context.Context, ns []*users.NewUser) (outcomes []error, err error) {
	if len(ns) == 0 {
		return nil, nil
	}
	committing := false
	err = b.retry(ctx, func(int) error {
		in := newIntake(ns, committing)
		err := b.transaction(ctx, func(r runner) error {
			err := r.createUsers(ctx, in)
			committing = committing || err == nil
			return err
		})
		outcomes = in.outcomes
		return err
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// intake is a batch of new users at work in one transaction.
type intake struct {
	ns       []*users.NewUser
	repeated bool // an earlier transaction may have taken effect
	related  bool // two of ns have a key in common

	missing  []bool // a role does not exist
	found    []users.UserRecord
	written  []bool
	outcomes []error
}

func newIntake(ns []*users.NewUser, repeated bool) *intake {
	var seen keyHolders
	related := false
	for _, n := range ns {
		related = related || len(seen.of(&n.UserRecord)) > 0
		seen.add(&n.UserRecord)
	}
	return &intake{
		ns: ns, repeated: repeated, related: related,
		missing: make([]bool, len(ns)), written: make([]bool, len(ns)), outcomes: make([]error, len(ns)),
	}
}

// keyHolders are users by their keys.
type keyHolders struct{ byID, byName, byEmail map[string]*users.UserRecord }

func (k *keyHolders) add(u *users.UserRecord) {
	if k.byID == nil {
		k.byID, k.byName, k.byEmail = map[string]*users.UserRecord{}, map[string]*users.UserRecord{}, map[string]*users.UserRecord{}
	}
	k.byID[u.ID], k.byName[u.NameKey], k.byEmail[u.EmailKey] = u, u, u
}

// of returns those that have a key of u.
func (k *keyHolders) of(u *users.UserRecord) (found []users.UserRecord) {
	for _, other := range []*users.UserRecord{k.byID[u.ID], k.byName[u.NameKey], k.byEmail[u.EmailKey]} {
		if other != nil {
			found = append(found, *other)
		}
	}
	return found
}

// judge sets the outcomes, given who was found to have the keys, and returns which of ns
// are still to be written, in the order in which that is done: it is the same for all
// batches, so that of two with the same names one waits for the other. Where only
// addresses cross each can wait for the other; the engine aborts one then.
func (in *intake) judge() (wanted []int) {
	var taken keyHolders
	for i := range in.found {
		taken.add(&in.found[i])
	}

	for i, n := range in.ns {
		holders := taken.of(&n.UserRecord)
		conflict := users.CheckConflict(&n.UserRecord, holders)
		switch {
		case in.written[i]:
			continue
		case in.repeated && hasOwn(n, holders):
			in.outcomes[i] = nil
		case conflict != nil:
			in.outcomes[i] = conflict
		case in.missing[i]:
			in.outcomes[i] = errUnknownRole()
		default:
			in.outcomes[i] = nil
			taken.add(&n.UserRecord)
			wanted = append(wanted, i)
		}
	}

	slices.SortFunc(wanted, func(i, j int) int { return cmp.Compare(in.ns[i].NameKey, in.ns[j].NameKey) })
	return wanted
}

// maxRounds is how often the users of a batch are written that are free of what was
// found.
const maxRounds = 3

// createUsers writes those of the batch that can be written, inside a transaction. Most
// batches meet nobody, so who has the keys is asked once somebody was in the way, or
// where the answer may decide which of two of the batch is created.
func (r runner) createUsers(ctx context.Context, in *intake) (err error) {
	if err := r.holdApplication(ctx, in.ns[0].ApplicationID); err != nil {
		return err
	}
	if err := r.holdRoles(ctx, in); err != nil {
		return err
	}
	looked := in.related || in.repeated || slices.Contains(in.missing, true)
	if looked {
		if err := r.lookUp(ctx, in); err != nil {
			return err
		}
	}

	for range maxRounds {
		err = r.putUsers(ctx, in)
		switch {
		case err == nil:
			return r.putBelongings(ctx, in)
		case !isNotWritten(err):
			return err
		case looked && r.b.Dialect == MySQL && r.b.tx == nil:
			// The snapshot of the first look does not show who came later.
			return fmt.Errorf("%w: %w", errVanished, err)
		}
		if r.b.conflicted != nil {
			r.b.conflicted.Store(true)
		}
		if err := r.lookUp(ctx, in); err != nil {
			return err
		}
		looked = true
	}
	return fmt.Errorf("%w: %w", errVanished, err)
}

// lockApplicationSQLite changes nothing. A transaction of SQLite's that begins with
// reading can be refused to write.
const lockApplicationSQLite = `UPDATE {applications} SET id = id WHERE id = ?`

// holdApplication returns [users.ErrUnknownApplication] if there is no such one.
func (r runner) holdApplication(ctx context.Context, id string) error {
	if r.b.Dialect == SQLite {
		return r.changeOne(ctx, users.ErrUnknownApplication, r.b.text(lockApplicationSQLite), id)
	}
	found, err := r.applications(ctx, r.b.text(applicationAsItIs), id)
	if err == nil && len(found) == 0 {
		err = users.ErrUnknownApplication
	}
	return err
}

// holdRoles finds out which of the batch have a role that does not exist, and keeps the
// others from being deleted.
func (r runner) holdRoles(ctx context.Context, in *intake) error {
	var refs []users.Role
	for _, n := range in.ns {
		refs = append(refs, n.Roles...)
	}
	there := map[string]bool{}
	for part := range slices.Chunk(roleIDs(refs), maxList) {
		found, err := r.strings(ctx, r.b.listText(keepRoles+`(`+params(len(part))+`){keep}`, len(part)),
			appendStrings([]any{in.ns[0].ApplicationID}, part)...)
		if err != nil {
			return err
		}
		for _, id := range found {
			there[id] = true
		}
	}
	for i, n := range in.ns {
		in.missing[i] = slices.ContainsFunc(n.Roles, func(role users.Role) bool { return !there[role.ID] })
	}
	return nil
}

// lookUp finds who has the keys of what is not written.
func (r runner) lookUp(ctx context.Context, in *intake) error {
	var ids, names, emails []string
	for i, n := range in.ns {
		if !in.written[i] {
			ids, names, emails = append(ids, n.ID), append(names, n.NameKey), append(emails, n.EmailKey)
		}
	}
	in.found = nil
	batches := r.b.byKeys(selectHolders, in.ns[0].ApplicationID,
		keys{"id", ids}, keys{"name_key", names}, keys{"email_key", emails})
	for _, batch := range batches {
		found, err := r.holders(ctx, batch.text, batch.args...)
		if err != nil {
			return err
		}
		in.found = append(in.found, found...)
	}
	return nil
}

// putUsers writes the users of the batch that nobody known is in the way of. The error
// is errNotWritten if somebody is in the way of one. Where two of the batch have a key in
// common nothing is written then: who was not may have been in the way of another one.
func (r runner) putUsers(ctx context.Context, in *intake) error {
	wanted := in.judge()
	if !in.related {
		return r.putUserRows(ctx, in, wanted)
	}
	ctx = context.WithValue(ctx, txKey{}, openTx{r.tx, depth(ctx) + 1})
	err := r.b.inSavepoint(ctx, r, func(r runner) error { return r.putUserRows(ctx, in, wanted) })
	if err != nil {
		clear(in.written)
	}
	return err
}

const (
	userRow = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	intoUsers = `INSERT INTO {users} (` + userColumns + `) VALUES `
	// returningIDs is the end of intoUsers, except on MySQL. IGNORE is no DO NOTHING: it
	// writes values that do not fit in another form.
	returningIDs = ` ON CONFLICT DO NOTHING RETURNING id`
)

// putUserRows writes users and sets their written. It stops behind the first statement of
// MySQL's that clashes, of which nothing is written then.
func (r runner) putUserRows(ctx context.Context, in *intake, wanted []int) error {
	rows := make([][]any, len(wanted))
	at := make(map[string]int, len(wanted)) // by id
	for k, i := range wanted {
		rows[k] = userValues(in.ns[i])
		at[in.ns[i].ID] = i
	}

	tail := returningIDs
	if r.b.Dialect == MySQL {
		tail = ""
	}
	written := 0
	err := r.eachStatement(ctx, intoUsers, userRow, tail, rows, func(r runner, text string, from, to int, args []any) error {
		ids, err := r.writtenIDs(ctx, text, args, in, wanted[from:to])
		for _, id := range ids {
			in.written[at[id]] = true
		}
		written += len(ids)
		return err
	})
	if err == nil && written < len(wanted) {
		err = errNotWritten
	}
	return err
}

// writtenIDs runs one statement of putUserRows and returns the ids of the users that it
// wrote.
func (r runner) writtenIDs(ctx context.Context, text string, args []any, in *intake, wanted []int) (ids []string, err error) {
	if r.b.Dialect != MySQL {
		return r.strings(ctx, text, args...)
	}
	_, err = r.exec(ctx, text, args...)
	switch {
	case r.b.classify(err) == duplicate:
		return nil, fmt.Errorf("%w: %w", errNotWritten, err)
	case err != nil:
		return nil, err
	}
	for _, i := range wanted {
		ids = append(ids, in.ns[i].ID)
	}
	return ids, nil
}

// putBelongings writes the role links and the notifications of those that are written.
func (r runner) putBelongings(ctx context.Context, in *intake) error {
	var links, notifications [][]any
	for i, n := range in.ns {
		if !in.written[i] {
			continue
		}
		for _, role := range roleIDs(n.Roles) {
			links = append(links, []any{n.ApplicationID, n.ID, role})
		}
		for k := range n.Notifications {
			notifications = append(notifications, notificationArgs(&n.Notifications[k]))
		}
	}

	send := func(r runner, text string, _, _ int, args []any) error {
		_, err := r.exec(ctx, text, args...)
		return err
	}
	if err := r.eachStatement(ctx, intoUserRoles, userRoleRow, "", links, send); err != nil {
		return err
	}
	return r.eachStatement(ctx, intoNotifications+` VALUES `, notificationRow, "", notifications, send)
}

// The bounds of a statement with many rows.
const (
	maxVariablesSQLite = 999     // a build may allow no more
	maxRowsSize        = 1 << 20 // far below what max_allowed_packet of MySQL's usually is
)

// rowsPerStatement returns how many of rows go into the next statement: one of few
// lengths, so that a driver that keeps prepared statements keeps few. Of users 40 have no
// more values than SQLite takes.
func (d dialect) rowsPerStatement(rows [][]any) int {
	for _, n := range [...]int{500, 40, 5} {
		switch {
		case n > len(rows),
			d.Dialect == SQLite && n*len(rows[0]) > maxVariablesSQLite,
			sizeOf(rows[:n]) > maxRowsSize:
			continue
		}
		return n
	}
	return 1
}

// sizeOf returns how many bytes the texts in rows have.
func sizeOf(rows [][]any) (size int) {
	for _, row := range rows {
		for _, v := range row {
			if s, ok := v.(string); ok {
				size += len(s)
			}
		}
	}
	return size
}

// eachStatement calls send for each statement that writes rows, until one fails: those
// from one number to before another one. r runs that statement.
func (r runner) eachStatement(
	ctx context.Context, into, row, tail string, rows [][]any,
	send func(r runner, text string, from, to int, args []any) error,
) error {
	for from := 0; from < len(rows); {
		n := r.b.rowsPerStatement(rows[from:])
		text := r.b.text(into + listOf(row, n) + tail)
		run, done, err := r.repeating(ctx, text)
		if err != nil {
			return err
		}
		for again := true; err == nil && again; from += n {
			err = send(run, text, from, from+n, slices.Concat(rows[from:from+n]...))
			again = from+n < len(rows) && r.b.rowsPerStatement(rows[from+n:]) == n
		}
		if err := errors.Join(err, done()); err != nil {
			return err
		}
	}
	return nil
}

// repeating returns a runner of text alone, and what ends its use. SQLite's statements of
// many rows are short, and would take as long to parse as to run: there it is prepared.
// Elsewhere a driver keeps statements itself or not, and it is r.
func (r runner) repeating(ctx context.Context, text string) (run runner, done func() error, err error) {
	if r.b.Dialect != SQLite {
		return r, func() error { return nil }, nil
	}
	st, err := r.tx.PrepareContext(ctx, text)
	if err != nil {
		return runner{}, nil, err
	}
	return runner{b: r.b, q: stmtQuerier{st}, tx: r.tx, bare: true}, st.Close, nil
}

// stmtQuerier runs one statement, whatever text it is given. database/sql sends one that
// is prepared once more, in the same transaction, where a driver calls the connection bad
// that has run it: the rows would be in their own way.
type stmtQuerier struct{ st *sql.Stmt }

func (q stmtQuerier) ExecContext(ctx context.Context, _ string, args ...any) (sql.Result, error) {
	return q.st.ExecContext(ctx, sentOnce(args)...)
}

func (q stmtQuerier) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return q.st.QueryContext(ctx, sentOnce(args)...)
}

// sentOnce returns args that can be sent once; see runner.counted.
func sentOnce(args []any) []any {
	args = slices.Clone(args)
	args[0] = onceArg{args[0], new(bool)}
	return args
}

// onceArg is a value that can be converted once.
type onceArg struct {
	value any
	sent  *bool
}

// Value implements [driver.Valuer].
func (a onceArg) Value() (driver.Value, error) {
	if *a.sent {
		return nil, driver.ErrBadConn
	}
	*a.sent = true
	return a.value, nil
}
