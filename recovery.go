package users

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users/password"
)

const (
	// RecoveryGap is the least time between two set-password messages that
	// RecoverPassword starts for one user, and it grows: after n messages within
	// RecoveryWindow it is n squared times as long. That makes at most 16 in the
	// first day, fewer in those that follow.
	RecoveryGap = time.Minute
	// RecoveryWindow is how long a message counts for that.
	RecoveryWindow = 24 * time.Hour

	// recoveryTick hides how long RecoverPassword worked: it returns on a
	// multiple of it, whether the user exists or not.
	recoveryTick = 250 * time.Millisecond
	// maxRecoveries is how many calls of RecoverPassword use the store at a time,
	// in one process: an open route must not take all of its connections.
	maxRecoveries = 4
	// recoveryDeadline is how long one of them uses it at most: a store that hangs
	// must not hold the others for as long as a context without a deadline lasts.
	recoveryDeadline = 10 * time.Second
)

// RecoverPassword starts a set-password message for the user whose name or
// address is login, with or without blanks around it, unless the user got one a
// short while ago: see RecoveryGap. It returns nil after the same time whether there
// is such a user, such an application, or not; an error is the store's, the
// context's, that of Options.Admit or one of those below. A Caller in ctx is ignored.
//
// Concurrent calls for one login ask the store once, and a process asks it for 4
// logins at a time, so that neither an answer nor what other requests feel tells
// whether there is such a user. The others wait in a line of their application, and
// the lines are served in turn; applications of which the process has not yet seen
// that they exist have one line together. Who waits for more than 10 seconds, or
// comes when 512 wait and its line is the longest, gets ErrOverloaded. A store that
// does not answer within 10 seconds is ErrUnavailable. How often a client may call
// is for Options.Admit to say.
func (s *Service) RecoverPassword(ctx context.Context, apiKey, login string) error {
	start := time.Now()
	login = strings.TrimSpace(login)
	if err := s.admit(ctx, Attempt{OperationRecoverPassword, apiKey, login}); err != nil {
		return err
	}

	box, err := s.Outbox()
	if err != nil {
		return err
	}
	if s.tokens == nil {
		return errNoTokens
	}

	key, err := loginKey(login)
	if err != nil {
		key = "" // nobody's; the store is asked for the application all the same
	}
	err = s.recoveries.do(ctx, apiKey, key, func(ctx context.Context) error {
		return s.recoverPassword(ctx, box, apiKey, key)
	})
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
	err = box.Enqueue(ctx, NotificationRecord{
		ID: id, ApplicationID: app.ID, UserID: userID, Kind: KindSetPassword, State: StatePending, Urgent: true,
	}, RecoveryGap)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("users: recover password: %w", err)
	}
	return nil
}

// recoveries are the calls of RecoverPassword that are under way in a process.
type recoveries struct {
	gate    *password.Gate // for its lines, one for each share; nothing is hashed
	flights flights

	mu   sync.RWMutex
	seen map[string]bool // apiKeys of applications that exist
}

func newRecoveries() *recoveries {
	gate, _ := password.NewGate(&password.GateOptions{Slots: maxRecoveries}) // no error: no limit is negative
	return &recoveries{gate: gate, seen: make(map[string]bool)}
}

// saw notes that there is an application with this apiKey.
func (r *recoveries) saw(apiKey string) {
	if r.share(apiKey) == apiKey {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[apiKey] = true
}

// share returns the line in which a call for this apiKey waits. Those of which it
// is not known that they exist share one, "": or whoever makes up keys would have as
// many lines, and with them as many turns, as they like.
func (r *recoveries) share(apiKey string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.seen[apiKey] {
		return ""
	}
	return apiKey
}

// do runs work for a login. A call for a login for which another one is at work
// waits for that one's outcome instead: however many ask at once for one user,
// the store is asked once, as for a user that does not exist.
func (r *recoveries) do(ctx context.Context, apiKey, login string, work func(context.Context) error) error {
	for {
		f, leads, err := r.flights.board(ctx, apiKey, login)
		switch {
		case err != nil:
			return err
		case leads:
			return r.lead(ctx, f, work)
		case !f.abandoned:
			return f.err
		}
	}
}

func (r *recoveries) lead(ctx context.Context, f *flight, work func(context.Context) error) error {
	f.abandoned = true // stands if work panics
	defer r.flights.land(f)

	f.err = pass(ctx, r.gate, r.share(f.key[0]), 0, func() error { return inTime(ctx, work) })
	f.abandoned = f.err != nil && ctx.Err() != nil
	return f.err
}

// inTime runs work with recoveryDeadline. An error past it is ErrUnavailable.
func inTime(ctx context.Context, work func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, recoveryDeadline)
	defer cancel()
	err := work(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: no answer within %v: %w", ErrUnavailable, recoveryDeadline, err)
	}
	return err
}

// flights are the calls of a kind that are under way in a process, at most one for
// each application and name. The zero value is ready for use.
type flights struct {
	mu      sync.Mutex
	ongoing map[[2]string]*flight // by apiKey and name
}

// flight is a call, and whoever waits for its outcome.
type flight struct {
	key  [2]string
	done chan struct{}

	// Set before done is closed.
	err       error
	abandoned bool // by a caller whose context ended, or who panicked: err says nothing to others
}

// board returns a new flight, which the caller leads and must land, or the one that
// is under way, after its end. An error wraps that of ctx.
func (fs *flights) board(ctx context.Context, apiKey, name string) (f *flight, leads bool, err error) {
	key := [2]string{apiKey, name}
	fs.mu.Lock()
	f = fs.ongoing[key]
	if f == nil {
		f = &flight{key: key, done: make(chan struct{})}
		if fs.ongoing == nil {
			fs.ongoing = make(map[[2]string]*flight)
		}
		fs.ongoing[key] = f
		fs.mu.Unlock()
		return f, true, nil
	}
	fs.mu.Unlock()

	select {
	case <-f.done:
		return f, false, nil
	case <-ctx.Done():
		return nil, false, fmt.Errorf("users: waiting for the same request of another: %w", ctx.Err())
	}
}

// land ends f.
func (fs *flights) land(f *flight) {
	fs.mu.Lock()
	delete(fs.ongoing, f.key)
	fs.mu.Unlock()
	close(f.done)
}

// alone runs work when no other call of the same name is under way.
func (fs *flights) alone(ctx context.Context, apiKey, name string, work func() error) error {
	for {
		f, leads, err := fs.board(ctx, apiKey, name)
		if err != nil {
			return err
		}
		if leads {
			defer fs.land(f)
			return work()
		}
	}
}
