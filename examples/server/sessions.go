package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/password"
)

const (
	sessionLifetime = time.Hour
	maxSessions     = 10_000 // about 4 MiB; beyond that the oldest ends
)

// sessions are the users that signed in with -interop, in memory: they end with the
// process. A host keeps its own.
type sessions struct {
	svc *users.Service
	now func() time.Time

	mu    sync.Mutex
	known map[sessionKey]session
	order []sessionKey // as they began and, since all last equally long, as they end
}

// sessionKey is the SHA-256 of a token: what memory holds opens nothing.
type sessionKey [sha256.Size]byte

type session struct {
	apiKey, userID string
	version        int64 // of the user
	ends           time.Time
}

func newSessions(svc *users.Service) *sessions {
	return &sessions{svc: svc, now: time.Now, known: map[sessionKey]session{}}
}

// signIn begins a session.
func (s *sessions) signIn(_ context.Context, apiKey string, u users.User) (httpapi.AccessToken, error) {
	token := rand.Text()
	key := sessionKey(sha256.Sum256([]byte(token)))
	s.mu.Lock()
	defer s.mu.Unlock()

	now := s.now()
	for len(s.order) > 0 && (len(s.order) >= maxSessions || !now.Before(s.known[s.order[0]].ends)) {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[key] = session{apiKey, u.ID, u.Version, now.Add(sessionLifetime)}
	s.order = append(s.order, key)
	return httpapi.AccessToken{Secret: password.New(token), ExpiresIn: sessionLifetime}, nil
}

// authenticate knows the tokens of sessions beside those that next knows.
func (s *sessions) authenticate(next httpapi.Authenticator) httpapi.Authenticator {
	return func(r *http.Request, apiKey string) (users.Caller, error) {
		c, err := next(r, apiKey)
		if values := r.Header["Authorization"]; errors.Is(err, httpapi.ErrInvalidToken) && len(values) == 1 {
			_, token, _ := strings.Cut(values[0], " ")
			return s.caller(r.Context(), apiKey, strings.Trim(token, " "))
		}
		return c, err
	}
}

// caller returns the user of a session as a caller: it may read itself and, with the
// old password, change its own. Whatever changes the user ends its sessions: a new
// password, a lock, deletion.
func (s *sessions) caller(ctx context.Context, apiKey, token string) (users.Caller, error) {
	s.mu.Lock()
	found, ok := s.known[sha256.Sum256([]byte(token))]
	s.mu.Unlock()
	if !ok || found.apiKey != apiKey || !s.now().Before(found.ends) {
		return users.Caller{}, httpapi.ErrInvalidToken
	}

	u, err := s.svc.User(ctx, apiKey, found.userID)
	switch {
	case errors.Is(err, users.ErrNotFound), err == nil && u.Version != found.version:
		return users.Caller{}, httpapi.ErrInvalidToken
	case err != nil:
		return users.Caller{}, err
	}
	return users.Caller{ID: "user-" + u.ID, APIKey: apiKey, UserID: u.ID}, nil
}
