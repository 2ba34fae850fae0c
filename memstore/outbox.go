package memstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gousers/users"
)

// errRowTaken is no conflict: ids are the Service's own, and never taken.
var errRowTaken = errors.New("memstore: the id of the notification is taken")

// row is a [users.NotificationRecord] as it is kept. While it is pending its node
// is in Store.ready or, leased, in Store.leased; a discarded one has none.
type row struct {
	users.NotificationRecord
	user   *user
	worker string // who claimed it last; empty once that one has settled
	node   *node[*row]
}

// addRow adds o, whose id is free. It is claimed from o.Due on if it is pending.
func (s *Store) addRow(t *tenant, u *user, o users.NotificationRecord) {
	o.Created, o.Due = s.orNow(o.Created), s.orNow(o.Due)
	r := &row{NotificationRecord: o, user: u}
	t.rows[o.ID] = r
	if o.State == users.StatePending {
		u.pending[o.Kind] = r
		r.node = s.ready.add(o.Due, o.ID, r)
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
	sent, youngest := u.recentTokens(now)
	waiting := u.pending[r.Kind]
	t := s.tenants[r.ApplicationID]
	switch {
	case t.rows[r.ID] != nil:
		return errRowTaken
	case waiting != nil:
		if !now.Before(youngest.Add(minGap)) && now.Sub(waiting.Created) >= squared(waiting.Attempts)*minGap {
			s.hasten(waiting)
		}
		return nil
	case now.Before(youngest.Add(squared(sent) * minGap)):
		return nil
	}

	r.Due = now
	s.addRow(t, u, r)
	return nil
}

func squared(n int) time.Duration { return time.Duration(n * n) }

// hasten makes a pending row due now, unless it is leased or due already.
func (s *Store) hasten(r *row) {
	now := s.now()
	if r.node.in != &s.ready && r.node.at.After(now) || !r.Due.After(now) {
		return
	}
	r.node.in.remove(r.node)
	r.Due = now
	r.node = s.ready.add(r.Due, r.ID, r)
}

// Claim implements [users.OutboxStore]. It costs O(log n) for each row it returns
// and for each lease that ran out, however many rows wait.
func (s *Store) Claim(ctx context.Context, c users.Claim) ([]users.NotificationRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	now := s.now()
	for { // what ran out is due again
		r, ok := s.leased.pop(now)
		if !ok {
			break
		}
		r.node = s.ready.add(r.Due, r.ID, r)
	}

	claimed := []users.NotificationRecord{}
	for len(claimed) < c.Limit {
		r, ok := s.ready.pop(now)
		if !ok {
			break
		}
		r.worker = c.Worker
		r.Attempts++
		r.node = s.leased.add(now.Add(c.Lease), r.ID, r)
		claimed = append(claimed, r.NotificationRecord)
	}
	return claimed, nil
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
		delete(t.rows, r.ID)
		delete(r.user.pending, r.Kind)
	case users.OutcomeDiscarded:
		r.State = users.StateDiscarded
		delete(r.user.pending, r.Kind)
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

	r.State = users.StatePending
	r.Attempts = 0
	r.Due = s.now()
	r.node = s.ready.add(r.Due, r.ID, r)
	r.user.pending[r.Kind] = r
	return nil
}
