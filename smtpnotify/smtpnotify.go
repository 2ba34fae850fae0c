// Package smtpnotify sends notifications by mail: over SMTP with [New], or into
// files with [Dir].
//
//	mail, err := smtpnotify.New("smtp://user:password@mail.example.com:587", "Example <no-reply@example.com>", nil)
//	relay, err := outbox.New(service, mail, options)
//
// A message has a plain text and an HTML part. Its Message-ID comes from the
// notification's id, so that a repeat can be recognized. Auto-Submitted (RFC 3834)
// says that no person wrote it; nothing tells which software did.
//
// To: holds the address alone, and the texts that come with the package quote
// nothing that a person chose freely, neither the display name nor the user name:
// whoever may create users could otherwise send words and links of their own to
// any address.
//
// What a server refuses for good, and what can't be written, is final: the relay
// discards the notification at once. A message that got no answer in time is not
// sent again by the same Notifier before the server has had the ten minutes that
// RFC 5321 section 4.5.3.2.6 allows it; if the answer comes, the next attempt takes
// it for its own. Another process, or this one started anew, sends a copy, with the
// same Message-ID.
package smtpnotify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
)

// The defaults of [Options].
const (
	DefaultTimeout = 30 * time.Second
	DefaultIdle    = 30 * time.Second
)

// Options configures a notifier. The zero value is ready for production.
type Options struct {
	// Templates overrides the texts, file by file: account_created.txt,
	// account_created.html, and so on for set_password and password_changed; nil: the
	// texts that come with the package. The .txt files are text/template, the
	// .html files html/template. A .txt file also defines the template "subject".
	//
	// They are executed with the fields of [users.Notification] (.Kind,
	// .Application.Name, .User.UserName, .Expires and so on), of which .URL and
	// .Token are strings here. New and Dir execute them with a sample, and return
	// what fails.
	//
	// Among the fields are texts that whoever created the user chose: .User.Name
	// above all, which is free text, and .User.UserName, which can read as a link
	// ("pay.example"). A template that quotes them lets that person send a message
	// of their own, in the host's name, to any address. The texts that come with
	// the package quote neither. The name of the application is the host's own.
	Templates fs.FS
	// Domain is the right side of Message-ID; empty: the domain of the sender.
	// Keep it the same in all processes.
	Domain string

	// TLS configures STARTTLS and smtps; nil: the defaults of crypto/tls. An
	// empty ServerName is the host of the URL.
	TLS *tls.Config
	// Hello is what EHLO sends: the full domain name of this host or an address
	// literal such as [192.0.2.1] or [IPv6:2001:db8::1] (RFC 5321 section 4.1.3).
	// Empty: os.Hostname, if that is a full name, or else the literal of the
	// connection's own address.
	Hello string
	// Timeout bounds the delivery of one message, in addition to the context of
	// Notify; 0: 30 s. Waiting for the connection is no part of it.
	Timeout time.Duration
	// Idle is how long an unused connection may be used again; 0: 30 s. The next
	// Notify, or Close, closes an older one.
	Idle time.Duration
}

// Notifier is a [users.Notifier] over SMTP. It is safe for concurrent use. It
// keeps one connection, which a burst of messages uses one after the other. Beside
// it there are connections on which a server is late with its answer, at most 8.
type Notifier struct {
	composer *composer
	o        Options
	address  string // host:port
	host     string
	login    *login // nil: no authentication
	implicit bool   // TLS from the first byte (RFC 8314)
	plain    bool   // no TLS at all
	// slot holds the connection, or nil, while nobody uses it.
	slot chan *session
	late lateAnswers
}

// login is the credentials for the server.
type login struct {
	user     string
	password password.Secret
}

// New returns a Notifier for the mail server at server, which sends as from
// ("Name <address>" or an address). o may be nil; it is copied. New opens no
// connection; it executes every template with a sample.
//
// The forms of server are smtp://user:password@host:port, which needs STARTTLS
// from the server (port 587 if none is given), and smtps://, TLS from the first
// byte (port 465). user and password may be left out. smtp://host:port?tls=none
// does without TLS; credentials are then sent to the loopback interface only.
// Neither an error nor the Notifier prints the password.
func New(server, from string, o *Options) (*Notifier, error) {
	n := &Notifier{slot: make(chan *session, 1)}
	n.slot <- nil
	if o != nil {
		n.o = *o
	}
	if err := n.parse(server); err != nil {
		return nil, fmt.Errorf("smtpnotify: New: server: %w", err)
	}

	if n.o.Timeout < 0 || n.o.Idle < 0 {
		return nil, errors.New("smtpnotify: New: option Timeout or Idle is negative")
	}
	if n.o.Timeout == 0 {
		n.o.Timeout = DefaultTimeout
	}
	if n.o.Idle == 0 {
		n.o.Idle = DefaultIdle
	}
	if n.o.Hello != "" {
		var ok bool
		if n.o.Hello, ok = checkHello(n.o.Hello); !ok {
			return nil, errors.New("smtpnotify: New: option Hello is neither a full domain name nor an address literal")
		}
	}
	n.o.TLS = n.o.TLS.Clone()
	if n.o.TLS == nil {
		n.o.TLS = &tls.Config{}
	}
	if n.o.TLS.ServerName == "" {
		n.o.TLS.ServerName = n.host
	}

	var err error
	if n.composer, err = newComposer(from, &n.o); err != nil {
		return nil, fmt.Errorf("smtpnotify: New: %w", err)
	}
	return n, nil
}

// parse reads the URL. url.Parse's own errors quote the password.
func (n *Notifier) parse(server string) error {
	u, err := url.Parse(server)
	if err != nil {
		return errors.New("it is not a URL")
	}
	port := u.Port()
	switch u.Scheme {
	case "smtp":
		switch port {
		case "":
			port = "587" // RFC 6409 section 3.1
		case "465":
			return errors.New("port 465 is for TLS from the first byte: smtps://, or smtp:// and port 587")
		}
	case "smtps":
		n.implicit = true
		if port == "" {
			port = "465" // RFC 8314 section 7.3
		}
	default:
		return errors.New("its scheme is neither smtp nor smtps")
	}
	if n.host = u.Hostname(); n.host == "" {
		return errors.New("it names no host")
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return errors.New("its port is not between 1 and 65535")
	}
	if strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return errors.New("it has a path or a fragment")
	}
	n.address = net.JoinHostPort(n.host, port)
	if u.User != nil {
		secret, _ := u.User.Password()
		n.login = &login{u.User.Username(), password.New(secret)}
	}

	parameters, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("of parameters it may have tls=none or tls=required")
	}
	for name, values := range parameters {
		if name != "tls" || len(values) != 1 || values[0] != "none" && values[0] != "required" {
			return errors.New("of parameters it may have tls=none or tls=required")
		}
		n.plain = values[0] == "none"
	}
	if n.plain && n.implicit {
		return errors.New("smtps and tls=none exclude each other")
	}
	if n.plain && n.login != nil && !loopback(n.host) {
		return errors.New("credentials and tls=none exclude each other, except on the loopback interface")
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Notify sends the message of note. An error is a [*Error], found by errors.As; it
// wraps the context's error if that ended the delivery. If it is Unknown, the
// message may have been sent all the same.
//
// A message is not begun with less than half of its time left, be that the context's
// or Timeout: it might not end. The relay then takes the attempt back
// ([outbox.Release]). Nor is it begun while 8 others wait for a late answer, which is
// a failed attempt: such a server can't be used.
func (n *Notifier) Notify(ctx context.Context, note users.Notification) error {
	m, err := n.composer.compose(note)
	if err != nil {
		return final(err)
	}
	if err, ok := n.late.take(m.key); ok {
		return final(err)
	}

	need := n.o.Timeout / 2
	if deadline, ok := ctx.Deadline(); ok {
		need = min(need, time.Until(deadline)/2)
	}
	s, err := n.acquire(ctx, need)
	if err != nil {
		return err
	}

	next := s
	defer func() { n.slot <- next }()
	if err, ok := n.late.take(m.key); ok { // to a call that had the connection meanwhile
		return final(err)
	}
	next = nil // stands if a callback of the TLS configuration panics
	ctx, cancel := context.WithTimeout(ctx, n.o.Timeout)
	defer cancel()
	next, err = n.send(ctx, s, m, need)
	return final(err)
}

// acquire waits for the connection until so much of ctx is left as is needed. The
// session is nil if none is open.
func (n *Notifier) acquire(ctx context.Context, need time.Duration) (*session, error) {
	waiting := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		waiting, cancel = context.WithDeadline(ctx, deadline.Add(-need))
		defer cancel()
	}
	select {
	case <-waiting.Done():
		return nil, notBegun(ctx.Err(), "it was busy")
	case s := <-n.slot:
		if n.late.full() {
			n.slot <- s
			return nil, &Error{Step: stepWait, detail: "the server has not answered to the last messages"}
		}
		return s, nil
	}
}

func notBegun(cause error, detail string) error {
	return outbox.Release(&Error{Step: stepWait, detail: detail, cause: cause})
}

// Close closes the connection, after the message that is being sent, and those on
// which an answer is late. It always returns nil. The Notifier can be used again:
// it then opens a new connection.
func (n *Notifier) Close() error {
	s := <-n.slot
	if s != nil {
		s.quit()
	}
	n.late.close()
	n.slot <- nil
	return nil
}

// send sends m over s, or over a new connection if s is nil or no longer
// good. It returns the connection that can be used for the next message, if any.
func (n *Notifier) send(ctx context.Context, s *session, m *message, need time.Duration) (*session, error) {
	if s != nil && time.Since(s.used) > n.o.Idle {
		s.quit()
		s = nil
	}
	if s != nil {
		err := n.transfer(ctx, s, m)
		if !lost(ctx, err) {
			return s.kept(err), err
		}
		// The server had closed it meanwhile: nothing was sent.
		s.conn.Close()
	}

	s, err := n.dial(ctx)
	if err != nil {
		return nil, err
	}
	if deadline, _ := ctx.Deadline(); time.Until(deadline) < need {
		return s, notBegun(nil, "opening it took too long")
	}
	err = n.transfer(ctx, s, m)
	return s.kept(err), err
}

// transfer sends m over s.
func (n *Notifier) transfer(ctx context.Context, s *session, m *message) error {
	w, err := s.submit(ctx, m)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // s may be closed, and the server has not seen the end of m
		return stepError(ctx, stepData, ctx.Err(), true)
	}
	return n.late.finish(ctx, s, w, m.key)
}
