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

// Enqueue implements users.OutboxStore. Calls for one user queue on the user's
// row; SQLite has one writer anyway.
func (s *Store) Enqueue(ctx context.Context, o users.OutboxRow, minGap time.Duration) error {
	args := slices.Delete(notificationArgs(&o), 5, 6) // due by the database's clock
	args = append(args, o.ApplicationID, o.UserID,
		o.ApplicationID, o.UserID, o.Kind, users.StatePending,
		o.ApplicationID, o.UserID, o.Created.Add(-minGap).UnixMicro())
	return s.again(ctx, func(int) error {
		if s.Dialect == SQLite {
			var affected int64
			err := s.single(ctx, func(r runner) (err error) {
				affected, err = r.exec(ctx, s.text.enqueue, args...)
				return err
			})
			if err != nil || affected > 0 {
				return err
			}
			return s.runner().lockUser(ctx, o.ApplicationID, o.UserID)
		}
		return s.transaction(ctx, func(r runner) error {
			if err := r.lockUser(ctx, o.ApplicationID, o.UserID); err != nil {
				return err
			}
			_, err := r.exec(ctx, s.text.enqueue, args...)
			return err
		})
	})
}

func (r runner) lockUser(ctx context.Context, applicationID, userID string) error {
	found, err := r.number(ctx, r.b.text.lockUser, applicationID, userID)
	if err == nil && found == 0 {
		err = fmt.Errorf("the user of the notification: %w", users.ErrNotFound)
	}
	return err
}

// Claim implements users.OutboxStore. Workers that claim at once skip each
// other's rows; a server without SKIP LOCKED makes them wait for each other.
func (s *Store) Claim(ctx context.Context, c users.Claim) (rows []users.OutboxRow, err error) {
	if c.Worker == "" || c.Lease <= 0 {
		return nil, errors.New("sqlstore: Claim needs a Worker and a Lease")
	}
	if c.Limit <= 0 {
		return []users.OutboxRow{}, nil
	}
	err = s.again(ctx, func(int) error {
		if s.Dialect == MySQL {
			rows, err = s.claimLocked(ctx, c)
		} else {
			rows, err = s.claimAtOnce(ctx, c)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b users.OutboxRow) int {
		return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.ApplicationID, b.ApplicationID), strings.Compare(a.ID, b.ID))
	})
	return rows, nil
}

const claimable = `SELECT application_id, id FROM {notifications}
	WHERE state = ? AND due_at <= {now} AND lease_until <= {now} ORDER BY due_at, application_id, id LIMIT {i}`

// claimAtOnce takes rows in one statement.
func (s *Store) claimAtOnce(ctx context.Context, c users.Claim) (rows []users.OutboxRow, err error) {
	rowsOf := `(application_id, id) IN (` + claimable + `)`
	if s.Dialect == Postgres { // by ctid: a join by the key may scan the table
		rowsOf = `ctid = ANY(ARRAY(` + strings.Replace(claimable, "application_id, id", "ctid", 1) + ` FOR UPDATE SKIP LOCKED))`
	}
	text := s.render(`UPDATE {notifications} SET lease_owner = ?, lease_until = {now} + {i}, attempts = attempts + 1
		WHERE ` + rowsOf + ` RETURNING ` + notificationColumns)
	err = s.single(ctx, func(r runner) error {
		rows, err = r.outboxRows(ctx, text, c.Worker, c.Lease.Microseconds(), users.StatePending, c.Limit)
		return err
	})
	return rows, err
}

// claimLocked takes rows on a database without UPDATE … RETURNING.
func (s *Store) claimLocked(ctx context.Context, c users.Claim) (rows []users.OutboxRow, err error) {
	skip := s.skipLocked.Load()
	err = s.transaction(ctx, func(r runner) error {
		lock := " FOR UPDATE"
		if skip {
			lock += " SKIP LOCKED"
		}
		text := strings.Replace(claimable, `application_id, id`, notificationColumns, 1) + lock
		rows, err = r.outboxRows(ctx, s.render(text), users.StatePending, c.Limit)
		if err != nil || len(rows) == 0 {
			return err
		}
		args := []any{c.Worker, c.Lease.Microseconds()}
		for i := range rows {
			rows[i].Attempts++
			args = append(args, rows[i].ApplicationID, rows[i].ID)
		}
		keys := strings.TrimSuffix(strings.Repeat("(?, ?), ", len(rows)), ", ")
		_, err := r.exec(ctx, s.render(`UPDATE {notifications} SET lease_owner = ?, lease_until = {now} + {i}, attempts = attempts + 1
			WHERE (application_id, id) IN (`+keys+`)`), args...)
		return err
	})
	if err != nil && skip && s.classify(err) == unsupported {
		s.skipLocked.Store(false)
		return s.claimLocked(ctx, c)
	}
	return rows, err
}

func (r runner) outboxRows(ctx context.Context, text string, args ...any) ([]users.OutboxRow, error) {
	found := []users.OutboxRow{}
	err := r.query(ctx, func(rows *sql.Rows) error {
		var o users.OutboxRow
		var due, created int64
		err := rows.Scan(&o.ApplicationID, &o.ID, &o.UserID, &o.Kind, &o.State, &due, &o.Attempts, &o.LastError, &created)
		o.Due, o.Created = micros(due), micros(created)
		found = append(found, o)
		return err
	}, text, args...)
	return found, err
}

// Settle implements users.OutboxStore.
func (s *Store) Settle(ctx context.Context, t users.Settlement) error {
	if t.Worker == "" {
		return fmt.Errorf("sqlstore: no worker: %w", users.ErrStale)
	}
	text, args := s.text.settleDelivered, []any{t.ApplicationID, t.ID, t.Worker}
	if t.State != "" {
		back := 0
		if t.NotTried {
			back = 1
		}
		text = s.text.settleOther
		args = append([]any{t.State, t.LastError, back, max(t.RetryIn, 0).Microseconds()}, args...)
	}
	return s.changeOne(ctx, users.ErrStale, text, args...)
}

// Retry implements users.OutboxStore.
func (s *Store) Retry(ctx context.Context, applicationID, id string) error {
	return s.changeOne(ctx, users.ErrNotFound, s.text.retry, users.StatePending, applicationID, id, users.StateAbandoned)
}

// changeOne runs a statement that changes one row; absent if it is not there.
func (s *Store) changeOne(ctx context.Context, absent error, text string, args ...any) error {
	return s.again(ctx, func(int) error {
		return s.single(ctx, func(r runner) error {
			affected, err := r.exec(ctx, text, args...)
			if err == nil && affected == 0 {
				err = absent
			}
			return err
		})
	})
}

// FindNotifications implements users.OutboxStore.
func (s *Store) FindNotifications(ctx context.Context, q users.NotificationQuery) (found []users.OutboxRow, err error) {
	page := `SELECT ` + notificationColumns + ` FROM {notifications}{index} WHERE application_id = ?{state} AND id > ? ORDER BY id`
	all := strings.NewReplacer("{index}", "", "{state}", "")
	ofState := strings.NewReplacer("{index}", "", "{state}", " AND state = ?")
	if s.Dialect == MySQL { // which takes the index of the relay's where most rows are of one application
		ofState = strings.NewReplacer("{index}", " FORCE INDEX ({#notifications_state})", "{state}", " AND state = ?")
	}
	texts, args := []string{all.Replace(page)}, [][]any{{q.ApplicationID, q.Page.After}}
	if len(q.States) > 0 {
		// A page of each state by its index, then the page of them all.
		texts, args = nil, nil
		for _, state := range q.States {
			texts = append(texts, ofState.Replace(page))
			args = append(args, []any{q.ApplicationID, state, q.Page.After})
		}
	}
	err = s.read(ctx, func(r runner) error {
		found = []users.OutboxRow{}
		for i := range texts {
			text, arg := texts[i], args[i]
			if q.Page.Limit > 0 {
				text, arg = text+` LIMIT ?`, append(slices.Clone(arg), q.Page.Limit)
			}
			rows, err := r.outboxRows(ctx, s.render(text), arg...)
			if err != nil {
				return err
			}
			found = append(found, rows...)
		}
		slices.SortFunc(found, func(a, b users.OutboxRow) int { return strings.Compare(a.ID, b.ID) })
		found = slices.CompactFunc(found, func(a, b users.OutboxRow) bool { return a.ID == b.ID })
		if q.Page.Limit > 0 {
			found = found[:min(len(found), q.Page.Limit)]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
