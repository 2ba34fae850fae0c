package users

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	// recoveryPatience is how long a call waits for another one for the same login:
	// as long as that may take in its line and at the store.
	recoveryPatience = password.DefaultMaxWait + recoveryDeadline
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
// that they exist have one line together. Who waits too long, which is 10 seconds in
// a line and 20 for another call for the same login, gets ErrOverloaded; so does one
// of the longest line when more than 512 wait. A store that does not answer within
// 10 seconds is ErrUnavailable. How often a client may call is for Options.Admit to
// say.
func (s *Service) RecoverPassword(ctx context.Context, apiKey, login string) error {
	start := time.Now()
	login = strings.TrimSpace(login)
	key, err := loginKey(login)
	if err != nil {
		key = "" // nobody's; the store is asked for the application all the same
	}
	if err := s.admit(ctx, Attempt{OperationRecoverPassword, apiKey, cmp.Or(key, login)}); err != nil {
		return err
	}

	box, err := s.Outbox()
	if err != nil {
		return err
	}
	if s.tokens == nil {
		return errNoTokens
	}

	err = s.recoveries.do(ctx, apiKey, key, func(ctx context.Context) error {
		return s.recoverPassword(ctx, box, apiKey, key)
	})
	if late := onTick(ctx, start, recoveryTick); late != nil {
		return fmt.Errorf("users: recover password: %w", late)
	}
	return err
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

// recoveries are the calls of RecoverPassword that are under way at one store.
type recoveries struct {
	lines   *lines
	flights flights
}

// lines are where calls of RecoverPassword wait, in a process, for their turn.
type lines struct {
	gate *password.Gate // one line for each share; nothing is hashed

	mu   sync.RWMutex
	seen map[string]bool // apiKeys of applications that exist
}

func newLines() *lines {
	gate, _ := password.NewGate(&password.GateOptions{Slots: maxRecoveries}) // no error: no limit is negative
	return &lines{gate: gate, seen: make(map[string]bool)}
}

// saw notes that there is an application with this apiKey.
func (l *lines) saw(apiKey string) {
	if l.share(apiKey) == apiKey {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[apiKey] = true
}

// share returns the line in which a call for this apiKey waits. Those of which it
// is not known that they exist share one, "": or whoever makes up keys would have as
// many lines, and with them as many turns, as they like.
func (l *lines) share(apiKey string) string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.seen[apiKey] {
		return ""
	}
	return apiKey
}

// do runs work for a login. A call for a login for which another one is at work
// waits for that one's outcome instead: however many ask at once for one user,
// the store is asked once, as for a user that does not exist.
func (r *recoveries) do(ctx context.Context, apiKey, login string, work func(context.Context) error) error {
	patience := time.NewTimer(recoveryPatience)
	defer patience.Stop()
	f, leads, err := r.flights.board(ctx, apiKey, login, patience.C)
	if !leads {
		return err
	}

	landed := false
	defer func() {
		if !landed { // by a panic, or because ctx ended: that says nothing to others
			r.flights.handOver(f)
		}
	}()
	err = pass(ctx, r.lines.gate, r.lines.share(apiKey), 0, func() error { return inTime(ctx, recoveryDeadline, work) })
	if landed = err == nil || ctx.Err() == nil; landed {
		r.flights.land(f, err)
	}
	return err
}

// inTime runs work with a deadline. An error past it is ErrUnavailable.
func inTime(ctx context.Context, deadline time.Duration, work func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err := work(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: no answer within %v: %w", ErrUnavailable, deadline, err)
	}
	return err
}

// flights are the calls of a kind that are under way in a process, at most one for
// each application and name. The zero value is ready for use.
type flights struct {
	mu      sync.Mutex
	ongoing map[[2]string]*flight // by apiKey and name
}

// flight is a call, and who waits for its outcome or to be the next, in the order in
// which they came.
type flight struct {
	key     [2]string
	waiting []chan outcome
}

// outcome is what one who waits is told, once and without waiting for it.
type outcome struct {
	leads bool // it is the next
	err   error
}

// board returns the flight that the caller leads, and then must land or hand over,
// or the outcome of another's. An error wraps that of ctx, or is ErrOverloaded when
// patience was over.
func (fs *flights) board(ctx context.Context, apiKey, name string, patience <-chan time.Time) (f *flight, leads bool, err error) {
	key := [2]string{apiKey, name}
	fs.mu.Lock()
	f = fs.ongoing[key]
	if f == nil {
		f = &flight{key: key}
		if fs.ongoing == nil {
			fs.ongoing = make(map[[2]string]*flight)
		}
		fs.ongoing[key] = f
		fs.mu.Unlock()
		return f, true, nil
	}
	told := make(chan outcome, 1)
	f.waiting = append(f.waiting, told)
	fs.mu.Unlock()

	select {
	case o := <-told:
		return f, o.leads, o.err
	case <-ctx.Done():
		err = fmt.Errorf("users: waiting for the same request of another: %w", ctx.Err())
	case <-patience:
		err = fmt.Errorf("%w: waiting for the same request of another: %w", ErrOverloaded,
			&password.OverloadedError{RetryAfter: recoveryDeadline})
	}
	fs.leave(f, told)
	return nil, false, err
}

// leave takes one who waits out of f. If it was told to lead meanwhile, the next is.
func (fs *flights) leave(f *flight, told chan outcome) {
	fs.mu.Lock()
	i := slices.Index(f.waiting, told)
	if i >= 0 {
		f.waiting = slices.Delete(f.waiting, i, i+1)
	}
	fs.mu.Unlock()
	if i < 0 && (<-told).leads {
		fs.handOver(f)
	}
}

// land ends f, and with it everybody's wait.
func (fs *flights) land(f *flight, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.ongoing, f.key)
	for _, told := range f.waiting {
		told <- outcome{err: err}
	}
	f.waiting = nil
}

// handOver lets the one who waits the longest lead f; f ends if there is none.
func (fs *flights) handOver(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(f.waiting) == 0 {
		delete(fs.ongoing, f.key)
		return
	}
	told := f.waiting[0]
	f.waiting = f.waiting[1:]
	told <- outcome{leads: true}
}

// alone runs work when no other call of the same name is under way, first come first
// served.
func (fs *flights) alone(ctx context.Context, apiKey, name string, work func() error) error {
	f, _, err := fs.board(ctx, apiKey, name, nil)
	if err != nil {
		return err
	}
	defer fs.handOver(f)
	return work()
}
