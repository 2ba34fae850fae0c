package smtpnotify

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// The steps of a delivery, as [Error] names them.
const (
	stepCompose = "compose"
	stepWait    = "wait for the connection"
	stepConnect = "connect"
	stepTLS     = "start TLS"
	stepAuth    = "authenticate"
	stepSender  = "sender"
	stepRcpt    = "recipient"
	stepData    = "data"
)

const (
	// quitTimeout bounds QUIT.
	quitTimeout = time.Second
	// answerTimeout is how long a server may take to answer the dot that ends a
	// message (RFC 5321 section 4.5.3.2.6).
	answerTimeout = 10 * time.Minute
	// maxReply bounds a reply, in bytes. RFC 5321 section 4.5.3.1.5 gives a line 512.
	maxReply = 64 << 10
)

var errReplyTooLong = errors.New("the server's reply is too long")

// session is one connection to the server. Not the client of go-mail: that one
// overlooks extensions in lower case and closes the connection when the server
// refuses a mechanism, so that no other can be tried.
type session struct {
	conn       net.Conn // under TLS: closing it ends whatever waits for the server
	text       *textproto.Conn
	reply      *replyReader // under text
	secured    bool
	extensions map[string]string // the parameters, by keyword in upper case
	used       time.Time
	late       bool // it waits for a late answer and is of no other use
}

// replyReader bounds what is read of one reply: textproto does not.
type replyReader struct {
	net.Conn
	left int
}

func (r *replyReader) Read(b []byte) (int, error) {
	if r.left <= 0 {
		return 0, errReplyTooLong
	}
	n, err := r.Conn.Read(b[:min(len(b), r.left)])
	r.left -= n
	return n, err
}

// speak makes conn what commands and replies go through.
func (s *session) speak(conn net.Conn) {
	s.reply = &replyReader{Conn: conn}
	s.text = textproto.NewConn(s.reply)
}

// read returns the next reply, as [textproto.Conn.ReadResponse] does.
func (s *session) read(expect int) (code int, text string, err error) {
	s.reply.left = maxReply
	return s.text.ReadResponse(expect)
}

// during runs f and closes conn when ctx ends, which ends f: reading and writing
// take no context.
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
	s.used = time.Now()
	return s, nil
}

func (n *Notifier) open(ctx context.Context, s *session) error {
	s.speak(s.conn)
	if n.implicit {
		if err := s.secure(ctx, n.o.TLS); err != nil {
			return err
		}
	}
	if _, _, err := s.read(220); err != nil {
		return s.greetingError(ctx, err)
	}
	name := helloName(n.o.Hello, s.conn.LocalAddr())
	if err := s.hello(ctx, name); err != nil {
		return err
	}

	if !n.implicit && !n.plain {
		if err := s.startTLS(ctx, n.o.TLS); err != nil {
			return err
		}
		if err := s.hello(ctx, name); err != nil { // RFC 3207 section 4.2
			return err
		}
	}
	return n.authenticate(ctx, s)
}

// greetingError tells what silence means: a server that waits for TLS says nothing.
func (s *session) greetingError(ctx context.Context, err error) error {
	e := stepError(ctx, stepConnect, err, false)
	if ctx.Err() != nil && !s.secured {
		e.detail = "the server sent no greeting; one that speaks TLS from the first byte needs smtps://"
	}
	return e
}

// secure makes a TLS connection of s. What was read in the clear and not yet
// used is dropped with the old reader: somebody in between may have sent it.
func (s *session) secure(ctx context.Context, config *tls.Config) error {
	secured := tls.Client(s.conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		e := stepError(ctx, stepTLS, err, false)
		if errors.As(err, new(tls.RecordHeaderError)) {
			e.detail = "the server does not speak TLS here; one that offers STARTTLS needs smtp://"
		}
		return e
	}
	s.speak(secured)
	s.secured = true
	return nil
}

func (s *session) startTLS(ctx context.Context, config *tls.Config) error {
	if _, ok := s.extensions["STARTTLS"]; !ok {
		return &Error{Step: stepTLS, detail: "the server does not offer STARTTLS; a server for tests can be used with ?tls=none"}
	}
	if _, _, err := s.command(220, "STARTTLS"); err != nil {
		return stepError(ctx, stepTLS, err, false)
	}
	return s.secure(ctx, config)
}

// hello says EHLO, or HELO to a server that does not know it.
func (s *session) hello(ctx context.Context, name string) error {
	s.extensions = make(map[string]string)
	_, text, err := s.command(250, "EHLO %s", name)
	if code := replyCode(err); code >= 500 {
		_, _, err = s.command(250, "HELO %s", name)
		text = ""
	}
	if err != nil {
		return stepError(ctx, stepConnect, err, false)
	}

	_, lines, _ := strings.Cut(text, "\n")
	for line := range strings.SplitSeq(lines, "\n") {
		keyword, parameters, _ := strings.Cut(line, " ")
		s.extensions[strings.ToUpper(keyword)] = parameters // RFC 5321 section 4.1.1.1: in any case
	}
	return nil
}

// command sends a line and returns the reply. A code that does not begin with
// the digits of expect is a *textproto.Error; 0 expects any.
func (s *session) command(expect int, format string, args ...any) (code int, text string, err error) {
	id, err := s.text.Cmd(format, args...)
	if err != nil {
		return 0, "", err
	}
	s.text.StartResponse(id)
	defer s.text.EndResponse(id)
	return s.read(expect)
}

// submit sends a message up to the dot that ends it, which the returned writer
// sends when it is closed. Without that dot the server delivers nothing.
func (s *session) submit(ctx context.Context, m *message) (w io.WriteCloser, err error) {
	parameters := ""
	if m.utf8 { // without need it would make the message undeliverable at servers further on
		if _, ok := s.extensions["SMTPUTF8"]; !ok {
			return nil, &Error{Step: stepRcpt, Permanent: true, detail: "the address is not ASCII and the server does not offer SMTPUTF8"}
		}
		parameters = " BODY=8BITMIME SMTPUTF8" // RFC 6531 section 3.6
	}
	return w, during(ctx, s.conn, func() error {
		if _, _, err := s.command(250, "MAIL FROM:%s%s", m.from, parameters); err != nil {
			return stepError(ctx, stepSender, err, false)
		}
		if _, _, err := s.command(25, "RCPT TO:%s", m.to); err != nil {
			return stepError(ctx, stepRcpt, err, false)
		}
		if _, _, err := s.command(354, "DATA"); err != nil {
			return stepError(ctx, stepData, err, true)
		}
		w = s.text.DotWriter()
		if _, err := w.Write(m.data); err != nil {
			return stepError(ctx, stepData, err, true)
		}
		return nil
	})
}

// finish ends the message of w and waits for the answer. From here on the server
// may deliver the message, whatever becomes of the connection.
func (s *session) finish(w io.WriteCloser) error {
	_ = s.conn.SetDeadline(time.Now().Add(answerTimeout))
	err := w.Close()
	if err == nil {
		_, _, err = s.read(250)
	}
	if err == nil {
		_ = s.conn.SetDeadline(time.Time{}) // if it fails, the next command does
		return nil
	}

	e := stepError(context.Background(), stepData, err, true)
	if e.Code == 0 {
		e.Unknown = true
		e.detail = "the connection broke before the server answered: it may have taken the message"
	}
	return e
}

// kept returns s if it can be used for another message, and closes it otherwise.
func (s *session) kept(err error) *session {
	if s.late {
		return nil
	}
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
		_, _, _ = s.command(221, "QUIT")
	}
}
