package memstore

import (
	"context"
	"errors"
	"time"

	"github.com/gousers/users"
)

// token is a [users.TokenRecord] and its place among what expires.
type token struct {
	users.TokenRecord
	expires time.Time
	node    *node[func()]
}

// CreateToken implements [users.TokenStore]. The token is kept with its user too, for
// [Store.RedeemToken] and for the gap of [Store.Enqueue].
func (s *Store) CreateToken(ctx context.Context, rec users.TokenRecord) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	u := s.user(rec.ApplicationID, rec.UserID)
	if u == nil {
		return users.ErrNotFound
	}
	t := s.tenants[rec.ApplicationID]
	if t.tokens[rec.Sum] != nil {
		return errors.New("memstore: the token is taken")
	}

	rec.Created = s.orNow(rec.Created)
	k := &token{TokenRecord: rec, expires: micros(s.now().Add(rec.Lifetime))}
	t.tokens[rec.Sum] = k
	u.tokens[rec.Sum] = k
	k.node = s.expiry.add(k.expires.Add(users.RecoveryWindow), rec.UserID, func() {
		delete(t.tokens, rec.Sum)
		delete(u.tokens, rec.Sum)
	})
	return nil
}

// recentMessages returns how many messages gave u a token within the window, and
// when u got the youngest token.
func (u *user) recentMessages(now time.Time) (n int, youngest time.Time) {
	messages := map[string]bool{}
	for _, t := range u.tokens {
		youngest = later(youngest, t.Created)
		if t.Created.After(now.Add(-users.RecoveryWindow)) {
			messages[t.NotificationID] = true
		}
	}
	return len(messages), youngest
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// FindToken implements [users.TokenStore]. A dead token is found until it is purged.
func (s *Store) FindToken(ctx context.Context, applicationID string, sum [32]byte) (users.TokenRecord, error) {
	if err := s.begin(ctx); err != nil {
		return users.TokenRecord{}, err
	}
	defer s.end()

	if t := s.tenants[applicationID]; t != nil {
		if k := t.tokens[sum]; k != nil {
			rec := k.TokenRecord
			rec.Lifetime = k.expires.Sub(s.now())
			return rec, nil
		}
	}
	return users.TokenRecord{}, users.ErrNotFound
}

// RedeemToken implements [users.TokenStore]. The token as it is stored decides
// whose it is and when it expires.
func (s *Store) RedeemToken(ctx context.Context, r users.Redemption) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	t := s.tenants[r.ApplicationID]
	if t == nil {
		return users.ErrBadToken
	}
	k := t.tokens[r.Sum]
	if k == nil || k.UserID != r.UserID || !k.expires.After(s.now()) {
		return users.ErrBadToken
	}
	u := t.users[k.UserID]
	if k.EmailKey != "" && k.EmailKey != u.EmailKey {
		return users.ErrBadToken
	}
	if err := t.checkRows(r.Notifications); err != nil {
		return err
	}

	s.dropTokens(t, u, func(*token) bool { return true })

	now := micros(r.Now)
	u.Hash = r.Hash
	u.PasswordChanged = now
	u.DateUpdated = now
	if k.NotificationID != "" {
		u.EmailVerified = now
	}
	u.endLock()
	u.Version++
	s.addMissingRows(t, u, r.Notifications)
	return nil
}

// dropTokens deletes the tokens of u that which picks.
func (s *Store) dropTokens(t *tenant, u *user, which func(*token) bool) {
	for sum, k := range u.tokens {
		if !which(k) {
			continue
		}
		s.expiry.remove(k.node)
		delete(t.tokens, sum)
		delete(u.tokens, sum)
	}
}
