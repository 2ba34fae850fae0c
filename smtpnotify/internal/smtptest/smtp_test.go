package smtptest

import (
	"context"
	"errors"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
	"github.com/gousers/users/smtpnotify"
)

const (
	token  = "q83vEjRWeJC6mHZUMhD-3rq9_AARIjNEVWZ3iJmqu8w"
	link   = "https://example.com/set-password#" + token
	sender = "Größe & Co <no-reply@example.com>"
	id     = "01JABCDEFGHJKMNPQRSTVWXYZ0"
)

// note returns a set_password notification to Ann.
func note() users.Notification {
	return users.Notification{
		ID: id, Kind: users.KindSetPassword,
		Application: users.Application{APIKey: "acme", Name: "Acme"},
		User:        users.User{ID: id, UserName: "ann", Email: "ann@example.org", Name: "Ann", IsApproved: true},
		Token:       password.New(token),
		URL:         password.New(link),
		Expires:     time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC),
	}
}

func newNotifier(t *testing.T, url string, o smtpnotify.Options) *smtpnotify.Notifier {
	t.Helper()
	n, err := smtpnotify.New(url, sender, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// header returns the header of a message as a receiver reads it.
func header(t *testing.T, data string) mail.Header {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header
}

func TestEnvelopeAndMessageReachTheServer(t *testing.T) {
	t.Parallel()
	s := serve(t, config{})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	if err := n.Notify(t.Context(), note()); err != nil {
		t.Fatal(err)
	}
	got := s.all()
	if len(got) != 1 {
		t.Fatalf("got %d messages, want 1", len(got))
	}
	want := received{hello: got[0].hello, from: "no-reply@example.com", to: "ann@example.org", tls: true, data: got[0].data}
	if got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
	if id := header(t, got[0].data).Get("Message-ID"); id != "<"+note().ID+"@example.com>" {
		t.Errorf("Message-ID: got %q, want the notification's", id)
	}
	if !strings.Contains(got[0].data, "Set your password</a>") || !strings.HasSuffix(got[0].data, "--\r\n") {
		t.Errorf("got %q, want the message as a whole", got[0].data)
	}
}

func TestConnectionIsSecuredUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		c      config
		url    string // of %s
		ignore bool   // the certificate is not trusted
		want   string // in the error; empty: delivered
		tls    bool
	}{
		"STARTTLS":                   {url: "smtp://%s", tls: true},
		"STARTTLS required by name":  {url: "smtp://%s?tls=required", tls: true},
		"implicit TLS":               {c: config{implicit: true}, url: "smtps://%s", tls: true},
		"no STARTTLS offered":        {c: config{noTLS: true}, url: "smtp://%s", want: "does not offer STARTTLS"},
		"plain on request":           {c: config{noTLS: true}, url: "smtp://%s?tls=none"},
		"unknown certificate":        {url: "smtp://%s", ignore: true, want: "certificate"},
		"unknown certificate, smtps": {c: config{implicit: true}, url: "smtps://%s", ignore: true, want: "certificate"},
		"authenticated":              {c: config{password: "s3cret pass"}, url: "smtp://relay:s3cret%20pass@%s", tls: true},
		"authenticated, plain":       {c: config{password: "s3cret", noTLS: true}, url: "smtp://relay:s3cret@%s?tls=none"},
		"wrong password":             {c: config{password: "right"}, url: "smtp://relay:wr0ngw0rd@%s", want: "authenticate: 535: 5.7.8"},
		"not authenticated":          {c: config{password: "right"}, url: "smtp://%s", want: "502"},
		"no authentication on offer": {url: "smtp://relay:wr0ngw0rd@%s", want: "offers none of"},
		"nobody listens":             {url: "smtp://127.0.0.1:1/%.0s", want: "connect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.c)
			o := smtpnotify.Options{TLS: s.trust}
			if tt.ignore {
				o.TLS = nil
			}
			n := newNotifier(t, strings.NewReplacer("%s", s.addr, "%.0s", "").Replace(tt.url), o)
			err := n.Notify(t.Context(), note())
			if tt.want == "" {
				if got := s.all(); err != nil || len(got) != 1 || got[0].tls != tt.tls || (got[0].user != "") != (tt.c.password != "") {
					t.Fatalf("got %v, %+v, want one message, TLS %v", err, got, tt.tls)
				}
				return
			}
			var e *smtpnotify.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) || len(s.all()) != 0 {
				t.Fatalf("got %v and %d messages, want a *Error with %q and none", err, len(s.all()), tt.want)
			}
			if strings.Contains(err.Error(), "wr0ngw0rd") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestBurstUsesOneConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, config{})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if err := n.Notify(t.Context(), note()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := s.connections(); got != 1 || len(s.all()) != 40 {
		t.Errorf("got %d connections and %d messages, want 1 and 40", got, len(s.all()))
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Notify(t.Context(), note()); err != nil || s.connections() != 2 {
		t.Errorf("after Close: got %v and %d connections, want none and 2", err, s.connections())
	}
}

func TestIdleConnectionIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, config{})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust, Idle: time.Nanosecond})
	for range 2 {
		if err := n.Notify(t.Context(), note()); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.connections(); got != 2 {
		t.Errorf("got %d connections, want 2", got)
	}
}

func TestConnectionThatTheServerClosedIsReplaced(t *testing.T) {
	t.Parallel()
	var s *server
	var conns []net.Conn
	s = serve(t, config{})
	backend := s.Backend
	s.Backend = smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		conns = append(conns, c.Conn())
		return backend.NewSession(c)
	})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	for range 3 {
		if err := n.Notify(t.Context(), note()); err != nil {
			t.Fatal(err)
		}
		for _, c := range conns {
			c.Close()
		}
	}
	if got := len(s.all()); got != 3 {
		t.Errorf("got %d messages, want 3", got)
	}
}

func TestRefusalsSayWhatWasRefused(t *testing.T) {
	t.Parallel()
	quote := func(code int) func() error {
		return func() error {
			return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: "not with " + link}
		}
	}
	for name, tt := range map[string]struct {
		c    config
		want smtpnotify.Error
		text string
	}{
		"sender": {
			config{mail: func() error { return &smtp.SMTPError{Code: 451, Message: "later"} }},
			smtpnotify.Error{Step: "sender", Code: 451}, "later",
		},
		"recipient": {
			config{rcpt: func() error { return &smtp.SMTPError{Code: 550, Message: "nobody here"} }},
			smtpnotify.Error{Step: "recipient", Code: 550, Permanent: true}, "nobody here",
		},
		"content":              {config{data: quote(554)}, smtpnotify.Error{Step: "data", Code: 554, Permanent: true}, "5.7.1"},
		"content, not for now": {config{data: quote(450)}, smtpnotify.Error{Step: "data", Code: 450}, "4.7.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.c)
			n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
			err := n.Notify(t.Context(), note())
			var e *smtpnotify.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *Error", err)
			}
			got := smtpnotify.Error{Step: e.Step, Code: e.Code, Permanent: e.Permanent}
			if got != tt.want || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("got %v (%+v), want %+v with %q", err, got, tt.want, tt.text)
			}
			if strings.Contains(err.Error(), token[:8]) {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestSlowServerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(c *config, hang func() error){
		"mail": func(c *config, hang func() error) { c.mail = hang },
		"data": func(c *config, hang func() error) { c.data = hang },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			var c config
			slow(&c, func() error { cancel(); <-release; return nil })
			s := serve(t, c)
			n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
			err := n.Notify(ctx, note())
			close(release)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
}

func TestServerThatDropsTheConnectionIsAnErrorAndTheNextMessageGoesThrough(t *testing.T) {
	t.Parallel()
	var s *server
	var once sync.Once
	var conn net.Conn
	s = serve(t, config{data: func() error { once.Do(func() { conn.Close() }); return nil }})
	backend := s.Backend
	s.Backend = smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		conn = c.Conn()
		return backend.NewSession(c)
	})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	var e *smtpnotify.Error
	if err := n.Notify(t.Context(), note()); !errors.As(err, &e) || e.Step != "data" || e.Permanent || !e.Unknown {
		t.Errorf("got %v, want a *Error of the step data whose outcome is unknown", err)
	}
	if err := n.Notify(t.Context(), note()); err != nil {
		t.Error(err)
	}
}

func TestHostileAddressesInjectNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, config{utf8: true})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	for name, email := range map[string]string{
		"command in the address": "ann@example.org>\r\nRCPT TO:<eve@example.net",
		"second address":         "ann@example.org,eve@example.net",
		"parameter":              "ann@example.org> NOTIFY=NEVER",
		"route":                  "@eve.example:ann@example.org",
		"quoted local part":      `"ann eve"@example.org`,
		"no domain":              "ann@",
		"no address":             "",
	} {
		t.Run(name, func(t *testing.T) {
			hostile := note()
			hostile.User.Email = email
			err := n.Notify(t.Context(), hostile)
			var e *smtpnotify.Error
			if !errors.As(err, &e) || !e.Permanent || s.connections() != 0 {
				t.Fatalf("got %v and %d connections, want a permanent *Error and none", err, s.connections())
			}
		})
	}
}

func TestRecipientIsTheAddressAlone(t *testing.T) {
	t.Parallel()
	s := serve(t, config{})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	hostile := note()
	hostile.User.Name = "=?utf-8?q?=0D=0ABcc:_eve=40example.net?="
	if err := n.Notify(t.Context(), hostile); err != nil {
		t.Fatal(err)
	}
	got := s.all()
	if len(got) != 1 || got[0].to != "ann@example.org" {
		t.Fatalf("got %+v, want one message to ann@example.org", got)
	}
	if h := header(t, got[0].data); h.Get("To") != "<ann@example.org>" || len(h) != 8 {
		t.Errorf("got headers %v, want To to hold the address and nothing added", h)
	}
}

func TestAddressesBeyondASCII(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		email     string
		offered   bool
		to        string // envelope; empty: refused
		needsUTF8 bool
	}{
		"domain in upper case":     {"ann@aẞa.example", false, "ann@xn--aa-gia.example", false},
		"domain":                   {"ann@bücher.example", false, "ann@xn--bcher-kva.example", false},
		"domain, SMTPUTF8 offered": {"ann@bücher.example", true, "ann@xn--bcher-kva.example", false},
		"local part":               {"jürgen@bücher.example", true, "jürgen@xn--bcher-kva.example", true},
		"local part, not offered":  {"jürgen@bücher.example", false, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, config{utf8: tt.offered})
			n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
			to := note()
			to.User.Email = tt.email
			err := n.Notify(t.Context(), to)
			got := s.all()
			var e *smtpnotify.Error
			if tt.to == "" {
				if !errors.As(err, &e) || !e.Permanent || len(got) != 0 {
					t.Fatalf("got %v and %d messages, want a permanent *Error and none", err, len(got))
				}
				return
			}
			if err != nil || len(got) != 1 || got[0].to != tt.to || got[0].utf8 != tt.needsUTF8 {
				t.Fatalf("got %v and %+v, want it sent to %q, SMTPUTF8 %v", err, got, tt.to, tt.needsUTF8)
			}
			list, err := header(t, got[0].data).AddressList("To")
			if err != nil || list[0].Name != "" || list[0].Address != tt.to {
				t.Errorf("To: got %v, %v, want %s alone", list, err, tt.to)
			}
		})
	}
}
