package memstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gousers/users"
)

// errRowTaken is no conflict of a user's: the Service makes the ids of notifications.
var errRowTaken = errors.New("memstore: the id of the notification is taken")

// row is a [users.NotificationRecord] as it is kept. Its node is in Store.ready or
// in a queue of its tenant, if it is leased in Store.leased, and if it is discarded
// in Store.discarded.
type row struct {
	users.NotificationRecord
	user   *user
	worker string // who claimed it last; empty once that one has settled
	node   *node[*row]
}

// checkRows judges whether the ids of rows are free.
func (t *tenant) checkRows(rows []users.NotificationRecord) error {
	for _, r := range rows {
		if t.rows[r.ID] != nil {
			return errRowTaken
		}
	}
	return nil
}

// addRow adds o, whose id is free. It is claimed from o.Due on if it is pending.
func (s *Store) addRow(t *tenant, u *user, o users.NotificationRecord) {
	o.Created, o.Due = s.orNow(o.Created), s.orNow(o.Due)
	r := &row{NotificationRecord: o, user: u}
	t.rows[o.ID] = r
	u.rows[o.ID] = r
	if o.State == users.StatePending {
		u.pending[o.Kind] = r
		r.node = s.ready.add(o.Due, o.ID, r)
	} else {
		r.node = s.discarded.add(o.Due, o.ID, r)
	}
}

// addMissingRows adds those of rows, whose ids are free, of whose kind none is pending,
// but for one that a worker holds: they take the place of that.
func (s *Store) addMissingRows(t *tenant, u *user, rows []users.NotificationRecord) {
	for _, r := range rows {
		old := u.pending[r.Kind]
		if old != nil && !s.holds(old, s.now()) {
			continue
		}
		if old != nil {
			old.node.in.remove(old.node)
			t.removeRow(old)
		}
		s.addRow(t, u, r)
	}
}

// removeRow forgets r, which is in no queue any more.
func (t *tenant) removeRow(r *row) {
	delete(t.rows, r.ID)
	delete(r.user.rows, r.ID)
	if r.user.pending[r.Kind] == r {
		delete(r.user.pending, r.Kind)
	}
}

// Enqueue implements [users.OutboxStore]. Whether a row is pending and when tokens
// were created is found with the user, not by search.
func (s *Store) Enqueue(ctx context.Context, r users.NotificationRecord, minGap time.Duration) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	u := s.user(r.ApplicationID, r.UserID)
	if u == nil {
		return users.ErrNotFound
	}
	now := s.now()
	sent, youngest := u.recentMessages(now)
	waiting := u.pending[r.Kind]
	t := s.tenants[r.ApplicationID]
	switch {
	case t.rows[r.ID] != nil:
		return errRowTaken
	case waiting != nil:
		if !now.Before(youngest.Add(minGap)) && now.Sub(waiting.Created) >= squared(waiting.Attempts)*minGap {
			s.hasten(waiting, r.Urgent)
		}
		return nil
	case now.Before(youngest.Add(squared(sent) * minGap)):
		return nil
	}

	r.State, r.Due = users.StatePending, now
	s.addRow(t, u, r)
	return nil
}

func squared(n int) time.Duration { return time.Duration(n * n) }

// holds reports whether a worker has r.
func (s *Store) holds(r *row, now time.Time) bool {
	return r.node.in == &s.leased && r.node.at.After(now)
}

// hasten makes a pending row due now, and perhaps urgent, unless it is leased.
func (s *Store) hasten(r *row, urgent bool) {
	now := s.now()
	if s.holds(r, now) {
		return
	}
	r.node.in.remove(r.node)
	if r.Due.After(now) {
		r.Due = now
	}
	r.Urgent = r.Urgent || urgent
	r.node = s.ready.add(r.Due, r.ID, r)
}

// Claim implements [users.OutboxStore]. It costs O(log n) for each row that it
// returns, that became due, or whose lease ran out, however many rows wait.
func (s *Store) Claim(ctx context.Context, c users.Claim) ([]users.NotificationRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	if c.Limit <= 0 {
		return []users.NotificationRecord{}, nil
	}
	now := s.now()
	s.bringDue(now)
	next, found := s.turn(c.After)
	if found {
		next++
	}
	for range len(s.turns) {
		if next == len(s.turns) {
			next = 0
		}
		t := s.turns[next]
		if slices.Contains(c.Except, t.ID) {
			next++
			continue
		}
		claimed := s.lease(&t.urgent, c, c.Limit, now)
		claimed = append(claimed, s.lease(&t.others, c, c.Limit-len(claimed), now)...)
		if t.urgent.Len()+t.others.Len() > 0 {
			next++
		} else {
			s.turns = slices.Delete(s.turns, next, next+1)
		}
		if len(claimed) > 0 {
			return claimed, nil
		}
	}
	return []users.NotificationRecord{}, nil
}

// lease leases up to limit rows of a tenant's.
func (s *Store) lease(due *queue[*row], c users.Claim, limit int, now time.Time) (leased []users.NotificationRecord) {
	for len(leased) < limit {
		r, ok := due.pop(now)
		if !ok {
			break
		}
		r.worker = c.Worker
		r.Attempts++
		r.node = s.leased.add(now.Add(c.Lease), r.ID, r)
		leased = append(leased, r.NotificationRecord)
	}
	return leased
}

// bringDue moves the rows that are due to their tenants, which get a turn. What was
// leased until now is due again.
func (s *Store) bringDue(now time.Time) {
	for r, ok := s.leased.pop(now); ok; r, ok = s.leased.pop(now) {
		r.node = s.ready.add(r.Due, r.ID, r)
	}
	for r, ok := s.ready.pop(now); ok; r, ok = s.ready.pop(now) {
		t := s.tenants[r.ApplicationID]
		due := &t.others
		if r.Urgent {
			due = &t.urgent
		}
		r.node = due.add(r.Due, r.ID, r)
		if i, there := s.turn(t.ID); !there {
			s.turns = slices.Insert(s.turns, i, t)
		}
	}
}

// turn returns where in s.turns an application is or would be.
func (s *Store) turn(applicationID string) (i int, found bool) {
	return slices.BinarySearchFunc(s.turns, applicationID, func(t *tenant, id string) int { return cmp.Compare(t.ID, id) })
}

// Settle implements [users.OutboxStore]. A lease that ran out is in force until
// another worker takes the row.
func (s *Store) Settle(ctx context.Context, o users.Settlement) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	t := s.tenants[o.ApplicationID]
	if t == nil {
		return users.ErrStale
	}
	r := t.rows[o.ID]
	if r == nil || r.worker == "" || r.worker != o.Worker {
		return users.ErrStale
	}
	if o.Outcome < users.OutcomeDelivered || o.Outcome > users.OutcomeDiscarded {
		return fmt.Errorf("memstore: no such outcome: %d", o.Outcome)
	}

	r.node.in.remove(r.node)
	r.worker, r.node = "", nil
	r.LastError = o.LastError
	switch o.Outcome {
	case users.OutcomeDelivered:
		t.removeRow(r)
	case users.OutcomeDiscarded:
		r.State = users.StateDiscarded
		delete(r.user.pending, r.Kind)
		r.Due = s.now()
		r.node = s.discarded.add(r.Due, r.ID, r)
	case users.OutcomeReleased:
		r.Attempts--
		fallthrough
	case users.OutcomeRetry:
		r.Due = micros(s.now().Add(o.RetryIn))
		r.node = s.ready.add(r.Due, r.ID, r)
	}
	return nil
}

// ListNotifications implements [users.OutboxStore]. As [Store.ListRoles] it looks at
// everything that the application has.
func (s *Store) ListNotifications(
	ctx context.Context, q users.NotificationQuery,
) ([]users.NotificationRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	found := []users.NotificationRecord{}
	t := s.tenants[q.ApplicationID]
	if t == nil {
		return found, nil
	}

	wanted := func(r *row) bool { return len(q.States) == 0 || slices.Contains(q.States, r.State) }
	for _, id := range pageOf(t.rows, q.Page, wanted) {
		found = append(found, t.rows[id].NotificationRecord)
	}
	return found, nil
}

// Retry implements [users.OutboxStore]. The row goes to the end of those that are
// due: its time is now.
func (s *Store) Retry(ctx context.Context, applicationID, id string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	t := s.tenants[applicationID]
	if t == nil {
		return users.ErrNotFound
	}
	r := t.rows[id]
	if r == nil || r.State != users.StateDiscarded {
		return users.ErrNotFound
	}
	if r.user.pending[r.Kind] != nil {
		return &users.ConflictError{Members: []string{"kind"}}
	}

	r.node.in.remove(r.node)
	r.State = users.StatePending
	r.Attempts = 0
	r.Due = s.now()
	r.node = s.ready.add(r.Due, r.ID, r)
	r.user.pending[r.Kind] = r
	return nil
}

// PurgeDiscarded implements [users.OutboxStore]: it deletes what was given up first.
func (s *Store) PurgeDiscarded(ctx context.Context, age time.Duration, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end()

	before := s.now().Add(-age)
	n := 0
	for ; n < limit; n++ {
		r, ok := s.discarded.pop(before)
		if !ok {
			break
		}
		s.tenants[r.ApplicationID].removeRow(r)
	}
	return n, nil
}
