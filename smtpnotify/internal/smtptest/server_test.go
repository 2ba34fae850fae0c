// Package smtptest tests smtpnotify against a real SMTP server. It is a module of
// its own so that hosts need not require that server.
package smtptest

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

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
	return slices.Clone(s.got)
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
