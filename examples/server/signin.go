package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/password"
)

// logLocks logs each lock after failed sign-ins.
func logLocks(log *slog.Logger) func(context.Context, users.SignInEvent) {
	return func(ctx context.Context, e users.SignInEvent) {
		if e.Lock > 0 {
			log.WarnContext(ctx, "too many failed sign-ins", "application", e.APIKey, "user", e.User.ID, "failures", e.Failures, "locked_for", e.Lock)
		}
	}
}

const (
	sessionLifetime = 20 * time.Minute
	maxOwnSessions  = 5      // of one user at a time; then its oldest ends
	maxSessions     = 10_000 // of all; then the oldest end first
)

// sessions are the tokens of users who signed in (POST login, with -interop). They are
// lost when the process ends. Who has one may read the user that it is for and, with the
// old password, change its password. Whatever changes the user ends them: a new password,
// a lock, its deletion.
type sessions struct {
	user func(ctx context.Context, apiKey, id string) (*users.User, error) // as it is now

	mu   sync.Mutex
	live map[[sha256.Size]byte]session
	made [][sha256.Size]byte // in the order in which they were made, and so end
}

type session struct {
	caller  users.Caller
	version int64 // of the user
	expires time.Time
}

func newSessions(user func(ctx context.Context, apiKey, id string) (*users.User, error)) *sessions {
	return &sessions{user: user, live: make(map[[sha256.Size]byte]session)}
}

// signIn makes a token for a user whose password was right.
func (s *sessions) signIn(_ context.Context, apiKey string, u users.User) (httpapi.AccessToken, error) {
	token := rand.Text()
	sum := sha256.Sum256([]byte(token))

	s.mu.Lock()
	defer s.mu.Unlock()
	s.endOwn(apiKey, u.ID)
	s.end(maxSessions - 1)
	s.made = append(s.made, sum)
	s.live[sum] = session{
		caller:  users.Caller{ID: "user-" + u.ID, APIKey: apiKey, UserID: u.ID},
		version: u.Version,
		expires: time.Now().Add(sessionLifetime),
	}
	return httpapi.AccessToken{Secret: password.New(token), ExpiresIn: sessionLifetime}, nil
}

// end forgets those whose time is up, and the oldest if there are more than most.
func (s *sessions) end(most int) {
	now := time.Now()
	for len(s.made) > 0 && (len(s.made) > most || !s.live[s.made[0]].expires.After(now)) {
		delete(s.live, s.made[0])
		s.made = s.made[1:]
	}
}

// endOwn forgets the oldest session of a user who has as many as one may have, so that
// nobody pushes out those of others.
func (s *sessions) endOwn(apiKey, userID string) {
	var own [][sha256.Size]byte
	for _, sum := range s.made {
		if c := s.live[sum].caller; c.APIKey == apiKey && c.UserID == userID {
			own = append(own, sum)
		}
	}
	if len(own) < maxOwnSessions {
		return
	}
	delete(s.live, own[0])
	s.made = slices.DeleteFunc(s.made, func(sum [sha256.Size]byte) bool { return sum == own[0] })
}

// beside lets in who has one of these tokens, beside those whom fixed lets in.
func (s *sessions) beside(fixed httpapi.Authenticator) httpapi.Authenticator {
	return func(r *http.Request, apiKey string) (users.Caller, error) {
		c, err := fixed(r, apiKey)
		if !errors.Is(err, httpapi.ErrInvalidToken) || len(r.Header["Authorization"]) != 1 {
			return c, err
		}
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		found, ok := s.find(strings.Trim(token, " "))
		if !ok || found.caller.APIKey != apiKey {
			return users.Caller{}, err
		}

		u, lookUp := s.user(r.Context(), apiKey, found.caller.UserID)
		switch {
		case errors.Is(lookUp, users.ErrNotFound), lookUp == nil && u.Version != found.version:
			return users.Caller{}, err
		case lookUp != nil:
			return users.Caller{}, lookUp
		}
		return found.caller, nil
	}
}

func (s *sessions) find(token string) (found session, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(maxSessions)
	found, ok = s.live[sha256.Sum256([]byte(token))]
	return found, ok
}
