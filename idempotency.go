package users

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// recognize makes the record by which a repeat of p is known. A caller without an
// id gets none: every other one without would be answered with its user.
func (c *creation) recognize(p *CreateUserParams) {
	const code = "invalid_idempotency_key"
	switch {
	case p.IdempotencyKey == "":
	case !validIdempotencyKey(p.IdempotencyKey):
		c.faults.add(FieldError{
			Code:   code,
			Detail: fmt.Sprintf("the idempotency key must be 1 to %d printing ASCII characters", MaxIdempotencyKey),
			Limit:  MaxIdempotencyKey,
		})
	case !c.actor.host && c.actor.ID == "":
		c.faults.add(FieldError{Code: code, Detail: "the idempotency key needs a caller with an id"})
	default:
		r := &IdempotencyRecord{IdempotencyKey: IdempotencyKey{c.app.ID, c.actor.scope(), p.IdempotencyKey}, Lifetime: IdempotencyLifetime}
		r.Fingerprint, c.otherPrint = fingerprints(p, c.app.RequireApproval)
		c.idempotency = r
	}
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
	case r.Lifetime <= 0:
		return nil, nil
	case r.Fingerprint != c.idempotency.Fingerprint && r.Fingerprint != c.otherPrint:
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

// fingerprints returns a digest of what the caller asked for, as it is understood
// rather than as it is written: absent and false, none and {}, no id and zeros are
// one request; so are settings and roles in another order. Names and addresses count
// as given, because they are kept as given. The passwords are left out: a fast
// hash of one must be stored nowhere. It is taken before BeforeCreate amends
// anything, or a hook that is not a pure function would turn a repeat into a
// mismatch.
//
// An isApproved that asks for what the application does anyway is as good as none,
// and a repeat stays one when the application decides otherwise in between: the
// other digest is that of the same request then.
func fingerprints(p *CreateUserParams, requireApproval bool) (now, other [sha256.Size]byte) {
	b := make([]byte, 0, 512) // does not escape, and holds most requests
	b = appendFramed(b, p.UserName)
	b = appendFramed(b, p.Email)
	b = appendFramed(b, blankAsNone(p.Name))
	b = appendFramed(b, understoodID(p.ID))
	if isNothing(p.DashboardSettings) {
		b = appendFramed(b, "")
	} else {
		b = appendFramed(b, canonicalJSON(p.DashboardSettings))
	}
	b = append(b, flags(p.AutoCreatePassword, p.SendEmailNotification, p.AllowDashboardAccess, p.IsLockedOut != nil && *p.IsLockedOut))
	created := microseconds(p.CreationDate)
	b = binary.AppendVarint(b, created.Unix())
	b = binary.AppendUvarint(b, uint64(created.Nanosecond()))
	roles := understoodRoles(p.Roles)
	b = binary.AppendUvarint(b, uint64(len(roles)))
	for _, r := range roles {
		b = appendFramed(b, r.ID)
		b = appendFramed(b, r.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Extra)) {
		b = appendFramed(b, name)
		b = appendFramed(b, canonicalJSON(p.Extra[name]))
	}
	sum := sha256.Sum256(b)

	with := func(requireApproval bool) [sha256.Size]byte {
		approved := !requireApproval
		if p.IsApproved != nil {
			approved = *p.IsApproved
		}
		return sha256.Sum256(append(sum[:], flags(approved, approved == requireApproval)))
	}
	return with(requireApproval), with(!requireApproval)
}

func understoodID(s string) string {
	if id, ok := optionalID(s); ok {
		return id
	}
	return s
}

// understoodRoles returns each role once, in one order.
func understoodRoles(refs []RoleRef) []RoleRef {
	roles := slices.Clone(refs)
	for i, ref := range roles {
		if canonical, err := canonicalRef(ref); err == nil {
			roles[i] = canonical
		}
	}
	slices.SortFunc(roles, func(a, b RoleRef) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Name, b.Name))
	})
	return slices.Compact(roles)
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
