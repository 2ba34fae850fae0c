package smtpnotify_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/gousers/users"
	"github.com/gousers/users/smtpnotify"
)

const (
	token  = "q83vEjRWeJC6mHZUMhD-3rq9_AARIjNEVWZ3iJmqu8w"
	link   = "https://example.com/set-password#" + token
	sender = "Größe & Co <no-reply@example.com>"
	id     = "01JABCDEFGHJKMNPQRSTVWXYZ0"
)

// note is a set_password notification to Ann.
func note() users.Notification {
	return users.Notification{
		ID: id, Kind: users.KindSetPassword, Application: users.Application{APIKey: "acme", Name: "Acme"},
		User:  users.User{ID: id, UserName: "ann", Email: "ann@example.org", Name: "Ann", IsApproved: true},
		Token: token, URL: link, Expires: time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC),
	}
}

// server is a real SMTP server that keeps what it is sent.
type server struct {
	*smtp.Server
	addr  string
	trust *tls.Config // for clients

	mail func() error // what MAIL and RCPT answer, and what happens before
	rcpt func() error
	data func() error

	mu    sync.Mutex
	conns int
	got   []received
}

type received struct {
	from, to string
	utf8     bool
	tls      bool
	user     string
	data     string
}

type config struct {
	noTLS, implicit, utf8 bool
	password              string // not empty: who doesn't authenticate as "relay" is refused
	mail, rcpt, data      func() error
}

func serve(t *testing.T, c config) *server {
	t.Helper()
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, which is for 127.0.0.1
	t.Cleanup(web.Close)
	s := &server{mail: c.mail, rcpt: c.rcpt, data: c.data}
	s.trust = &tls.Config{RootCAs: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	s.Server = smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
		se := &session{server: s, conn: conn, password: c.password}
		if c.password == "" {
			return struct{ smtp.Session }{se}, nil
		}
		return se, nil
	}))
	s.Domain, s.EnableSMTPUTF8, s.AllowInsecureAuth = "mail.test", c.utf8, true
	s.ErrorLog = nopLogger{}
	cert := &tls.Config{Certificates: web.TLS.Certificates}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ln = &counting{ln, s}
	switch {
	case c.implicit:
		ln = tls.NewListener(ln, cert)
	case !c.noTLS:
		s.TLSConfig = cert
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close(); _ = ln.Close(); <-done }) // Serve may not have begun
	return s
}

// counting counts the connections of a server.
type counting struct {
	net.Listener
	*server
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns++
	}
	return c, err
}

func (l *counting) Addr() net.Addr { return l.Listener.Addr() }
func (l *counting) Close() error   { return l.Listener.Close() }

type nopLogger struct{}

func (nopLogger) Printf(string, ...any) {}
func (nopLogger) Println(...any)        {}

func (s *server) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.got...)
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

type session struct {
	*server
	conn     *smtp.Conn
	password string
	now      received
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pw string) error {
		if user != "relay" || pw != s.password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no such password: " + pw}
		}
		s.now.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if s.password != "" && s.now.user == "" {
		return smtp.ErrAuthRequired
	}
	_, secured := s.conn.TLSConnectionState()
	s.now = received{from: from, utf8: o.UTF8, tls: secured, user: s.now.user}
	return call(s.mail)
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.now.to = to
	return call(s.rcpt)
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := call(s.data); err != nil {
		return err
	}
	s.now.data = string(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, s.now)
	return nil
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
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

// parsed is a message as a receiver reads it.
type parsed struct {
	mail.Header
	text, html string
}

func parse(t *testing.T, data string) parsed {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type: got %q, %v, want multipart/alternative", m.Header.Get("Content-Type"), err)
	}
	p := parsed{Header: m.Header}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Transfer-Encoding"); got != "quoted-printable" {
			t.Fatalf("encoding of a part: got %q, want quoted-printable", got)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		switch kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind {
		case "text/plain":
			p.text = strings.ReplaceAll(string(b), "\r\n", "\n")
		case "text/html":
			p.html = string(b)
		default:
			t.Fatalf("a part of type %q", kind)
		}
	}
}

func TestMessageIsWhatAReceiverExpects(t *testing.T) {
	t.Parallel()
	s := serve(t, config{})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	for range 2 {
		if err := n.Notify(t.Context(), note()); err != nil {
			t.Fatal(err)
		}
	}
	got := s.all()
	if len(got) != 2 {
		t.Fatalf("got %d messages, want 2", len(got))
	}
	if got[0].from != "no-reply@example.com" || got[0].to != "ann@example.org" || !got[0].tls || got[0].utf8 {
		t.Errorf("envelope: got %+v, want from no-reply@example.com to ann@example.org over TLS without SMTPUTF8", got[0])
	}
	m := parse(t, got[0].data)
	for name, want := range map[string]string{
		"Message-ID": "<" + id + "@example.com>", "Auto-Submitted": "auto-generated", "Mime-Version": "1.0",
		"To": `"Ann" <ann@example.org>`, "Subject": "Set your password at Acme", "User-Agent": "", "X-Mailer": "",
	} {
		if got := m.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if from, err := m.AddressList("From"); err != nil || len(from) != 1 || from[0].Name != "Größe & Co" {
		t.Errorf("From: got %v, %v, want the name Größe & Co", from, err)
	}
	if date, err := m.Date(); err != nil || time.Since(date).Abs() > time.Hour {
		t.Errorf("Date: got %v, %v, want now", date, err)
	}
	for part, body := range map[string]string{"text": m.text, "html": m.html} {
		if !strings.Contains(body, link) || !strings.Contains(body, "ann") || !strings.Contains(body, "4 March 2026 05:06 UTC") {
			t.Errorf("%s part: got %q, want the link, the user name and the expiry in it", part, body)
		}
	}
	if a, b := m.Get("Message-ID"), parse(t, got[1].data).Get("Message-ID"); a != b {
		t.Errorf("Message-ID of a repeat: got %q, want %q", b, a)
	}
	for _, line := range strings.Split(got[0].data, "\r\n") {
		if len(line) > 100 || strings.ContainsAny(line, "\r\n") || strings.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
			t.Errorf("line %q: want short lines of ASCII", line)
		}
	}
}

func TestAccountCreatedHasNoLinkAndNoFreeText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, err := smtpnotify.Dir(dir, sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	hello := note()
	hello.Kind, hello.Token, hello.URL, hello.User.IsApproved = users.KindAccountCreated, "", "", false
	hello.User.Name = "You have won, see http://evil.example"
	if err := n.Notify(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	m := parse(t, readFile(t, dir, id+".eml"))
	if got, want := m.Get("Subject"), "Your account at Acme"; got != want {
		t.Errorf("subject: got %q, want %q", got, want)
	}
	if strings.Contains(m.text+m.html, "evil") || !strings.Contains(m.text, "User name: ann\n") || !strings.Contains(m.text, "approved") {
		t.Errorf("text: got %q, want the user name, that approval is needed, and no display name", m.text)
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
		"sender":               {config{mail: func() error { return &smtp.SMTPError{Code: 451, Message: "later"} }}, smtpnotify.Error{Step: "sender", Code: 451}, "later"},
		"recipient":            {config{rcpt: func() error { return &smtp.SMTPError{Code: 550, Message: "nobody here"} }}, smtpnotify.Error{Step: "recipient", Code: 550, Permanent: true}, "nobody here"},
		"content":              {config{data: quote(554)}, smtpnotify.Error{Step: "data", Code: 554, Permanent: true}, "5.7.1"},
		"content, not for now": {config{data: quote(450)}, smtpnotify.Error{Step: "data", Code: 450}, "4.7.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.c)
			n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
			err := n.Notify(t.Context(), note())
			var e *smtpnotify.Error
			if !errors.As(err, &e) || e.Step != tt.want.Step || e.Code != tt.want.Code || e.Permanent != tt.want.Permanent || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("got %v (%+v), want %+v with %q", err, e, tt.want, tt.text)
			}
			if strings.Contains(err.Error(), token[:8]) {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestSlowServerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"greeting", "mail", "data"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			hang := func() error { cancel(); <-release; return nil }
			var c config
			switch step {
			case "mail":
				c.mail = hang
			case "data":
				c.data = hang
			}
			s := serve(t, c)
			addr := s.addr
			if step == "greeting" {
				addr = silent(t, cancel)
			}
			n := newNotifier(t, "smtp://"+addr, smtpnotify.Options{TLS: s.trust})
			err := n.Notify(ctx, note())
			close(release)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
}

func TestTimeoutBoundsOneNotify(t *testing.T) {
	t.Parallel()
	n := newNotifier(t, "smtp://"+silent(t, func() {}), smtpnotify.Options{Timeout: time.Millisecond})
	if err := n.Notify(t.Context(), note()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

// silent accepts connections, calls accepted and says nothing.
func silent(t *testing.T, accepted func()) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			accepted()
		}
	}()
	return ln.Addr().String()
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
	if err := n.Notify(t.Context(), note()); !errors.As(err, &e) || e.Step != "data" || e.Permanent {
		t.Errorf("got %v, want a *Error of the step data that is not permanent", err)
	}
	if err := n.Notify(t.Context(), note()); err != nil {
		t.Error(err)
	}
}

func TestHostileNamesAndAddressesInjectNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, config{utf8: true})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust})
	for name, tt := range map[string]struct {
		user    users.User
		refused bool
	}{
		"line break in the name":    {users.User{Name: "Ann\r\nBcc: eve@example.net", Email: "ann@example.org"}, true},
		"NUL in the name":           {users.User{Name: "A\x00nn", Email: "ann@example.org"}, true},
		"invalid UTF-8 in the name": {users.User{Name: "A\xffnn", Email: "ann@example.org"}, true},
		"quotes in the name":        {users.User{Name: `Ann" <eve@example.net>, "`, Email: "ann@example.org"}, false},
		"encoded word in the name":  {users.User{Name: "=?utf-8?q?=0D=0ABcc:_eve=40example.net?=", Email: "ann@example.org"}, false},
		"comma in the name":         {users.User{Name: "Ann, eve@example.net", Email: "ann@example.org"}, false},
		"long name":                 {users.User{Name: strings.Repeat("ab  \"ü\\", 36), Email: "ann@example.org"}, false},
		"long word":                 {users.User{Name: strings.Repeat("a", 256), Email: "ann@example.org"}, false},
		"command in the address":    {users.User{Email: "ann@example.org>\r\nRCPT TO:<eve@example.net"}, true},
		"second address":            {users.User{Email: "ann@example.org,eve@example.net"}, true},
		"parameter":                 {users.User{Email: "ann@example.org> NOTIFY=NEVER"}, true},
		"route":                     {users.User{Email: "@eve.example:ann@example.org"}, true},
		"quoted local part":         {users.User{Email: `"ann eve"@example.org`}, true},
		"no domain":                 {users.User{Email: "ann@"}, true},
		"no address":                {users.User{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(s.all())
			hostile := note()
			hostile.User.Name, hostile.User.Email = tt.user.Name, tt.user.Email
			err := n.Notify(t.Context(), hostile)
			got := s.all()[before:]
			var e *smtpnotify.Error
			if tt.refused {
				if !errors.As(err, &e) || !e.Permanent || len(got) != 0 {
					t.Fatalf("got %v and %d messages, want a permanent *Error and none", err, len(got))
				}
				return
			}
			if err != nil || len(got) != 1 || got[0].to != "ann@example.org" {
				t.Fatalf("got %v and %+v, want one message to ann@example.org", err, got)
			}
			m := parse(t, got[0].data)
			to, err := m.AddressList("To")
			if err != nil || len(to) != 1 || to[0].Address != "ann@example.org" || m.Get("Bcc") != "" || len(m.Header) != 9-1 {
				t.Fatalf("got To %q (%v) and headers %v, want one address and nothing added", m.Get("To"), err, m.Header)
			}
			if got, want := strings.Join(strings.Fields(to[0].Name), " "), strings.Join(strings.Fields(tt.user.Name), " "); got != want {
				t.Errorf("name: got %q, want %q", got, want)
			}
		})
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
			to.User.Email, to.User.Name = tt.email, "Jürgen Größe"
			err, got := n.Notify(t.Context(), to), s.all()
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
			list, err := parse(t, got[0].data).AddressList("To")
			if err != nil || list[0].Name != "Jürgen Größe" || list[0].Address != tt.to {
				t.Errorf("To: got %v, %v, want Jürgen Größe and %s", list, err, tt.to)
			}
		})
	}
}

func TestTemplatesAreOverriddenFileByFile(t *testing.T) {
	t.Parallel()
	s := serve(t, config{})
	n := newNotifier(t, "smtp://"+s.addr, smtpnotify.Options{TLS: s.trust, Domain: "ids.example", Templates: fstest.MapFS{
		"set_password.txt": {Data: []byte(`{{define "subject"}}Paßwort für {{.User.Name}}{{end}}Hallo {{.User.Name}}: {{.URL}}`)},
	}})
	to := note()
	to.User.Name = "<b>Ann</b>"
	if err := n.Notify(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	m := parse(t, s.all()[0].data)
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Get("Subject"))
	if want := "Paßwort für <b>Ann</b>"; err != nil || subject != want {
		t.Errorf("subject: got %q, %v, want %q", subject, err, want)
	}
	if want := "Hallo <b>Ann</b>: " + link; m.text != want {
		t.Errorf("text: got %q, want %q", m.text, want)
	}
	if !strings.Contains(m.html, "Set your password") {
		t.Errorf("html: got %q, want the text that comes with the package", m.html)
	}
	if got, want := m.Get("Message-ID"), "<"+id+"@ids.example>"; got != want {
		t.Errorf("Message-ID: got %q, want %q", got, want)
	}
}

func TestHTMLIsEscaped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, err := smtpnotify.Dir(dir, sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	to := note()
	to.Application.Name = "<script>x</script>"
	if err := n.Notify(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if m := parse(t, readFile(t, dir, id+".eml")); strings.Contains(m.html, "<script>") || !strings.Contains(m.html, "&lt;script&gt;") {
		t.Errorf("html: got %q, want the name escaped", m.html)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	bad := func(name, text string) smtpnotify.Options {
		return smtpnotify.Options{Templates: fstest.MapFS{name: {Data: []byte(text)}}}
	}
	for name, tt := range map[string]struct {
		url, from string
		o         smtpnotify.Options
		want      string
	}{
		"not a URL":                {url: "smtp://relay:hunter2hunter2@ho st:%zz", want: "server"},
		"other scheme":             {url: "http://relay:hunter2hunter2@mail.example", want: "scheme"},
		"no host":                  {url: "smtp://", want: "host"},
		"path":                     {url: "smtp://mail.example/x", want: "path"},
		"unknown parameter":        {url: "smtp://mail.example?tls=maybe", want: "tls="},
		"contradiction":            {url: "smtps://mail.example?tls=none", want: "exclude"},
		"password in the clear":    {url: "smtp://relay:hunter2hunter2@mail.example?tls=none", want: "loopback"},
		"no sender":                {url: "smtp://mail.example", from: " ", want: "sender"},
		"sender with a line break": {url: "smtp://mail.example", from: "a@example.com\r\nBcc: b@example.com", want: "sender"},
		"negative timeout":         {url: "smtp://mail.example", o: smtpnotify.Options{Timeout: -1}, want: "Timeout"},
		"domain":                   {url: "smtp://mail.example", o: smtpnotify.Options{Domain: "a>b"}, want: "Domain"},
		"template syntax":          {url: "smtp://mail.example", o: bad("set_password.txt", "{{"), want: "set_password.txt"},
		"template without subject": {url: "smtp://mail.example", o: bad("set_password.txt", "Hi"), want: "subject"},
		"template of no field":     {url: "smtp://mail.example", o: bad("account_created.html", "{{.Nope}}"), want: "template"},
		"subject of two lines":     {url: "smtp://mail.example", o: bad("set_password.txt", "{{define \"subject\"}}a\r\nBcc: b{{end}}"), want: "subject"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.from == "" {
				tt.from = sender
			}
			n, err := smtpnotify.New(tt.url, tt.from, &tt.o)
			if err == nil || n != nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want an error with %q and without the password", err, tt.want)
			}
		})
	}
}
