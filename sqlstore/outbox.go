package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
)

// The column pending is 1 in a row whose state is pending, and NULL in others.
// NULLs differ from each other in a unique key, so the one on (application_id,
// user_id, kind, pending) allows one pending notification of each kind to a
// user, on every node of a cluster.

// errRowTaken is no conflict of a user's: the Service makes the ids of notifications.
var errRowTaken = errors.New("sqlstore: the id of the notification is taken")

const notificationColumns = `application_id, id, user_id, kind, state, urgent, due_at, attempts, last_error, date_created`

const (
	// enqueue adds a notification for each row of what follows it: oneUser and
	// ifRare. It is due by the database's clock.
	enqueue = intoNotifications + `
		SELECT {t}, {t}, {t}, {t}, 'pending', 1, {b}, {now}, 0, '', {i}, {t}, COALESCE({i}, {now}) `
	// hasten makes the notification that is in the way of another one due, and as
	// urgent, if it is old enough for that. What follows is ifQuiet.
	hasten = `UPDATE {notifications}{locking notifications_pending} SET urgent = urgent OR {b}, due_at = CASE WHEN due_at > {now} THEN {now} ELSE due_at END
		WHERE application_id = ? AND user_id = ? AND kind = ? AND pending = 1 AND lease_until <= {now}
		AND (due_at > {now} OR urgent < {b})
		AND date_created + {i} * attempts * attempts <= {now} AND `

	// isUserIsTaken is the sum of isUser, if there is such a user, and isTaken, if
	// there is a notification with the id.
	isUserIsTaken = `SELECT (SELECT count(*) FROM {users} WHERE application_id = ? AND id = ?) +
		2 * (SELECT count(*) FROM {notifications} WHERE application_id = ? AND id = ?)`
	isUser, isTaken = 1, 2

	oneUser = `FROM {users} WHERE application_id = {t} AND id = {t}`
	// ifRare is that the user got few messages of late, ifQuiet that it got no token.
	ifRare = `(SELECT COALESCE(max(date_created) + {i} * count(DISTINCT notification_id) * count(DISTINCT notification_id), 0)
		FROM {password_tokens}
		WHERE application_id = {t} AND user_id = {t} AND date_created > {now} - {i}) <= {now}`
	ifQuiet = `NOT EXISTS (SELECT 1 FROM {password_tokens}
		WHERE application_id = {t} AND user_id = {t} AND date_created > {now} - {i})`
)

// Enqueue implements [users.OutboxStore]. Of concurrent calls the unique key
// lets one write.
//
// It waits for nobody but who holds the user's own notification, or is about to delete
// the user or change its keys: its time would tell that there is such a user. MySQL
// locks what a statement that writes reads of other tables, so there it is read before;
// a token that is made in between does not count. And the user is looked for again
// behind it, because it may have been deleted in between.
func (s *Store) Enqueue(ctx context.Context, r users.NotificationRecord, minGap time.Duration) error {
	user := condition{oneUser, []any{r.ApplicationID, r.UserID}}
	rare := condition{ifRare, []any{minGap.Microseconds(), r.ApplicationID, r.UserID, users.RecoveryWindow.Microseconds()}}
	quiet := condition{ifQuiet, []any{r.ApplicationID, r.UserID, minGap.Microseconds()}}
	return s.retry(ctx, func(attempt int) error {
		to, quiet := user.and(rare), quiet
		to.text += `{keep}`
		if s.Dialect == MySQL {
			isRare, isQuiet, err := s.hold(ctx, user, rare, quiet)
			if err != nil {
				return err
			}
			to, quiet = condition{`FROM DUAL WHERE ?`, []any{isRare}}, condition{`?`, []any{isQuiet}}
		}

		repeated, err := s.statementOnce(ctx, attempt, func(run runner) error {
			return run.insert(ctx, s.text(enqueue+to.text+` {or nothing}`), append([]any{
				r.ApplicationID, r.ID, r.UserID, r.Kind, r.Urgent, r.Attempts, r.LastError, orNow(r.Created),
			}, to.args...)...)
		})
		switch {
		case err == nil && s.Dialect == MySQL:
			return s.dropOrphan(ctx, r)
		case !isNotWritten(err):
			return err
		}

		var is int64
		err = s.look(ctx, func(run runner) (err error) {
			is, err = run.number(ctx, s.text(isUserIsTaken), r.ApplicationID, r.UserID, r.ApplicationID, r.ID)
			return err
		})
		switch {
		case err != nil:
			return err
		case is == isUser+isTaken && !repeated:
			return errRowTaken
		}
		// Also for a user that is missing: its time would tell.
		err = s.statement(ctx, func(run runner) error {
			_, err := run.exec(ctx, s.text(hasten+quiet.text), append([]any{
				r.Urgent, r.ApplicationID, r.UserID, r.Kind, r.Urgent, minGap.Microseconds(),
			}, quiet.args...)...)
			return err
		})
		if err == nil && is&isUser == 0 {
			err = errNobody()
		}
		return err
	})
}

const dropOrphanMySQL = `DELETE FROM {notifications} WHERE application_id = ? AND id = ?`

// dropOrphan deletes a notification that was just added if its user is not there
// anymore. DeleteUser has either seen it, or made it wait until the user was gone.
func (s *Store) dropOrphan(ctx context.Context, r users.NotificationRecord) error {
	var there int64
	err := s.look(ctx, func(run runner) (err error) {
		there, err = run.number(ctx, s.text(isUserIsTaken), r.ApplicationID, r.UserID, "", "")
		return err
	})
	if err != nil || there == isUser {
		return err
	}
	if _, err := s.delete(ctx, s.text(dropOrphanMySQL), r.ApplicationID, r.ID); err != nil {
		return err
	}
	return errNobody()
}

func errNobody() error { return fmt.Errorf("the user of the notification: %w", users.ErrNotFound) }

// hold reports whether two conditions hold of one user; both are false without that
// user.
func (s *Store) hold(ctx context.Context, user, one, other condition) (first, second bool, err error) {
	text := s.text(`SELECT ` + one.text + `, ` + other.text + ` ` + user.text)
	err = s.look(ctx, func(run runner) error {
		return run.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&first, &second) },
			text, slices.Concat(one.args, other.args, user.args)...)
	})
	return first, second, err
}

// condition is a part of a statement, with its arguments.
type condition struct {
	text string
	args []any
}

func (c condition) and(d condition) condition {
	return condition{c.text + ` AND ` + d.text, slices.Concat(c.args, d.args)}
}

// The first and the greatest number of applications that one statement looks for.
const (
	firstPage = 16
	maxPage   = 256
)

// turn is an application with notifications whose time has come.
type turn struct {
	application    string
	urgent, others bool // which ones
}

// pendingTurns and discardedTurns are the statements, by dialect, that find the
// applications which have notifications in that state.
//
// What they read does not grow with the number of notifications, of which one
// application may have any: they go from application to application in the index
// notifications_due, and there look at the longest due of the urgent ones and of the
// others. Statistics may be old, as when many are added at once, and then another
// index looks as good.
//
// The parameters are the application to begin after, how many entries of the index to
// read for the applications at most, of which each has one or more, and twice an age
// in microseconds.
var pendingTurns, discardedTurns = turns("pending"), turns("discarded")

func turns(state string) map[Dialect]string {
	const table = `{notifications}{using notifications_due}`
	steps := func(next func(after string) string) string {
		return `WITH RECURSIVE turns (id, entries, step) AS (
			SELECT (` + next("?") + `), 1, 1
			UNION ALL SELECT (` + next("turns.id") + `), 1, step + 1 FROM turns WHERE id IS NOT NULL AND step < {i})`
	}

	next := func(after string) string {
		return `SELECT application_id FROM ` + table + ` WHERE state = '` + state + `' AND application_id > ` + after + `
			ORDER BY application_id LIMIT 1`
	}
	// PostgreSQL can't be told which index to take, but no other one has this order.
	nextPostgres := func(after string) string {
		return `SELECT CASE state WHEN '` + state + `' THEN application_id END FROM ` + table + `
			WHERE (state, application_id) > ('` + state + `', ` + after + `) ORDER BY state, application_id, urgent, due_at LIMIT 1`
	}

	// MySQL can't begin in an index behind a value of another table, and = would let
	// it begin with the first entry of the state.
	walkMySQL := `WITH turns (id, entries) AS (
		SELECT application_id, count(*) FROM (
			SELECT application_id FROM ` + table + ` WHERE state >= '` + state + `' AND state <= '` + state + `' AND application_id > ?
			ORDER BY state, application_id, urgent, due_at LIMIT ?) AS walked
		GROUP BY application_id)`

	isDue := func(urgent string) string {
		return `COALESCE((SELECT due_at FROM ` + table + ` WHERE state = '` + state + `' AND application_id = turns.id
			AND urgent = ` + urgent + ` AND lease_until <= {now} ORDER BY due_at LIMIT 1) <= {now} - {i}, FALSE)`
	}
	look := ` SELECT id, entries, ` + isDue("TRUE") + `, ` + isDue("FALSE") + ` FROM turns WHERE id IS NOT NULL`
	return map[Dialect]string{Postgres: steps(nextPostgres) + look, SQLite: steps(next) + look, MySQL: walkMySQL + look}
}

// eachTurn calls use for the applications that have notifications whose time came so
// long ago: in the order of ids from the one after a given one, around the end, until
// use says that it is done.
func (s *Store) eachTurn(
	ctx context.Context, state map[Dialect]string, age time.Duration, after string, use func(turn) (done bool, err error),
) error {
	done, err := s.eachTurnBetween(ctx, state, age, after, "", use)
	if err == nil && !done && after != "" {
		_, err = s.eachTurnBetween(ctx, state, age, "", after, use)
	}
	return err
}

// eachTurnBetween goes from the application after one to another or, if that is
// empty, to the last.
func (s *Store) eachTurnBetween(
	ctx context.Context, state map[Dialect]string, age time.Duration, after, last string, use func(turn) (done bool, err error),
) (done bool, err error) {
	for limit := firstPage; ; limit = min(4*limit, maxPage) {
		page, entries, err := s.turns(ctx, state[s.Dialect], after, limit, age)
		if err != nil {
			return false, err
		}
		for _, t := range page {
			after = t.application
			if last != "" && after > last {
				return false, nil
			}
			if !t.urgent && !t.others {
				continue
			}
			if done, err := use(t); done || err != nil {
				return done, err
			}
		}
		if entries < limit {
			return false, nil
		}
	}
}

// turns returns a page of applications in the order of ids, and how many entries of
// the index were read for it.
func (s *Store) turns(
	ctx context.Context, template, after string, limit int, age time.Duration,
) (page []turn, entries int, err error) {
	err = s.read(ctx, func(r runner) error {
		page, entries = nil, 0
		return r.query(ctx, func(rows *sql.Rows) error {
			var t turn
			var n int
			err := rows.Scan(&t.application, &n, &t.urgent, &t.others)
			page, entries = append(page, t), entries+n
			return err
		}, s.text(template), after, limit, age.Microseconds(), age.Microseconds())
	})
	slices.SortFunc(page, func(x, y turn) int { return strings.Compare(x.application, y.application) })
	return page, entries, err
}

// claimPostgres finds the rows by ctid, as a join by the key may scan the table,
// and by tableoid, as a ctid is unique within one partition only.
const claimPostgres = `WITH due AS (
		SELECT tableoid AS part, ctid AS row_at FROM {notifications}
		WHERE ` + dueOfTurn + ` LIMIT {i} FOR UPDATE SKIP LOCKED)
	UPDATE {notifications} SET lease_owner = {t}, lease_until = {now} + {i}, attempts = attempts + 1
	WHERE ctid = ANY(ARRAY(SELECT row_at FROM due)) AND (tableoid, ctid) IN (SELECT part, row_at FROM due)
	RETURNING ` + notificationColumns

const claimSQLite = `UPDATE {notifications} SET lease_owner = ?, lease_until = {now} + ?, attempts = attempts + 1
	WHERE rowid IN (SELECT rowid FROM {notifications}{using notifications_due} WHERE ` + dueOfTurn + ` LIMIT ?)
	RETURNING ` + notificationColumns

// MySQL has no UPDATE … RETURNING.
const (
	selectDueMySQL = `SELECT ` + notificationColumns + ` FROM {notifications}{using notifications_due}
		WHERE ` + dueOfTurn + ` LIMIT ? FOR UPDATE`
	leaseMySQL = `UPDATE {notifications} SET lease_owner = ?, lease_until = {now} + ?, attempts = attempts + 1 WHERE `
)

const dueOfTurn = `state = 'pending' AND application_id = ? AND urgent = ? AND due_at <= {now} AND lease_until <= {now}
	ORDER BY due_at, id`

// Claim implements [users.OutboxStore]. Workers that claim at once skip each
// other's rows; a server without SKIP LOCKED makes them wait for each other. Where
// database/sql or retry repeats a claim that has taken effect, the rows of that are
// free again when its lease ends.
func (s *Store) Claim(ctx context.Context, c users.Claim) (claimed []users.NotificationRecord, err error) {
	if c.Worker == "" || c.Lease <= 0 {
		return nil, errors.New("sqlstore: Claim needs a Worker and a Lease")
	}
	claimed = []users.NotificationRecord{}
	if c.Limit <= 0 {
		return claimed, nil
	}

	err = s.eachTurn(ctx, pendingTurns, 0, c.After, func(t turn) (done bool, err error) {
		if slices.Contains(c.Except, t.application) {
			return false, nil
		}
		claimed, err = s.claimTurn(ctx, c, t)
		return len(claimed) > 0, err // nothing: another worker was faster
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// claimTurn claims rows of an application. When it fails after it has claimed the
// urgent ones it returns these.
func (s *Store) claimTurn(ctx context.Context, c users.Claim, t turn) ([]users.NotificationRecord, error) {
	claimed := []users.NotificationRecord{}
	for _, part := range []struct{ urgent, there bool }{{true, t.urgent}, {false, t.others}} {
		limit := c.Limit - len(claimed)
		if !part.there || limit == 0 {
			continue
		}
		rows, err := s.claimPart(ctx, c, limit, t.application, part.urgent)
		if err != nil && len(claimed) == 0 {
			return nil, err
		}
		claimed = append(claimed, rows...)
	}
	return claimed, nil
}

// claimPart claims the urgent rows of an application, or the others.
func (s *Store) claimPart(
	ctx context.Context, c users.Claim, limit int, application string, urgent bool,
) (claimed []users.NotificationRecord, err error) {
	lease := c.Lease.Microseconds()
	err = s.retry(ctx, func(int) error {
		switch s.Dialect {
		case Postgres:
			claimed, err = s.claimAtOnce(ctx, claimPostgres, application, urgent, limit, c.Worker, lease)
		case MySQL:
			claimed, err = s.claimMySQL(ctx, c, application, urgent, limit)
		case SQLite:
			claimed, err = s.claimAtOnce(ctx, claimSQLite, c.Worker, lease, application, urgent, limit)
		}
		return err
	})
	if err != nil {
		return nil, err
	}

	slices.SortFunc(claimed, func(x, y users.NotificationRecord) int {
		return cmp.Or(x.Due.Compare(y.Due), strings.Compare(x.ID, y.ID))
	})
	return claimed, nil
}

// claimAtOnce claims by one statement.
func (s *Store) claimAtOnce(ctx context.Context, template string, args ...any) (claimed []users.NotificationRecord, err error) {
	err = s.statement(ctx, func(r runner) error {
		claimed, err = r.notifications(ctx, s.text(template), args...)
		return err
	})
	return claimed, err
}

func (s *Store) claimMySQL(
	ctx context.Context, c users.Claim, of ...any,
) (claimed []users.NotificationRecord, err error) {
	due, skip := s.text(selectDueMySQL), s.skipLocked.Load()
	if skip {
		due += ` SKIP LOCKED`
	}

	err = s.transaction(ctx, func(r runner) error {
		claimed, err = r.notifications(ctx, due, of...)
		if err != nil || len(claimed) == 0 {
			return err
		}
		return r.leaseMySQL(ctx, c, claimed)
	})
	if err != nil && skip && s.classify(err) == unsupported {
		s.skipLocked.Store(false)
		return s.claimMySQL(ctx, c, of...)
	}
	return claimed, err
}

// leaseMySQL leases the rows that the transaction has locked.
func (r runner) leaseMySQL(ctx context.Context, c users.Claim, claimed []users.NotificationRecord) error {
	args := []any{c.Worker, c.Lease.Microseconds()}
	rows := make([]string, len(claimed))
	for i := range claimed {
		claimed[i].Attempts++
		args = append(args, claimed[i].ApplicationID, claimed[i].ID)
		// MariaDB scans the table for (a, b) IN ((?, ?)) with one pair.
		rows[i] = `application_id = ? AND id = ?`
	}
	_, err := r.exec(ctx, r.b.listText(leaseMySQL+strings.Join(rows, ` OR `), len(rows)), args...)
	return err
}

// notifications returns those that text selects.
func (r runner) notifications(ctx context.Context, text string, args ...any) ([]users.NotificationRecord, error) {
	found := []users.NotificationRecord{}
	err := r.query(ctx, func(rows *sql.Rows) error {
		var n users.NotificationRecord
		var due, created int64
		err := rows.Scan(&n.ApplicationID, &n.ID, &n.UserID, &n.Kind, &n.State, &n.Urgent, &due, &n.Attempts, &n.LastError, &created)
		n.Due, n.Created = micros(due), micros(created)
		found = append(found, n)
		return err
	}, text, args...)
	return found, err
}

const (
	settleDelivered = `DELETE FROM {notifications} WHERE application_id = ? AND id = ? AND lease_owner = ?`
	settleDiscarded = `UPDATE {notifications} SET state = 'discarded', pending = NULL, last_error = ?,
		due_at = {now}, lease_until = 0, lease_owner = ''
		WHERE application_id = ? AND id = ? AND lease_owner = ?`
	settleForRetry = `UPDATE {notifications} SET last_error = ?, attempts = attempts - ?, due_at = {now} + {i},
		lease_until = 0, lease_owner = ''
		WHERE application_id = ? AND id = ? AND lease_owner = ?`
)

// Settle implements [users.OutboxStore]. A lease that ran out is in force until
// another worker takes the notification. Where database/sql or retry repeats what
// has taken effect it returns ErrStale, on which a relay drops the outcome.
func (s *Store) Settle(ctx context.Context, t users.Settlement) error {
	if t.Worker == "" { // the owner of what is not leased
		return fmt.Errorf("sqlstore: no worker: %w", users.ErrStale)
	}

	retryIn := max(t.RetryIn, 0).Microseconds()
	settle := func(template string, args ...any) error {
		args = append(args, t.ApplicationID, t.ID, t.Worker)
		return s.retry(ctx, func(int) error {
			return s.statement(ctx, func(r runner) error { return r.changeOne(ctx, users.ErrStale, s.text(template), args...) })
		})
	}
	switch t.Outcome {
	case users.OutcomeDelivered:
		return settle(settleDelivered)
	case users.OutcomeDiscarded:
		return settle(settleDiscarded, t.LastError)
	case users.OutcomeRetry:
		return settle(settleForRetry, t.LastError, 0, retryIn)
	case users.OutcomeReleased:
		return settle(settleForRetry, t.LastError, 1, retryIn)
	}
	return fmt.Errorf("sqlstore: no such outcome: %d", t.Outcome)
}

const retryDiscarded = `UPDATE {notifications} SET state = 'pending', pending = 1, attempts = 0, due_at = {now},
	lease_until = 0, lease_owner = ''
	WHERE application_id = ? AND id = ? AND state = 'discarded'`

const countPending = `SELECT count(*) FROM {notifications} WHERE application_id = ? AND id = ? AND pending = 1`

// Retry implements [users.OutboxStore]. Where database/sql or retry repeats what has
// taken effect, and a worker has delivered the notification meanwhile, it returns
// ErrNotFound.
func (s *Store) Retry(ctx context.Context, applicationID, id string) error {
	return s.retry(ctx, func(attempt int) error {
		repeated, err := s.statementOnce(ctx, attempt, func(r runner) error {
			return r.changeOne(ctx, users.ErrNotFound, s.text(retryDiscarded), applicationID, id)
		})
		switch {
		case s.classify(err) == duplicate:
			return &users.ConflictError{Members: []string{"kind"}}
		case !repeated || !errors.Is(err, users.ErrNotFound):
			return err
		}

		// An earlier attempt may have taken effect.
		return s.look(ctx, func(r runner) error {
			pending, err := r.number(ctx, s.text(countPending), applicationID, id)
			if err == nil && pending == 0 {
				err = users.ErrNotFound
			}
			return err
		})
	})
}

const oldOfTurn = `state = 'discarded' AND application_id = ? AND urgent IN (TRUE, FALSE) AND due_at <= {now} - {i}`

const (
	purgeDiscardedPostgres = `WITH old AS (
			SELECT tableoid AS part, ctid AS row_at FROM {notifications} WHERE ` + oldOfTurn + ` LIMIT {i} FOR UPDATE SKIP LOCKED)
		DELETE FROM {notifications} WHERE ctid = ANY(ARRAY(SELECT row_at FROM old)) AND (tableoid, ctid) IN (SELECT part, row_at FROM old)`
	purgeDiscardedSQLite = `DELETE FROM {notifications} WHERE rowid IN (
		SELECT rowid FROM {notifications}{using notifications_due} WHERE ` + oldOfTurn + ` LIMIT ?)`

	// What MySQL locks of an application is what it deletes: the rows are found before,
	// without locks. DELETE takes a hint only in the form for several tables.
	findDiscardedMySQL  = `SELECT id FROM {notifications}{using notifications_due} WHERE ` + oldOfTurn + ` LIMIT ?`
	purgeDiscardedMySQL = `DELETE n FROM {notifications} AS n FORCE INDEX (PRIMARY)
		WHERE state = 'discarded' AND application_id = ? AND due_at <= {now} - ? AND id IN `
)

// PurgeDiscarded implements [users.OutboxStore], by one application after the other.
func (s *Store) PurgeDiscarded(ctx context.Context, age time.Duration, limit int) (purged int, err error) {
	if limit <= 0 {
		return 0, nil
	}
	err = s.eachTurn(ctx, discardedTurns, age, "", func(t turn) (done bool, err error) {
		n, err := s.purgeTurn(ctx, t.application, age.Microseconds(), limit-purged)
		purged += int(n)
		return purged >= limit, err
	})
	return purged, err
}

// purgeTurn deletes discarded notifications of an application.
func (s *Store) purgeTurn(ctx context.Context, application string, age int64, limit int) (n int64, err error) {
	text, args, list := purgeDiscardedPostgres, []any{application, age, limit}, 1
	switch s.Dialect {
	case SQLite:
		text = purgeDiscardedSQLite
	case MySQL:
		var ids []string
		err := s.read(ctx, func(r runner) (err error) {
			ids, err = r.strings(ctx, s.text(findDiscardedMySQL), args...)
			return err
		})
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		list = len(ids)
		text, args = purgeDiscardedMySQL+`(`+params(list)+`)`, appendStrings([]any{application, age}, ids)
	}
	err = s.retry(ctx, func(int) error {
		return s.statement(ctx, func(r runner) (err error) {
			n, err = r.exec(ctx, s.listText(text, list), args...)
			return err
		})
	})
	return n, err
}

const (
	listNotifications = `SELECT ` + notificationColumns + ` FROM {notifications}
		WHERE application_id = ? AND id > ? ORDER BY id LIMIT ?`
	listNotificationsByState = `SELECT ` + notificationColumns + ` FROM {notifications}{using notifications_state}
		WHERE application_id = ? AND state = ? AND id > ? ORDER BY id LIMIT ?`
)

// ListNotifications implements [users.OutboxStore]. It reads a page of each
// state that is wanted and merges them.
func (s *Store) ListNotifications(ctx context.Context, q users.NotificationQuery) (found []users.NotificationRecord, err error) {
	page := limit(q.Page.Limit)

	err = s.read(ctx, func(r runner) error {
		if len(q.States) == 0 {
			found, err = r.notifications(ctx, s.text(listNotifications), q.ApplicationID, q.Page.After, page)
			return err
		}
		found = []users.NotificationRecord{}
		for _, state := range q.States {
			rows, err := r.notifications(ctx, s.text(listNotificationsByState), q.ApplicationID, state, q.Page.After, page)
			if err != nil {
				return err
			}
			found = append(found, rows...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}

	slices.SortFunc(found, func(x, y users.NotificationRecord) int { return strings.Compare(x.ID, y.ID) })
	found = slices.CompactFunc(found, func(x, y users.NotificationRecord) bool { return x.ID == y.ID })
	return found[:min(int64(len(found)), page)], nil
}
