package smtpnotify

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	netmail "net/mail"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wneessen/go-mail"
	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

//go:embed templates
var embedded embed.FS

// message is a mail ready to be sent.
type message struct {
	from, to string // paths of RFC 5321, in angle brackets
	utf8     bool   // needs SMTPUTF8 (RFC 6531)
	data     []byte
	key      messageKey
}

// data is what templates are executed with: see Options.Templates, also for the
// fields that a template sent to strangers must not quote. It never leaves this
// file, because it shows the secrets.
type data struct {
	users.Notification
	Token, URL string // in the place of the closed ones
}

// composer turns notifications into messages.
type composer struct {
	from   *netmail.Address
	domain string
	texts  map[string]texts // by kind
}

type texts struct {
	text *template.Template
	html *htmltemplate.Template
}

func newComposer(from string, o *Options) (*composer, error) {
	c := &composer{domain: o.Domain, texts: make(map[string]texts)}
	addr, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, errors.New("the sender is not a mail address")
	}
	if c.from, err = address(addr.Name, addr.Address); err != nil {
		return nil, fmt.Errorf("the sender: %w", err)
	}
	if c.domain == "" {
		_, c.domain, _ = cutLast(c.from.Address)
	}
	if c.domain, err = domainToASCII(c.domain); err != nil {
		return nil, errors.New("option Domain is not a domain name")
	}
	for _, kind := range []string{users.KindAccountCreated, users.KindSetPassword, users.KindPasswordChanged} {
		if c.texts[kind], err = parseTexts(kind, o.Templates); err != nil {
			return nil, err
		}
		if _, err := c.texts[kind].execute(sample(kind)); err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		if _, err := c.compose(sample(kind)); err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
	}
	return c, nil
}

// sample returns a notification without secrets: errors about it may quote it.
func sample(kind string) users.Notification {
	const id = "01JZZZZZZZZZZZZZZZZZZZZZZZ"
	return users.Notification{
		ID: id, Kind: kind,
		Application: users.Application{APIKey: "sample", Name: "Sample"},
		User:        users.User{ID: id, UserName: "sample", Email: "sample@example.com", Name: "Sample", Roles: []users.Role{}},
		Token:       password.New("sample"),
		URL:         password.New("https://example.com/#sample"),
		Expires:     time.Unix(0, 0).UTC(),
	}
}

func parseTexts(kind string, override fs.FS) (t texts, err error) {
	text, err := read(override, kind+".txt")
	if err != nil {
		return t, err
	}
	html, err := read(override, kind+".html")
	if err != nil {
		return t, err
	}
	if t.text, err = template.New(kind + ".txt").Option("missingkey=error").Parse(text); err != nil {
		return t, err
	}
	if t.text.Lookup("subject") == nil {
		return t, fmt.Errorf(`template %s.txt does not define "subject"`, kind)
	}
	t.html, err = htmltemplate.New(kind + ".html").Option("missingkey=error").Parse(html)
	return t, err
}

// read returns the host's template of that name or, if it has none, the package's.
func read(override fs.FS, name string) (string, error) {
	if override != nil {
		b, err := fs.ReadFile(override, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return string(b), err
		}
	}
	b, err := fs.ReadFile(embedded, "templates/"+name)
	return string(b), err
}

// parts are the executed templates of a message.
type parts struct{ subject, text, html bytes.Buffer }

// execute executes the templates with n. Its error may quote n.
func (t texts) execute(n users.Notification) (*parts, error) {
	d := data{Notification: n, Token: n.Token.Reveal(), URL: n.URL.Reveal()}
	var p parts
	return &p, cmp.Or(
		t.text.ExecuteTemplate(&p.subject, "subject", d),
		t.text.Execute(&p.text, d),
		t.html.Execute(&p.html, d))
}

// compose returns the message of a notification. Its errors hold no secret.
func (c *composer) compose(n users.Notification) (*message, error) {
	refuse := func(detail string) error { return &Error{Step: stepCompose, Permanent: true, detail: detail} }
	t, ok := c.texts[n.Kind]
	if !ok { // a newer process knows it
		return nil, &Error{Step: stepCompose, detail: "unknown kind of notification"}
	}
	if !validID(n.ID) {
		return nil, refuse("the id of the notification does not fit a Message-ID")
	}
	to, err := address("", n.User.Email) // with a name it would be a message of whoever chose that
	if err != nil {
		return nil, refuse("the recipient: " + err.Error())
	}

	p, err := t.execute(n)
	if err != nil {
		return nil, refuse("a template failed")
	}
	if bytes.Contains(p.html.Bytes(), []byte("#ZgotmplZ")) { // what html/template puts in the place of an unsafe link
		return nil, refuse("the link must be an http or https URL")
	}
	subject := strings.TrimSpace(p.subject.String())
	if !printable(subject) {
		return nil, refuse("the subject holds a control character")
	}

	msg := mail.NewMsg(mail.WithNoDefaultUserAgent(), mail.WithEncoding(mail.EncodingQP))
	msg.FromMailAddress(c.from)
	msg.AddToMailAddress(to)
	msg.Subject(guard(subject))
	msg.SetDate()
	msg.SetMessageIDWithValue(n.ID + "@" + c.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, p.text.String())
	msg.AddAlternativeString(mail.TypeTextHTML, p.html.String())

	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, refuse("the message can't be written")
	}
	return &message{
		from: "<" + c.from.Address + ">",
		to:   "<" + to.Address + ">",
		key:  messageKey{n.ID, to.Address},
		utf8: !ascii(c.from.Address) || !ascii(to.Address),
		data: b.Bytes(),
	}, nil
}

// validID reports whether id can be part of a header and of a file's name, as the
// ids of a Service can.
func validID(id string) bool {
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

// address returns what goes into a header and into the envelope. The domain
// becomes ASCII (RFC 5891), so that only a local part beyond ASCII needs SMTPUTF8.
// A local part that would have to be quoted is refused, as the Service does.
func address(name, addr string) (*netmail.Address, error) {
	if !printable(name) {
		return nil, errors.New("the name holds a control character")
	}
	local, domain, ok := cutLast(addr)
	if !ok || local == "" || !utf8.ValidString(addr) || strings.ContainsFunc(local, unfit) ||
		strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return nil, errors.New("not a mail address")
	}
	domain, err := domainToASCII(domain)
	if err != nil {
		return nil, errors.New("not a mail address: its domain")
	}
	return &netmail.Address{Name: name, Address: local + "@" + domain}, nil
}

// domainToASCII returns the ASCII form of a domain name (IDNA2008), as the Service
// takes it: lower-cased and composed, and then held to the rules of registration.
// The mapping of idna.Lookup (UTS #46) refuses letters whose lower-case form is
// fine, and makes another domain of others: "ss" of U+1E9E.
func domainToASCII(name string) (string, error) {
	for range 4 { // as often as the Service maps, at most
		mapped := norm.NFC.String(cases.Lower(language.Und, cases.HandleFinalSigma(false)).String(name))
		if mapped == name {
			break
		}
		name = mapped
	}
	if strings.HasSuffix(name, ".") { // the root has no place in mail
		return "", errors.New("a domain name that ends with a dot")
	}
	return idna.Registration.ToASCII(name)
}

func cutLast(addr string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return addr, "", false
	}
	return addr[:at], addr[at+1:], true
}

// unfit reports whether r can't be part of a dot-atom (RFC 5322 section 3.2.3, RFC 6532 section 3.2).
func unfit(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`()<>[]:;@\,"`, r)
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// guard returns a header text that readers show as it stands. ASCII is usually sent
// as it is; what reads as an encoded-word in it (RFC 2047) would be decoded, even to
// line breaks.
func guard(s string) string {
	if !strings.Contains(s, "=?") || !ascii(s) {
		return s // beyond ASCII it is encoded as a whole
	}
	var words []string
	for part := range slices.Chunk([]byte(s), 45) { // 75 characters a word at most
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString(part)+"?=")
	}
	return strings.Join(words, " ")
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}
