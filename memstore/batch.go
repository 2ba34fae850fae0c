package memstore

import (
	"context"

	"github.com/gousers/users"
)

// CreateUsers implements [users.BatchStore]. Everything is judged before anything is
// written.
func (s *Store) CreateUsers(ctx context.Context, ns []*users.NewUser) ([]error, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	outcomes := make([]error, len(ns))
	var writes []func()
	var earlier newcomers
	for i, n := range ns {
		t := s.tenants[n.ApplicationID]
		if t == nil {
			return nil, users.ErrUnknownApplication
		}
		if outcomes[i] = earlier.check(t, n); outcomes[i] != nil {
			continue
		}
		if err := earlier.add(t, n); err != nil {
			return nil, err
		}
		writes = append(writes, s.prepare(t, n))
	}
	for _, write := range writes {
		write()
	}
	return outcomes, nil
}

// newcomers are the users of a batch that will be written, by their keys.
type newcomers struct {
	ids, names, emails map[string]*users.UserRecord
	rows               map[string]bool // ids of notifications
}

// check judges whether n can be written behind them.
func (c *newcomers) check(t *tenant, n *users.NewUser) error {
	existing := t.holders(&n.UserRecord)
	for _, u := range []*users.UserRecord{c.ids[n.ID], c.names[n.NameKey], c.emails[n.EmailKey]} {
		if u != nil {
			existing = append(existing, *u)
		}
	}
	if err := users.CheckConflict(&n.UserRecord, existing); err != nil {
		return err
	}
	return t.checkRoles(n)
}

// add adds n; its error is of the whole batch.
func (c *newcomers) add(t *tenant, n *users.NewUser) error {
	if c.ids == nil {
		*c = newcomers{
			map[string]*users.UserRecord{}, map[string]*users.UserRecord{}, map[string]*users.UserRecord{},
			map[string]bool{},
		}
	}
	u := &n.UserRecord
	c.ids[u.ID], c.names[u.NameKey], c.emails[u.EmailKey] = u, u, u

	for _, r := range n.Notifications {
		if c.rows[r.ID] {
			return errRowTaken
		}
		c.rows[r.ID] = true
	}
	return t.checkRows(n.Notifications)
}
