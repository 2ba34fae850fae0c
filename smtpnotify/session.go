package smtpnotify

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// The steps of a delivery, as [Error] names them.
const (
	stepConnect = "connect"
	stepTLS     = "start TLS"
	stepAuth    = "authenticate"
	stepSender  = "sender"
	stepRcpt    = "recipient"
	stepData    = "data"
)

// quitTimeout bounds QUIT.
const quitTimeout = time.Second

// session is one connection to the server.
type session struct {
	conn   net.Conn // under TLS: closing it ends whatever waits for the server
	client *smtp.Client
	used   time.Time
}

// during runs f and closes conn when ctx ends, which ends f: the client's own
// calls take no context.
func during(ctx context.Context, conn net.Conn, f func() error) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	return f()
}

// dial opens a connection over which mail can be sent.
func (n *Notifier) dial(ctx context.Context) (*session, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", n.address)
	if err != nil {
		return nil, stepError(ctx, stepConnect, err, false)
	}
	s := &session{conn: conn}
	if err := during(ctx, conn, func() error { return n.open(ctx, s) }); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (n *Notifier) open(ctx context.Context, s *session) (err error) {
	wire := s.conn
	if n.implicit {
		secured := tls.Client(s.conn, n.o.TLS)
		if err := secured.HandshakeContext(ctx); err != nil {
			return stepError(ctx, stepTLS, err, false)
		}
		wire = secured
	}
	if s.client, err = smtp.NewClient(wire, n.host); err == nil {
		err = s.client.Hello(n.o.Hello)
	}
	if err != nil {
		return stepError(ctx, stepConnect, err, false)
	}

	if !n.implicit && !n.plain {
		if ok, _ := s.client.Extension("STARTTLS"); !ok {
			return &Error{Step: stepTLS, detail: "the server does not offer STARTTLS; a server for tests can be used with ?tls=none"}
		}
		if err := s.client.StartTLS(n.o.TLS); err != nil {
			return stepError(ctx, stepTLS, err, false)
		}
	}

	if n.login == nil {
		return nil
	}
	auth, err := n.mechanism(s.client)
	if err != nil {
		return &Error{Step: stepAuth, detail: err.Error()}
	}
	if err := s.client.Auth(auth); err != nil {
		return stepError(ctx, stepAuth, err, true)
	}
	return nil
}

// mechanism returns how to authenticate. SCRAM is preferred: it does not send the
// password.
func (n *Notifier) mechanism(c *smtp.Client) (smtp.Auth, error) {
	_, offered := c.Extension("AUTH")
	name, secret := n.login.user, n.login.password.Reveal()
	for _, m := range strings.Fields(strings.ToUpper(offered)) {
		if m == "SCRAM-SHA-256" {
			return smtp.ScramSHA256Auth(name, secret), nil
		}
	}
	for _, m := range strings.Fields(strings.ToUpper(offered)) {
		switch m {
		case "PLAIN":
			return smtp.PlainAuth("", name, secret, n.host, n.plain), nil
		case "LOGIN":
			return smtp.LoginAuth(name, secret, n.host, n.plain), nil
		}
	}
	return nil, errors.New("the server offers none of SCRAM-SHA-256, PLAIN and LOGIN")
}

// send sends one message.
func (s *session) send(ctx context.Context, m *message) error {
	if ok, _ := s.client.Extension("SMTPUTF8"); m.utf8 && !ok {
		return &Error{Step: stepRcpt, Permanent: true, detail: "the address is not ASCII and the server does not offer SMTPUTF8"}
	}
	// Asked for without need it would make the message undeliverable at servers further on.
	s.client.SkipSMTPUTF8(!m.utf8)
	return during(ctx, s.conn, func() error {
		if err := s.client.Mail(m.from); err != nil {
			return stepError(ctx, stepSender, err, false)
		}
		return s.transfer(ctx, m)
	})
}

func (s *session) transfer(ctx context.Context, m *message) error {
	if err := s.client.Rcpt(m.to); err != nil {
		return stepError(ctx, stepRcpt, err, false)
	}
	w, err := s.client.Data()
	if err != nil {
		return stepError(ctx, stepData, err, true)
	}
	if _, err := w.Write(m.data); err != nil {
		return stepError(ctx, stepData, err, true)
	}
	if err := w.Close(); err != nil {
		return stepError(ctx, stepData, err, true)
	}
	return nil
}

// kept returns s if it can be used for another message, and closes it otherwise.
func (s *session) kept(err error) *session {
	if err != nil {
		s.conn.Close()
		return nil
	}
	s.used = time.Now()
	return s
}

func (s *session) quit() {
	defer s.conn.Close()
	if s.conn.SetDeadline(time.Now().Add(quitTimeout)) == nil {
		_ = s.client.Quit()
	}
}
