package users

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// repeated returns the user of a known idempotency key as it is now, and nil
// where there is no key or it is free.
func (s *Service) repeated(ctx context.Context, c *creation) (*User, error) {
	if c.idempotency == nil {
		return nil, nil
	}
	r, err := s.store.FindIdempotencyRecord(ctx, c.idempotency.IdempotencyKey)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("users: find idempotency key: %w", err)
	case !r.Expires.After(c.now):
		return nil, nil
	case r.Fingerprint != c.idempotency.Fingerprint:
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
	b := make([]byte, 0, 512) // does not escape, and holds most requests
	b = appendFramed(b, p.UserName)
	b = appendFramed(b, p.Email)
	b = appendFramed(b, p.Name)
	b = appendFramed(b, p.ID)
	b = appendFramed(b, p.DashboardSettings)
	b = append(b, flags(p.AutoCreatePassword, p.SendEmailNotification, p.AllowDashboardAccess,
		p.IsApproved != nil, p.IsApproved != nil && *p.IsApproved, p.IsLockedOut != nil, p.IsLockedOut != nil && *p.IsLockedOut))
	b = binary.AppendVarint(b, p.CreationDate.Unix())
	b = binary.AppendUvarint(b, uint64(p.CreationDate.Nanosecond()))
	b = binary.AppendUvarint(b, uint64(len(p.Roles)))
	for _, r := range p.Roles {
		b = appendFramed(b, r.ID)
		b = appendFramed(b, r.Name)
	}
	if len(p.Extra) > 0 {
		for _, name := range slices.Sorted(maps.Keys(p.Extra)) {
			b = appendFramed(b, name)
			b = appendFramed(b, p.Extra[name])
		}
	}
	return sha256.Sum256(b)
}

// appendFramed writes s after its length, so that no two lists of members look alike.
func appendFramed[S ~string | ~[]byte](b []byte, s S) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func flags(bits ...bool) (n byte) {
	for i, b := range bits {
		if b {
			n |= 1 << i
		}
	}
	return n
}
