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
package smtpnotify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gousers/users"
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
	// account_created.html, set_password.txt and set_password.html; nil: the
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
	// Hello is the name that EHLO sends; empty: os.Hostname.
	Hello string
	// Timeout bounds one Notify, in addition to its context; 0: 30 s.
	Timeout time.Duration
	// Idle is how long an unused connection may be used again; 0: 30 s. The next
	// Notify, or Close, closes an older one.
	Idle time.Duration
}

// Notifier is a [users.Notifier] over SMTP. It is safe for concurrent use. It
// keeps one connection, which a burst of messages uses one after the other.
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
	if n.o.Hello == "" {
		n.o.Hello = hostname()
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
		if port == "" {
			port = "587" // RFC 6409 section 3.1
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
	if strings.Trim(u.Path, "/") != "" {
		return errors.New("it has a path")
	}
	n.address = net.JoinHostPort(n.host, port)
	if u.User != nil {
		secret, _ := u.User.Password()
		n.login = &login{u.User.Username(), password.New(secret)}
	}

	for name, values := range u.Query() {
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

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// Notify sends the message of note. An error is a [*Error]; it wraps the
// context's error if that ended the delivery. If the connection broke while the
// server was answering, the message may have been sent all the same.
func (n *Notifier) Notify(ctx context.Context, note users.Notification) error {
	m, err := n.composer.compose(note)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, n.o.Timeout)
	defer cancel()
	var s *session
	select {
	case s = <-n.slot:
	case <-ctx.Done():
		return &Error{Step: "wait for the connection", cause: ctx.Err()}
	}

	var next *session // none if a callback of the TLS configuration panics
	defer func() { n.slot <- next }()
	next, err = n.send(ctx, s, m)
	return err
}

// Close closes the connection, after the message that is being sent. It always
// returns nil. The Notifier can be used again: it then opens a new connection.
func (n *Notifier) Close() error {
	s := <-n.slot
	if s != nil {
		s.quit()
	}
	n.slot <- nil
	return nil
}

// send sends m over s, or over a new connection if s is nil or no longer
// good. It returns the connection that can be used for the next message, if any.
func (n *Notifier) send(ctx context.Context, s *session, m *message) (*session, error) {
	if s != nil && time.Since(s.used) > n.o.Idle {
		s.quit()
		s = nil
	}
	if s != nil {
		err := s.send(ctx, m)
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
	err = s.send(ctx, m)
	return s.kept(err), err
}
