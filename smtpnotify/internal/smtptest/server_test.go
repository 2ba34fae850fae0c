// Package smtptest tests smtpnotify against a real SMTP server. It is a module of
// its own so that hosts need not require that server.
package smtptest

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
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

	hangups chan struct{} // an element for each connection that the client closed

	mu    sync.Mutex
	conns int
	begun int      // MAIL commands
	tried []string // mechanisms of authentication
	got   []received
}

type received struct {
	hello    string
	from, to string
	utf8     bool
	tls      bool
	user     string
	data     string
}

type config struct {
	noTLS, implicit, utf8 bool
	lower                 bool     // announces its extensions in lower case, before TLS
	listen                string   // address; empty: 127.0.0.1, any port
	old                   bool     // knows no EHLO
	password              string   // not empty: who doesn't authenticate as "relay" is refused
	mechanisms            []string // that are offered; nil: PLAIN
	refused               []string // those of them that are refused all the same
	mail, rcpt, data      func() error
	auth                  func()   // runs before authentication
	scram                 impostor // what SCRAM-SHA-256 is answered by
}

func serve(t *testing.T, c config) *server {
	t.Helper()
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, which is for 127.0.0.1
	t.Cleanup(web.Close)
	s := &server{mail: c.mail, rcpt: c.rcpt, data: c.data, hangups: make(chan struct{}, 100)}
	s.trust = &tls.Config{RootCAs: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	s.Server = smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
		se := &session{server: s, conn: conn, config: c}
		if c.password == "" {
			return struct{ smtp.Session }{se}, nil
		}
		return se, nil
	}))
	s.Domain, s.EnableSMTPUTF8, s.AllowInsecureAuth = "mail.test", c.utf8, true
	s.ErrorLog = nopLogger{}
	cert := &tls.Config{Certificates: web.TLS.Certificates}
	ln, err := net.Listen("tcp", cmp.Or(c.listen, "127.0.0.1:0"))
	if err != nil && c.listen != "" {
		t.Skip(err) // some systems have but one address of loopback
	}
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ln = &counting{ln, s, c}
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
	config config
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns++
	return &watched{c, l, sync.Once{}}, nil
}

// watched is a connection that tells when the client hung up.
type watched struct {
	net.Conn
	l    *counting
	once sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		w.once.Do(func() { w.l.hangups <- struct{}{} })
	}
	if w.l.config.old && bytes.HasPrefix(p[:n], []byte("EHLO")) {
		copy(p, "XXXX")
	}
	return n, err
}

func (w *watched) Write(p []byte) (int, error) {
	if w.l.config.lower && bytes.HasPrefix(p, []byte("250-")) {
		p = bytes.ToLower(p)
	}
	return w.Conn.Write(p)
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

// copies returns how often each message came, by its Message-ID.
func (s *server) copies(t *testing.T) map[string]int {
	t.Helper()
	count := make(map[string]int)
	for _, m := range s.all() {
		count[header(t, m.data).Get("Message-ID")]++
	}
	return count
}

// begins returns how many messages a client began to send.
func (s *server) begins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

type session struct {
	*server
	conn   *smtp.Conn
	config config
	now    received
}

func (s *session) AuthMechanisms() []string {
	if s.config.mechanisms != nil {
		return s.config.mechanisms
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(name string) (sasl.Server, error) {
	s.mu.Lock()
	s.tried = append(s.tried, name)
	s.mu.Unlock()
	if slices.Contains(s.config.refused, name) {
		return nil, &smtp.SMTPError{Code: 504, EnhancedCode: smtp.EnhancedCode{5, 7, 4}, Message: "not this one"}
	}
	if s.config.auth != nil {
		s.config.auth()
	}
	check := func(user, pw string) error {
		if user != "relay" || pw != s.config.password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no such password: " + pw}
		}
		s.now.user = user
		return nil
	}
	switch name {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, pw string) error { return check(user, pw) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	}
	i := s.config.scram
	return &i, nil
}

// loginServer is a server of LOGIN.
type loginServer struct {
	check func(user, pw string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

// impostor is a server of SCRAM-SHA-256 that does not know the password.
type impostor struct {
	iterations string // it asks for; empty: 4096
	again      bool   // it asks twice
	accepts    int    // the step at which it is content without a proof; 0: none
	step       int
}

func (i *impostor) Next(response []byte) (challenge []byte, done bool, err error) {
	i.step++
	if i.step == i.accepts {
		return nil, true, nil
	}
	switch {
	case i.step == 1:
		return []byte{}, false, nil
	case i.step == 2, i.again && i.step == 3:
		_, nonce, _ := strings.Cut(string(response), ",r=")
		nonce, _, _ = strings.Cut(nonce, ",")
		return []byte("r=" + nonce + "more,s=c2FsdHNhbHRzYWx0,i=" + cmp.Or(i.iterations, "4096")), false, nil
	}
	return []byte("v=c2lnbmF0dXJl"), false, nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if s.config.password != "" && s.now.user == "" {
		return smtp.ErrAuthRequired
	}
	_, secured := s.conn.TLSConnectionState()
	s.now = received{hello: s.conn.Hostname(), from: from, utf8: o.UTF8, tls: secured, user: s.now.user}
	s.mu.Lock()
	s.begun++
	s.mu.Unlock()
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
