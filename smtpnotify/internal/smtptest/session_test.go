package smtptest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/gousers/users/smtpnotify"
)

func TestNextMechanismIsTriedWhenOneIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		offered, refused []string
		password         string // of the client
		tried            []string
		want             string // in the error; empty: authenticated
	}{
		"the best one first":        {[]string{"LOGIN", "PLAIN"}, nil, "s3cret", []string{"PLAIN"}, ""},
		"in lower case":             {[]string{"login", "plain"}, nil, "s3cret", []string{"PLAIN"}, ""},
		"one unknown to the client": {[]string{"GSSAPI", "LOGIN"}, nil, "s3cret", []string{"LOGIN"}, ""},
		"SCRAM refused":             {[]string{"SCRAM-SHA-256", "PLAIN"}, []string{"SCRAM-SHA-256"}, "s3cret", []string{"SCRAM-SHA-256", "PLAIN"}, ""},
		"all but LOGIN refused": {
			[]string{"PLAIN", "LOGIN", "SCRAM-SHA-256"}, []string{"PLAIN", "SCRAM-SHA-256"}, "s3cret",
			[]string{"SCRAM-SHA-256", "PLAIN", "LOGIN"}, "",
		},
		"all refused":    {[]string{"PLAIN", "LOGIN"}, []string{"PLAIN", "LOGIN"}, "s3cret", []string{"PLAIN", "LOGIN"}, "504: 5.7.4"},
		"wrong password": {[]string{"PLAIN", "LOGIN"}, nil, "wr0ngw0rd", []string{"PLAIN", "LOGIN"}, "535: 5.7.8"},
		// Whoever only pretends to know the password must not be told it.
		"an impostor": {[]string{"SCRAM-SHA-256", "PLAIN"}, nil, "s3cret", []string{"SCRAM-SHA-256"}, "did not prove"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, config{password: "s3cret", mechanisms: tt.offered, refused: tt.refused})
			n := newNotifier(t, "smtp://relay:"+tt.password+"@"+s.addr, smtpnotify.Options{TLS: s.trust})
			err := n.Notify(t.Context(), note())
			if !slices.Equal(s.tried, tt.tried) || s.connections() != 1 {
				t.Errorf("tried: got %v on %d connections, want %v on one", s.tried, s.connections(), tt.tried)
			}
			if tt.want == "" {
				if err != nil || len(s.all()) != 1 || s.all()[0].user != "relay" {
					t.Errorf("got %v and %d messages, want one", err, len(s.all()))
				}
				return
			}
			var e *smtpnotify.Error
			if !errors.As(err, &e) || e.Step != "authenticate" || e.Permanent || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a passing *Error of authenticate with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), tt.password) {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestServerThatIsNoGoodAtSCRAMGetsNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		server impostor
		want   string
	}{
		"work without end":            {impostor{iterations: "9000000000000"}, "iterations"},
		"work of minutes":             {impostor{iterations: "1000001"}, "iterations"},
		"a proof that is soon broken": {impostor{iterations: "4095"}, "iterations"},
		"no number":                   {impostor{iterations: "x"}, "iterations"},
		"accepts at once":             {impostor{accepts: 1}, "did not prove"},
		"accepts the name":            {impostor{accepts: 2}, "did not prove"},
		"accepts a proof unproved":    {impostor{accepts: 3}, "did not prove"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, config{password: "s3cret", mechanisms: []string{"SCRAM-SHA-256", "PLAIN"}, scram: tt.server})
			n := newNotifier(t, "smtp://relay:s3cret@"+s.addr, smtpnotify.Options{TLS: s.trust, Timeout: 20 * time.Second})
			err := n.Notify(t.Context(), note())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !slices.Equal(s.tried, []string{"SCRAM-SHA-256"}) {
				t.Errorf("got %v after %v, want an error with %q after SCRAM-SHA-256 alone", err, s.tried, tt.want)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v: it took all of its time", err)
			}
		})
	}
}

func TestSCRAMChallengeIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, config{password: "s3cret", mechanisms: []string{"SCRAM-SHA-256"}, scram: impostor{again: true}})
	n := newNotifier(t, "smtp://relay:s3cret@"+s.addr, smtpnotify.Options{TLS: s.trust})
	if err := n.Notify(t.Context(), note()); err == nil || !strings.Contains(err.Error(), "does not suit") {
		t.Errorf("got %v, want an error that the challenge does not suit", err)
	}
}

func TestServerThatTakesNoMailSaysWhy(t *testing.T) {
	t.Parallel()
	address := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "554 you are on a list\r\n") })
	n := newNotifier(t, "smtp://"+address, smtpnotify.Options{})
	err := n.Notify(t.Context(), note())
	var e *smtpnotify.Error
	if !errors.As(err, &e) || e.Step != "connect" || e.Code != 554 || e.Permanent || !strings.Contains(err.Error(), "you are on a list") {
		t.Errorf("got %v (%+v), want a passing 554 of connect in the server's words", err, e)
	}
}

// A server, or whoever stands in between before TLS, must not fill the memory.
func TestRepliesAreBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ before, endless string }{
		"a line of the greeting":  {"", "220 " + strings.Repeat("x", 1000)},
		"lines of the greeting":   {"", "220-" + strings.Repeat("x", 500) + "\r\n"},
		"lines after EHLO":        {"220 hello\r\n", "250-" + strings.Repeat("x", 500) + "\r\n"},
		"short lines after EHLO":  {"220 hello\r\n", "250-x\r\n"},
		"a refusal of many lines": {"220 hello\r\n", "550-no\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 64 << 20
			var written atomic.Int64
			address := listen(t, func(c net.Conn) {
				_, _ = io.WriteString(c, tt.before)
				if tt.before != "" {
					_, _ = c.Read(make([]byte, 1000))
				}
				block := []byte(strings.Repeat(tt.endless, 50))
				for written.Load() < most {
					k, err := c.Write(block)
					written.Add(int64(k))
					if err != nil {
						return
					}
				}
			})
			n := newNotifier(t, "smtp://"+address+"?tls=none", smtpnotify.Options{})
			err := n.Notify(t.Context(), note())
			var e *smtpnotify.Error
			if !errors.As(err, &e) || e.Permanent || e.Step != "connect" {
				t.Errorf("got %v, want a passing *Error of connect", err)
			}
			if written.Load() >= most {
				t.Errorf("the server could send %d MiB in one reply", written.Load()>>20)
			}
		})
	}
}

// listen serves connections until the test ends, and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// Over TLS the password may go to any host that has proved its name.
func TestPasswordIsSentOverTLSToAnyHost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]config{
		"STARTTLS":     {password: "s3cret", listen: "127.0.0.2:0"}, // not among what go-mail calls local
		"implicit TLS": {password: "s3cret", listen: "127.0.0.2:0", implicit: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c)
			s.trust.ServerName = "example.com"
			url := map[bool]string{false: "smtp://", true: "smtps://"}[c.implicit] + "relay:s3cret@" + s.addr
			if err := newNotifier(t, url, smtpnotify.Options{TLS: s.trust}).Notify(t.Context(), note()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExtensionsAreFoundInAnyCase(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		c   config
		url string // of %s
	}{
		"STARTTLS":          {config{lower: true}, "smtp://%s"},
		"AUTH and SMTPUTF8": {config{lower: true, noTLS: true, utf8: true, password: "s3cret"}, "smtp://relay:s3cret@%s?tls=none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.c)
			n := newNotifier(t, strings.Replace(tt.url, "%s", s.addr, 1), smtpnotify.Options{TLS: s.trust})
			to := note()
			if tt.c.utf8 {
				to.User.Email = "jürgen@example.org"
			}
			if err := n.Notify(t.Context(), to); err != nil || len(s.all()) != 1 || s.all()[0].utf8 != tt.c.utf8 {
				t.Errorf("got %v and %+v, want one message, SMTPUTF8 %v", err, s.all(), tt.c.utf8)
			}
		})
	}
}

func TestEHLOSaysAFullNameOrAnAddress(t *testing.T) {
	t.Parallel()
	usual := "[127.0.0.1]"
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") {
		usual = name
	}
	for option, want := range map[string]string{
		"":                   usual,
		"mail.example.com":   "mail.example.com",
		"Bücher.example":     "xn--bcher-kva.example",
		"[192.0.2.1]":        "[192.0.2.1]",
		"[IPv6:2001:db8::1]": "[IPv6:2001:db8::1]",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := serve(t, config{})
			n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust, Hello: option})
			if err := n.Notify(t.Context(), note()); err != nil {
				t.Fatal(err)
			}
			if got := s.all()[0].hello; got != want {
				t.Errorf("Hello %q: got EHLO %s, want %s", option, got, want)
			}
		})
	}
}

func TestWrongKindOfTLSIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		c         config
		url, want string
		timeout   time.Duration
	}{
		"TLS first, not spoken":   {config{}, "smtps://", "needs smtp://", 0},
		"TLS first, not expected": {config{implicit: true}, "smtp://", "needs smtps://", 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.c)
			n := newNotifier(t, tt.url+s.addr, smtpnotify.Options{TLS: s.trust, Timeout: tt.timeout})
			err := n.Notify(t.Context(), note())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestFailedSessionIsClosed(t *testing.T) { // not parallel
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes what was forgotten, some time
	for name, c := range map[string]config{
		"greeting":       {noTLS: true}, // STARTTLS is missing
		"authentication": {password: "right"},
		"sender":         {mail: refusal(550)},
		"recipient":      {rcpt: refusal(450)},
		"content":        {data: refusal(554)},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c)
			n, err := smtpnotify.New("smtp://relay:wrong@"+s.addr, sender, &smtpnotify.Options{TLS: s.trust})
			if c.password == "" {
				n, err = smtpnotify.New("smtp://"+s.addr, sender, &smtpnotify.Options{TLS: s.trust})
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				if err := n.Notify(t.Context(), note()); err == nil {
					t.Fatal("got no error")
				}
				select {
				case <-s.hangups: // without Close
				case <-time.After(10 * time.Second):
					t.Fatal("the connection is still open")
				}
				if got := s.connections(); got != i+1 {
					t.Errorf("got %d connections, want %d", got, i+1)
				}
			}
		})
	}
}

// A server may leave a connection open after QUIT, or not even answer.
func TestCloseEndsTheConnectionWhateverTheServerDoes(t *testing.T) { // not parallel
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes what was forgotten, some time
	for name, quit := range map[string]string{"221": "221 bye\r\n", "500": "500 no\r\n"} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			addr := listen(t, func(c net.Conn) { ended <- sayYes(c, quit) })
			n := newNotifier(t, "smtp://"+addr+"?tls=none", smtpnotify.Options{})
			if err := n.Notify(t.Context(), note()); err != nil {
				t.Fatal(err)
			}
			n.Close()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("the server read: %v, want the end", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("the connection is still open")
			}
		})
	}
}

// sayYes takes messages on c until its end, and answers QUIT as it is told.
func sayYes(c net.Conn, quit string) error {
	answers := map[string]string{"EHLO": "250 here\r\n", "DATA": "354 go on\r\n", "QUIT": quit}
	c.SetDeadline(time.Now().Add(20 * time.Second)) // listen waits for the end
	fmt.Fprint(c, "220 here\r\n")
	lines, content := bufio.NewScanner(c), false
	for lines.Scan() {
		line := lines.Text()
		if content && line != "." {
			continue
		}
		content = line == "DATA"
		command, _, _ := strings.Cut(line, " ")
		fmt.Fprint(c, cmp.Or(answers[command], "250 yes\r\n"))
	}
	return lines.Err()
}

func refusal(code int) func() error {
	return func() error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no"}
	}
}

func TestTLSConfigOfTheHostIsNotChanged(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{false, true} {
		s := serve(t, config{implicit: implicit})
		url := map[bool]string{false: "smtp://", true: "smtps://"}[implicit] + s.addr
		n := newNotifier(t, url, smtpnotify.Options{TLS: s.trust})
		if err := n.Notify(t.Context(), note()); err != nil {
			t.Fatal(err)
		}
		if s.trust.ServerName != "" {
			t.Errorf("ServerName: got %q, want it left empty", s.trust.ServerName)
		}

		s.trust.ServerName = "other.example" // and what the host does later has no effect
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if err := n.Notify(t.Context(), note()); err != nil {
			t.Errorf("after a change by the host: got %v, want none", err)
		}
	}
}

func TestServerThatKnowsOnlyHELOIsSentMail(t *testing.T) {
	t.Parallel()
	s := serve(t, config{old: true})
	n := newNotifier(t, "smtp://"+s.addr+"?tls=none", smtpnotify.Options{Hello: "mail.example.com"})
	if err := n.Notify(t.Context(), note()); err != nil || len(s.all()) != 1 || s.all()[0].hello != "mail.example.com" {
		t.Errorf("got %v and %+v, want one message after HELO mail.example.com", err, s.all())
	}
}
