package memstore

import (
	"context"
	"time"

	"github.com/gousers/users"
)

// idempotencyRecord is a [users.IdempotencyRecord] and its place among what
// expires.
type idempotencyRecord struct {
	users.IdempotencyRecord
	expires time.Time
	node    *node[func()]
}

// addIdempotency adds r in the place of a dead record of the same key.
func (s *Store) addIdempotency(t *tenant, r *idempotencyRecord) {
	if old := t.idempotency[r.IdempotencyKey]; old != nil {
		s.expiry.remove(old.node)
	}
	t.idempotency[r.IdempotencyKey] = r
	r.expires = micros(s.now().Add(r.Lifetime))
	r.node = s.expiry.add(r.expires, r.Key, func() { delete(t.idempotency, r.IdempotencyKey) })
}

// FindIdempotencyRecord implements [users.IdempotencyStore]. A dead record is found
// until it is purged or replaced.
func (s *Store) FindIdempotencyRecord(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
	if err := s.begin(ctx); err != nil {
		return users.IdempotencyRecord{}, err
	}
	defer s.end()

	if t := s.tenants[k.ApplicationID]; t != nil {
		if r := t.idempotency[k]; r != nil {
			rec := r.IdempotencyRecord
			rec.Lifetime = r.expires.Sub(s.now())
			return rec, nil
		}
	}
	return users.IdempotencyRecord{}, users.ErrNotFound
}

// Purge implements [users.IdempotencyStore]: of idempotency records and tokens it
// deletes what ended first, and then the links to roles that were deleted, each of
// which counts. It costs O(log n) for each.
func (s *Store) Purge(ctx context.Context, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end()

	n := 0
	for ; n < limit; n++ {
		del, ok := s.expiry.pop(s.now())
		if !ok {
			break
		}
		del()
	}
	return n + s.unlink(limit-n), nil
}
