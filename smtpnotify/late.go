package smtpnotify

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// maxLate is how many messages may wait for a late answer, each on a
	// connection of its own, before no other one is begun.
	maxLate = 8
	// keepLate is how long a late answer is kept for the next attempt, which a
	// relay makes after an hour at most.
	keepLate = 2 * time.Hour
)

// messageKey tells whether two messages are the same for the user.
type messageKey struct{ id, to string }

// lateAnswers are the answers of servers that took longer than the context of
// Notify. The next attempt of the same message takes the answer instead of sending
// a copy. The zero value is ready for use.
type lateAnswers struct {
	mu      sync.Mutex
	answers map[messageKey]*answer
	waiting int
}

// answer is what the server says, or said, to one message.
type answer struct {
	s    *session
	done chan struct{} // closed when err is set
	err  error
	at   time.Time // when it came
}

// finish ends the message of w and returns the server's answer. If ctx ends
// before that, it returns an *Error that is Unknown, and a goroutine waits for the
// answer, as long as the server may take. s is then late.
func (l *lateAnswers) finish(ctx context.Context, s *session, w io.WriteCloser, key messageKey) error {
	a := &answer{s: s, done: make(chan struct{})}
	go func() {
		err := s.finish(w)
		l.mu.Lock()
		defer l.mu.Unlock()
		a.err, a.at = err, time.Now()
		close(a.done)
		if s.late {
			l.waiting--
			s.conn.Close()
		}
	}()

	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-a.done: // meanwhile
		return a.err
	default:
	}
	l.forgetOld()
	if l.answers == nil {
		l.answers = make(map[messageKey]*answer)
	}
	l.answers[key] = a
	l.waiting++
	s.late = true
	return unanswered(ctx.Err())
}

// take returns the late answer to an earlier attempt, which is used up by this. If
// the server has not answered yet, err is an *Error that is Unknown. ok is false if
// nothing is known of an earlier attempt: the message is to be sent.
func (l *lateAnswers) take(key messageKey) (err error, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.answers[key]
	if !ok {
		return nil, false
	}
	select {
	case <-a.done:
		delete(l.answers, key)
		var e *Error
		broken := errors.As(a.err, &e) && e.Unknown // it never will be known
		return a.err, !broken
	default:
		return unanswered(nil), true
	}
}

// full reports whether too many messages wait.
func (l *lateAnswers) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting >= maxLate
}

// close closes the connections that wait, and returns when nothing waits.
func (l *lateAnswers) close() {
	l.mu.Lock()
	var waiting []*answer
	for _, a := range l.answers {
		waiting = append(waiting, a)
	}
	l.mu.Unlock()

	for _, a := range waiting {
		a.s.conn.Close()
		<-a.done
	}
}

func (l *lateAnswers) forgetOld() {
	for key, a := range l.answers {
		select {
		case <-a.done:
			if time.Since(a.at) > keepLate {
				delete(l.answers, key)
			}
		default:
		}
	}
}

func unanswered(cause error) *Error {
	return &Error{
		Step: stepData, Unknown: true, cause: cause,
		detail: "the server was sent the message and has not answered yet",
	}
}
