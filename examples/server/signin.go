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
	sessionLifetime = 20 * time.Minute
	maxSessions     = 10_000 // at a time; then the oldest end first
)

// sessions are the tokens of users who signed in (POST login, with -interop). They are
// lost when the process ends. Who has one may read the user that it is for and, with the
// old password, change its password.
type sessions struct {
	mu   sync.Mutex
	live map[[sha256.Size]byte]session
	made [][sha256.Size]byte // in the order in which they were made, and so end
}

type session struct {
	caller  users.Caller
	expires time.Time
}

func newSessions() *sessions { return &sessions{live: make(map[[sha256.Size]byte]session)} }

// signIn makes a token for a user whose password was right.
func (s *sessions) signIn(_ context.Context, apiKey string, u users.User) (httpapi.AccessToken, error) {
	token := rand.Text()
	sum := sha256.Sum256([]byte(token))

	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	s.made = append(s.made, sum)
	s.live[sum] = session{
		caller:  users.Caller{ID: "user-" + u.ID, APIKey: apiKey, UserID: u.ID},
		expires: time.Now().Add(sessionLifetime),
	}
	return httpapi.AccessToken{Secret: password.New(token), ExpiresIn: sessionLifetime}, nil
}

// end forgets those whose time is up, and the oldest if there are too many.
func (s *sessions) end() {
	now := time.Now()
	for len(s.made) > 0 && (len(s.made) >= maxSessions || !s.live[s.made[0]].expires.After(now)) {
		delete(s.live, s.made[0])
		s.made = s.made[1:]
	}
}

// beside lets in who has one of these tokens, beside those whom fixed lets in.
func (s *sessions) beside(fixed httpapi.Authenticator) httpapi.Authenticator {
	return func(r *http.Request, apiKey string) (users.Caller, error) {
		c, err := fixed(r, apiKey)
		if !errors.Is(err, httpapi.ErrInvalidToken) || len(r.Header["Authorization"]) != 1 {
			return c, err
		}
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		sum := sha256.Sum256([]byte(strings.Trim(token, " ")))

		s.mu.Lock()
		defer s.mu.Unlock()
		s.end()
		if found, ok := s.live[sum]; ok && found.caller.APIKey == apiKey {
			return found.caller, nil
		}
		return users.Caller{}, err
	}
}
