package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/password"
)

const (
	sessionLifetime = 20 * time.Minute
	maxOwnSessions  = 5      // of one user at a time; then its oldest ends
	maxSessions     = 10_000 // of all; then the oldest ends
)

// sessions are the tokens of users who signed in (POST login, with -interop). They are
// lost when the process ends. Who has one may read, by id, the user that it is for and,
// with the old password, change its password. A session ends when its user is deleted,
// locked or disapproved.
type sessions struct {
	find func(ctx context.Context, apiKey, id string) (*users.User, error) // as the host

	mu   sync.Mutex
	live map[tokenSum]session
	made []tokenSum // in the order in which they were made, and so end
}

type tokenSum = [sha256.Size]byte

type session struct {
	caller users.Caller
	began  time.Time
}

func newSessions(svc *users.Service) *sessions {
	return &sessions{find: svc.User, live: make(map[tokenSum]session)}
}

// signIn makes a token for a user whose password was right.
func (s *sessions) signIn(_ context.Context, apiKey string, u users.User) (httpapi.AccessToken, error) {
	token := rand.Text()
	sum := sha256.Sum256([]byte(token))
	now := time.Now()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	s.makeRoom(apiKey, u.ID)
	s.made = append(s.made, sum)
	s.live[sum] = session{users.Caller{ID: "user-" + u.ID, APIKey: apiKey, UserID: u.ID}, now}
	return httpapi.AccessToken{Secret: password.New(token), ExpiresIn: sessionLifetime}, nil
}

// expire ends the sessions whose time is up.
func (s *sessions) expire(now time.Time) {
	for len(s.made) > 0 && now.Sub(s.live[s.made[0]].began) >= sessionLifetime {
		s.end(s.made[0])
	}
}

// makeRoom ends the oldest session of a user, or of all, where there is none to be had.
func (s *sessions) makeRoom(apiKey, userID string) {
	var own []tokenSum
	for _, sum := range s.made {
		if c := s.live[sum].caller; c.APIKey == apiKey && c.UserID == userID {
			own = append(own, sum)
		}
	}
	switch {
	case len(own) >= maxOwnSessions:
		s.end(own[0])
	case len(s.made) >= maxSessions:
		s.end(s.made[0])
	}
}

func (s *sessions) end(sum tokenSum) {
	delete(s.live, sum)
	s.made = slices.DeleteFunc(s.made, func(other tokenSum) bool { return other == sum })
}

// beside lets in who has one of these tokens, beside those whom fixed lets in.
func (s *sessions) beside(fixed httpapi.Authenticator) httpapi.Authenticator {
	return func(r *http.Request, apiKey string) (users.Caller, error) {
		c, err := fixed(r, apiKey)
		if !errors.Is(err, httpapi.ErrInvalidToken) || len(r.Header["Authorization"]) != 1 {
			return c, err
		}
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return s.caller(r.Context(), apiKey, sha256.Sum256([]byte(strings.Trim(token, " "))))
	}
}

// caller returns the user whose token has this sum, as long as it may sign in.
func (s *sessions) caller(ctx context.Context, apiKey string, sum tokenSum) (users.Caller, error) {
	s.mu.Lock()
	s.expire(time.Now())
	found, ok := s.live[sum]
	s.mu.Unlock()
	if !ok || found.caller.APIKey != apiKey {
		return users.Caller{}, httpapi.ErrInvalidToken
	}

	u, err := s.find(ctx, apiKey, found.caller.UserID)
	switch {
	case errors.Is(err, users.ErrNotFound) || err == nil && !found.holdsFor(u):
		s.mu.Lock()
		s.end(sum)
		s.mu.Unlock()
		return users.Caller{}, httpapi.ErrInvalidToken
	case err != nil:
		return users.Caller{}, err
	}
	return found.caller, nil
}

// holdsFor reports whether the user, as it now is, may go on.
func (s session) holdsFor(u *users.User) bool { return u.IsApproved && !u.IsLockedOut }
