package main

import (
	"maps"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
)

// longestRequest is longer than any request takes.
const longestRequest = 5 * time.Minute

// finalStore is a store of sessions in which what has ended stays ended. With an idle
// time scs saves the session at the end of each request, so that one which is under way
// while its user signs out would bring the session back. Processes that share a
// store need this in the store itself.
type finalStore struct {
	scs.Store

	mu    sync.Mutex
	ended map[string]time.Time // by token: when it can be forgotten
}

func newFinalStore(s scs.Store) *finalStore {
	return &finalStore{Store: s, ended: make(map[string]time.Time)}
}

// Delete ends a session.
func (s *finalStore) Delete(token string) error {
	s.end(token) // first, so that Commit knows
	return s.Store.Delete(token)
}

// Commit saves a session, unless it has ended.
func (s *finalStore) Commit(token string, b []byte, expiry time.Time) error {
	if err := s.Store.Commit(token, b, expiry); err != nil || !s.hasEnded(token) {
		return err
	}
	return s.Store.Delete(token)
}

func (s *finalStore) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(s.ended, func(_ string, until time.Time) bool { return until.Before(now) })
	s.ended[token] = now.Add(longestRequest)
}

func (s *finalStore) hasEnded(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[token]
	return ended
}
