package memstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gousers/users"
)

var errRowTaken = errors.New("memstore: the id of the notification is taken")

// row is a notification. While it is pending its node stands in Store.ready or,
// leased, in Store.leased; an abandoned one has none.
type row struct {
	users.OutboxRow
	user   *user
	worker string // who claimed it last; empty once that one has settled
	node   *node[*row]
}

func (s *Store) addRow(t *tenant, u *user, o users.OutboxRow) {
	o.Created, o.Due = micros(o.Created), micros(o.Due)
	r := &row{OutboxRow: o, user: u}
	t.rows[o.ID] = r
	if o.State == users.StatePending {
		u.pending[o.Kind]++
		r.node = s.ready.add(o.Due, o.ID, r)
	}
}

// Enqueue implements [users.OutboxStore].
func (s *Store) Enqueue(ctx context.Context, r users.OutboxRow, minGap time.Duration) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	u := s.user(r.ApplicationID, r.UserID)
	if u == nil {
		return users.ErrNotFound
	}
	if u.pending[r.Kind] > 0 {
		return nil
	}
	for _, t := range u.tokens {
		if t.Created.After(r.Created.Add(-minGap)) {
			return nil
		}
	}
	t := s.tenants[r.ApplicationID]
	if t.rows[r.ID] != nil {
		return errRowTaken
	}
	r.Due = s.now()
	s.addRow(t, u, r)
	return nil
}

// Claim implements [users.OutboxStore]. It costs O(log n) for each row it gives
// and for each lease that ran out, however many rows wait.
func (s *Store) Claim(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	now := s.now()
	for {
		r, ok := s.leased.pop(now)
		if !ok {
			break
		}
		r.node = s.ready.add(r.Due, r.ID, r)
	}
	claimed := []users.OutboxRow{}
	for len(claimed) < c.Limit {
		r, ok := s.ready.pop(now)
		if !ok {
			break
		}
		r.worker = c.Worker
		r.Attempts++
		r.node = s.leased.add(now.Add(c.Lease), r.ID, r)
		claimed = append(claimed, r.OutboxRow)
	}
	return claimed, nil
}

// Settle implements [users.OutboxStore].
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
	switch o.State {
	case "", users.StatePending, users.StateAbandoned:
	default:
		return fmt.Errorf("memstore: no such state: %q", o.State)
	}
	// A lease that ran out is in force until another worker takes the row.
	r.node.in.remove(r.node)
	r.worker, r.node, r.LastError = "", nil, o.LastError
	if o.NotTried {
		r.Attempts--
	}
	switch o.State {
	case "":
		delete(t.rows, r.ID)
	case users.StatePending:
		r.Due = micros(s.now().Add(o.RetryIn))
		r.node = s.ready.add(r.Due, r.ID, r)
		return nil
	case users.StateAbandoned:
		r.State = o.State
	}
	r.user.pending[r.Kind]--
	return nil
}

// FindNotifications implements [users.OutboxStore].
func (s *Store) FindNotifications(ctx context.Context, q users.NotificationQuery) ([]users.OutboxRow, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	found := []users.OutboxRow{}
	t := s.tenants[q.ApplicationID]
	if t == nil {
		return found, nil
	}
	wanted := func(r *row) bool { return len(q.States) == 0 || slices.Contains(q.States, r.State) }
	for _, id := range pageOf(t.rows, q.Page, wanted) {
		found = append(found, t.rows[id].OutboxRow)
	}
	return found, nil
}

// Retry implements [users.OutboxStore].
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
	if r == nil || r.State != users.StateAbandoned {
		return users.ErrNotFound
	}
	r.State, r.Attempts, r.Due = users.StatePending, 0, s.now()
	r.node = s.ready.add(r.Due, r.ID, r)
	r.user.pending[r.Kind]++
	return nil
}
