package users

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// RecoveryGap is the least time between two set-password messages that
	// RecoverPassword starts for one user.
	RecoveryGap = time.Minute

	// recoveryTick hides how long RecoverPassword worked: it returns on a
	// multiple of it, whether the user exists or not.
	recoveryTick = 250 * time.Millisecond
	// maxRecoveries is how many calls of RecoverPassword use the store at a time,
	// in one process: an open route must not take all of its connections.
	maxRecoveries = 4
)

// RecoverPassword starts a set-password message for the user whose name or
// address is login, with or without blanks around it, at most one in RecoveryGap
// for each user. It returns nil after the same time whether there is such a user,
// such an application, or not; an error is the store's or the context's. A Caller
// in ctx is ignored.
//
// Concurrent calls for one login ask the store once, and a process asks it for a
// few logins at a time, so that neither an answer nor what other requests feel
// tells whether there is such a user. How often a client may call is for the host
// to limit.
func (s *Service) RecoverPassword(ctx context.Context, apiKey, login string) error {
	box, err := s.Outbox()
	if err != nil {
		return err
	}
	if s.tokens == nil {
		return errNoTokens
	}

	start := time.Now()
	key, err := loginKey(strings.TrimSpace(login))
	if err != nil {
		key = "" // nobody's; the store is asked for the application all the same
	}
	err = s.recoveries.do(ctx, apiKey, key, func() error { return s.recoverPassword(ctx, box, apiKey, key) })
	wait := time.NewTimer(recoveryTick - time.Since(start)%recoveryTick)
	defer wait.Stop()
	select {
	case <-wait.C:
		return err
	case <-ctx.Done():
		return fmt.Errorf("users: recover password: %w", ctx.Err())
	}
}

func (s *Service) recoverPassword(ctx context.Context, box OutboxStore, apiKey, key string) error {
	app, err := s.application(ctx, apiKey)
	if errors.Is(err, ErrUnknownApplication) || err == nil && app.Disabled {
		return nil
	} else if err != nil {
		return err
	}
	if key == "" {
		return nil
	}
	found, err := s.findUsers(ctx, UserQuery{ApplicationID: app.ID, NameKeys: []string{key}, EmailKeys: []string{key}, KeysOnly: true})
	if err != nil {
		return err
	}
	id, err := s.newID()
	if err != nil {
		return err
	}
	// Write even if there is no such user, so that timing and failures do not
	// reveal one.
	userID := id
	if len(found) > 0 {
		userID = found[0].ID
	}
	now := s.now()
	err = box.Enqueue(ctx, NotificationRecord{
		ID: id, ApplicationID: app.ID, UserID: userID, Kind: KindSetPassword,
		State: StatePending, Created: now, Due: now,
	}, RecoveryGap)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("users: recover password: %w", err)
	}
	return nil
}

// recoveries are the calls of RecoverPassword that are under way in a process.
type recoveries struct {
	slots chan struct{}

	mu      sync.Mutex
	flights map[[2]string]*flight // by apiKey and login
}

// flight is the work for one login, and whoever waits for its outcome.
type flight struct {
	done chan struct{}

	// Set before done is closed.
	err       error
	abandoned bool // by a caller whose context ended, or who panicked: err says nothing to others
}

func newRecoveries() *recoveries {
	return &recoveries{slots: make(chan struct{}, maxRecoveries), flights: map[[2]string]*flight{}}
}

// do runs work for a login. A call for a login for which another one is at work
// waits for that one's outcome instead: however many ask at once for one user,
// the store is asked once, as for a user that does not exist.
func (r *recoveries) do(ctx context.Context, apiKey, login string, work func() error) error {
	key := [2]string{apiKey, login}
	for {
		r.mu.Lock()
		f := r.flights[key]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			r.flights[key] = f
			r.mu.Unlock()
			return r.lead(ctx, key, f, work)
		}
		r.mu.Unlock()

		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !f.abandoned {
			return f.err
		}
	}
}

func (r *recoveries) lead(ctx context.Context, key [2]string, f *flight, work func() error) error {
	f.abandoned = true // stands if work panics
	defer func() {
		r.mu.Lock()
		delete(r.flights, key)
		r.mu.Unlock()
		close(f.done)
	}()

	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.slots }()
	f.err = work()
	f.abandoned = f.err != nil && ctx.Err() != nil
	return f.err
}
