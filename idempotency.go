package users

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"
)

// Limits of idempotency keys.
const (
	MaxIdempotencyKey   = 255            // printing ASCII characters
	IdempotencyLifetime = 24 * time.Hour // from the creation of the user
)

func validIdempotencyKey(k string) bool {
	for i := range len(k) {
		if k[i] < 0x20 || k[i] > 0x7e {
			return false
		}
	}
	return k != "" && len(k) <= MaxIdempotencyKey
}

// replay answers a known idempotency key with its user as it is now, and nil
// where there is no key or it is free.
func (s *Service) replay(ctx context.Context, c *creation) (*User, error) {
	if c.replay == nil {
		return nil, nil
	}
	r, err := s.store.FindReplay(ctx, c.replay.ReplayKey)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("users: find idempotency key: %w", err)
	case !r.Expires.After(c.now):
		return nil, nil
	case r.Fingerprint != c.replay.Fingerprint:
		return nil, ErrIdempotencyMismatch
	}
	recs, err := s.findUsers(ctx, UserQuery{ApplicationID: c.app.ID, IDs: []string{r.UserID}})
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 {
		return nil, ErrNotFound
	}
	return answer(recs[0].User), nil
}

// fingerprint is a digest of what the caller asked for. The passwords are left
// out: a fast hash of one must be stored nowhere. It is taken before
// BeforeCreate amends anything, or a hook that is not a pure function would
// turn a repeat into a mismatch.
func fingerprint(p *CreateUserParams) [32]byte {
	h := sha256.New()
	for _, s := range []string{p.UserName, p.Email, p.Name, p.ID, string(p.DashboardSettings)} {
		writeString(h, s)
	}
	writeUint(h, uint64(flags(p.AutoCreatePassword, p.SendEmailNotification, p.AllowDashboardAccess,
		p.IsApproved != nil, p.IsApproved != nil && *p.IsApproved, p.IsLockedOut != nil, p.IsLockedOut != nil && *p.IsLockedOut)))
	writeUint(h, uint64(p.CreationDate.Unix()))
	writeUint(h, uint64(p.CreationDate.Nanosecond()))
	writeUint(h, uint64(len(p.Roles)))
	for _, r := range p.Roles {
		writeString(h, r.ID)
		writeString(h, r.Name)
	}
	return [32]byte(h.Sum(nil))
}

// writeString frames s by its length, so that no two lists of members look alike.
func writeString(h hash.Hash, s string) {
	writeUint(h, uint64(len(s)))
	h.Write([]byte(s))
}

func writeUint(h hash.Hash, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

func flags(bits ...bool) (n uint) {
	for i, b := range bits {
		if b {
			n |= 1 << i
		}
	}
	return n
}
