package smtptest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
	"github.com/gousers/users/smtpnotify"
)

// host is a Service with users who are to get mail.
type host struct {
	*users.Service
	t *testing.T
}

func newHost(t *testing.T, emails ...string) host {
	t.Helper()
	svc, err := users.New(memstore.New(), &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: "acme"}); err != nil {
		t.Fatal(err)
	}
	for i, email := range emails {
		p := users.CreateUserParams{UserName: fmt.Sprintf("user%d", i), Email: email, AutoCreatePassword: true, SendEmailNotification: true}
		if _, err := svc.Create(t.Context(), "acme", p); err != nil {
			t.Fatal(err)
		}
	}
	return host{svc, t}
}

func (h host) relay(n users.Notifier, o outbox.Options) *outbox.Relay {
	h.t.Helper()
	o.SetPasswordURL = func(_ users.Application, token string) string { return "https://example.com/#" + token }
	o.Rand = func() float64 { return 0 }
	r, err := outbox.New(h.Service, n, &o)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h host) rows() []users.NotificationRecord {
	h.t.Helper()
	list, err := h.Notifications(h.t.Context(), "acme", users.NotificationQuery{})
	if err != nil {
		h.t.Fatal(err)
	}
	return list.Notifications
}

// runUntilEmpty runs a relay until nothing is left to deliver.
func (h host) runUntilEmpty(r *outbox.Relay) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	for len(h.rows()) > 0 {
		if err := r.Drain(ctx); err != nil {
			h.t.Fatalf("%v; left are %+v", err, h.rows())
		}
		runtime.Gosched()
	}
}

// Four workers of a relay share one connection to a server that takes most of a
// delivery's time for each message.
func TestSlowServerGetsOneCopyOfEachMessage(t *testing.T) {
	t.Parallel()
	const timeout = 400 * time.Millisecond
	s := serve(t, config{data: func() error { <-time.After(timeout * 3 / 4); return nil }})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	h := newHost(t, "a@example.org", "b@example.org", "c@example.org", "d@example.org", "e@example.org", "f@example.org")
	h.runUntilEmpty(h.relay(n, outbox.Options{Timeout: timeout, Lease: timeout + time.Second, Workers: 4}))
	copies := s.copies(t)
	for id, got := range copies {
		if got != 1 {
			t.Errorf("%s: got %d copies, want 1", id, got)
		}
	}
	if len(copies) != 6 {
		t.Errorf("got %d messages, want 6", len(copies))
	}
}

// The server answers when the delivery has long ended, as it may (RFC 5321 section
// 4.5.3.2.6: ten minutes). The next attempt takes that answer.
func TestServerThatAnswersAfterTheTimeoutGetsOneCopy(t *testing.T) {
	t.Parallel()
	var unknown atomic.Int32
	answer := make(chan struct{})
	s := serve(t, config{data: func() error { <-answer; return nil }})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	h := newHost(t, "ann@example.org")
	h.runUntilEmpty(h.relay(users.NotifierFunc(func(ctx context.Context, note users.Notification) error {
		err := n.Notify(ctx, note)
		var e *smtpnotify.Error
		if errors.As(err, &e) && e.Unknown && unknown.Add(1) == 1 {
			close(answer)
		}
		return err
	}), outbox.Options{Timeout: 300 * time.Millisecond, Lease: 2 * time.Second}))
	if got := len(s.all()); got != 1 || s.begins() != 1 || unknown.Load() < 1 {
		t.Errorf("got %d messages, %d begun, after %d unknown outcomes, want one of each", got, s.begins(), unknown.Load())
	}
}

// slowAnswer returns a server that answers no message before answer is called, and
// a channel with an element for each message that it was sent.
func slowAnswer(t *testing.T, answered error) (s *server, sent chan struct{}, answer func()) {
	sent, wait := make(chan struct{}, 100), make(chan struct{})
	answer = sync.OnceFunc(func() { close(wait) })
	s = serve(t, config{data: func() error { sent <- struct{}{}; <-wait; return answered }})
	t.Cleanup(answer)
	return s, sent, answer
}

// abandon sends a message and ends the context when the server has it as a whole.
func abandon(t *testing.T, n *smtpnotify.Notifier, sent chan struct{}, note users.Notification) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-sent; cancel() }()
	err := n.Notify(ctx, note)
	var e *smtpnotify.Error
	if !errors.As(err, &e) || !e.Unknown || e.Permanent || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want an unknown outcome that the context caused", err)
	}
}

// outcome repeats Notify until the server's answer is known.
func outcome(t *testing.T, n *smtpnotify.Notifier, note users.Notification) error {
	t.Helper()
	for {
		err := n.Notify(t.Context(), note)
		var e *smtpnotify.Error
		if !errors.As(err, &e) || !e.Unknown {
			return err
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

func TestLateAnswerIsThatOfTheNextAttempt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answered  error
		code      int // 0: delivered
		permanent bool
	}{
		"taken":           {nil, 0, false},
		"refused":         {refusal(554)(), 554, true},
		"refused for now": {refusal(451)(), 451, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, sent, answer := slowAnswer(t, tt.answered)
			n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
			abandon(t, n, sent, note())
			again := note()
			again.Token = password.New("another token, as each attempt has one")
			var e *smtpnotify.Error
			if err := n.Notify(t.Context(), again); !errors.As(err, &e) || !e.Unknown {
				t.Errorf("before the answer: got %v, want an unknown outcome", err)
			}
			answer()
			err := outcome(t, n, again)
			<-s.hangups // the connection is not kept
			if s.begins() != 1 {
				t.Errorf("got %d messages begun, want 1", s.begins())
			}
			if tt.code == 0 {
				if err != nil {
					t.Errorf("got %v, want the message delivered", err)
				}
				return
			}
			if !errors.As(err, &e) || e.Code != tt.code || e.Permanent != tt.permanent {
				t.Errorf("got %v, want %d, permanent %v", err, tt.code, tt.permanent)
			}
			if err := n.Notify(t.Context(), again); !errors.As(err, &e) || s.begins() != 2 {
				t.Errorf("after the answer: got %v and %d messages begun, want another one", err, s.begins())
			}
		})
	}
}

// As two relays do, or one whose lease has passed to another.
func TestCallsAtOnceForOneMessageSendOneCopy(t *testing.T) {
	t.Parallel()
	s, sent, _ := slowAnswer(t, nil)
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- n.Notify(ctx, note()) }()
	<-sent
	begun := make(chan struct{})
	go func() { second <- n.Notify(watching{t.Context(), sync.OnceFunc(func() { close(begun) })}, note()) }()
	<-begun
	cancel()
	for _, err := range []error{<-first, <-second} {
		var e *smtpnotify.Error
		if !errors.As(err, &e) || !e.Unknown {
			t.Errorf("got %v, want an unknown outcome", err)
		}
	}
	if s.begins() != 1 {
		t.Errorf("got %d messages begun, want 1", s.begins())
	}
}

// watching is a context that tells when Notify asks for its deadline, which is when
// it has looked for earlier attempts and is about to wait for the connection.
type watching struct {
	context.Context
	asked func()
}

func (w watching) Deadline() (time.Time, bool) {
	w.asked()
	return w.Context.Deadline()
}

func TestMessageToAnotherAddressIsAnotherMessage(t *testing.T) {
	t.Parallel()
	s, sent, answer := slowAnswer(t, nil)
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	abandon(t, n, sent, note())
	answer()
	moved := note()
	moved.User.Email = "ann@example.net"
	if err := n.Notify(t.Context(), moved); err != nil || s.begins() != 2 {
		t.Errorf("got %v and %d messages begun, want two", err, s.begins())
	}
}

func TestServerThatHangsUpBeforeItsAnswerIsSentTheMessageAgain(t *testing.T) {
	t.Parallel()
	s, sent, answer := slowAnswer(t, nil)
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	abandon(t, n, sent, note())
	if err := n.Close(); err != nil { // which hangs up on this side
		t.Fatal(err)
	}
	answer()
	if err := n.Notify(t.Context(), note()); err != nil || s.begins() != 2 {
		t.Errorf("got %v and %d messages begun, want it delivered by the second", err, s.begins())
	}
}

func TestServerThatNeverAnswersGetsBoundedlyManyMessages(t *testing.T) {
	t.Parallel()
	s, sent, answer := slowAnswer(t, nil)
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	for i := range 8 {
		to := note()
		to.ID = fmt.Sprint(i)
		abandon(t, n, sent, to)
	}
	var e *smtpnotify.Error
	if err := n.Notify(t.Context(), note()); !errors.As(err, &e) || e.Unknown || e.Permanent || e.Code != 0 {
		t.Errorf("got %v, want an error that is neither unknown nor permanent", err)
	}
	if s.begins() != 8 || s.connections() != 8 {
		t.Errorf("got %d messages begun on %d connections, want 8", s.begins(), s.connections())
	}
	h := newHost(t, "bob@example.com")
	if err := h.relay(n, outbox.Options{}).Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows := h.rows(); len(rows) != 1 || rows[0].Attempts != 1 {
		t.Errorf("got rows %+v, want one with a failed attempt", rows)
	}

	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	answer()
	for range 8 {
		<-s.hangups
	}
	if err := n.Notify(t.Context(), note()); err != nil {
		t.Errorf("when none waits any more: got %v, want it delivered", err)
	}
}

// What waits too long for the connection is not begun, and costs no attempt.
func TestMessageThatCannotEndIsNotBegun(t *testing.T) {
	t.Parallel()
	s, sent, answer := slowAnswer(t, nil)
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	var first sync.WaitGroup
	first.Go(func() {
		if err := n.Notify(t.Context(), note()); err != nil {
			t.Error(err)
		}
	})
	<-sent

	const timeout = time.Second
	h := newHost(t, "ann@example.org")
	start := time.Now()
	if err := h.relay(n, outbox.Options{Timeout: timeout, Lease: 2 * time.Second}).Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < timeout/2 || took >= timeout {
		t.Errorf("it waited %v, want half of %v or little more", took, timeout)
	}
	rows := h.rows()
	if len(rows) != 1 || rows[0].Attempts != 0 || !strings.Contains(rows[0].LastError, "wait for the connection") || s.begins() != 1 {
		t.Errorf("got %+v and %d messages begun, want a row without an attempt and one message", rows, s.begins())
	}
	answer()
	first.Wait()
}

// Opening the connection may take most of the time: the next message uses it.
func TestConnectionThatTookLongToOpenIsKept(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	var once sync.Once
	s := serve(t, config{noTLS: true, password: "s3cret", auth: func() { once.Do(func() { <-time.After(timeout * 5 / 8) }) }})
	n := newNotifier(t, "smtp://relay:s3cret@"+s.addr+"?tls=none", smtpnotify.Options{Timeout: timeout})
	var e *smtpnotify.Error
	if err := n.Notify(t.Context(), note()); !errors.As(err, &e) || e.Step != "wait for the connection" || s.begins() != 0 {
		t.Fatalf("got %v and %d messages begun, want none", err, s.begins())
	}
	if err := n.Notify(t.Context(), note()); err != nil || s.connections() != 1 || len(s.all()) != 1 {
		t.Errorf("got %v, %d connections and %d messages, want one of each", err, s.connections(), len(s.all()))
	}
}

func TestFinalRefusalIsDiscardedAtOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		c         config
		email     string
		discarded bool
		reason    string
	}{
		"sender":                    {config{mail: refusal(550)}, "", true, "sender: 550"},
		"recipient":                 {config{rcpt: refusal(550)}, "", true, "recipient: 550"},
		"least code that is final":  {config{rcpt: refusal(500)}, "", true, "recipient: 500"},
		"recipient's domain":        {config{rcpt: refusal(556)}, "", true, "recipient: 556"},
		"content":                   {config{data: refusal(554)}, "", true, "data: 554"},
		"no SMTPUTF8":               {config{}, "jürgen@example.org", true, "SMTPUTF8"},
		"sender, for now":           {config{mail: refusal(451)}, "", false, "sender: 451"},
		"recipient, for now":        {config{rcpt: refusal(450)}, "", false, "recipient: 450"},
		"content, for now":          {config{data: refusal(452)}, "", false, "data: 452"},
		"server goes":               {config{rcpt: refusal(421)}, "", false, "recipient: 421"},
		"authentication is missing": {config{mail: refusal(530)}, "", false, "sender: 530"},
		"no mail at all":            {config{mail: refusal(521)}, "", false, "sender: 521"},
		"not authenticated":         {config{password: "s3cret"}, "", false, "sender: 502"},
		"no TLS":                    {config{noTLS: true}, "", false, "STARTTLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.c)
			n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
			if tt.email == "" {
				tt.email = "ann@example.org"
			}
			h := newHost(t, tt.email)
			var log strings.Builder
			if err := h.relay(n, outbox.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}).Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			rows := h.rows()
			if len(rows) != 1 || rows[0].Attempts != 1 || (rows[0].State == users.StateDiscarded) != tt.discarded || !strings.Contains(rows[0].LastError, tt.reason) {
				t.Errorf("got %+v, want it discarded: %v, because of %q", rows, tt.discarded, tt.reason)
			}
			if strings.Contains(log.String(), "level=ERROR") != tt.discarded {
				t.Errorf("log: got %s, want an error line: %v", &log, tt.discarded)
			}
		})
	}
}
