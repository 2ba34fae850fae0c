package smtpnotify_test

import (
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

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

// written returns n as Dir writes it, raw and as a receiver reads it.
func written(t *testing.T, n users.Notification, o smtpnotify.Options) (string, parsed) {
	t.Helper()
	dir := t.TempDir()
	notifier, err := smtpnotify.Dir(dir, sender, &o)
	if err != nil {
		t.Fatal(err)
	}
	if err := notifier.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	raw := readFile(t, dir, n.ID+".eml")
	return raw, parse(t, raw)
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

func TestHeadersAreWhatAReceiverExpects(t *testing.T) {
	t.Parallel()
	raw, m := written(t, note(), smtpnotify.Options{})
	for name, want := range map[string]string{
		"Message-ID":     "<" + id + "@example.com>",
		"Auto-Submitted": "auto-generated",
		"Mime-Version":   "1.0",
		"To":             "<ann@example.org>",
		"Subject":        "Set your Acme password",
		"User-Agent":     "",
		"X-Mailer":       "",
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
	for _, line := range strings.Split(raw, "\r\n") {
		if len(line) > 100 || strings.ContainsAny(line, "\r\n") || strings.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
			t.Errorf("line %q: want short lines of ASCII", line)
		}
	}
}

func TestRepeatHasTheSameMessageID(t *testing.T) {
	t.Parallel()
	_, first := written(t, note(), smtpnotify.Options{})
	again := note()
	again.Token = password.New(strings.ToLower(token))
	_, second := written(t, again, smtpnotify.Options{})
	if a, b := first.Get("Message-ID"), second.Get("Message-ID"); a != b {
		t.Errorf("Message-ID of a repeat: got %q, want %q", b, a)
	}
}

func TestSetPasswordTellsLinkAndExpiry(t *testing.T) {
	t.Parallel()
	_, m := written(t, note(), smtpnotify.Options{})
	want := "Hello,\n\nUse this link to set the password for your account at Acme:\n\n" + link +
		"\n\nThe link works once. It expires on March 4, 2026 at 05:06 UTC.\n\n" +
		"If you did not expect this message, you can ignore it.\n"
	if m.text != want {
		t.Errorf("text: got %q, want %q", m.text, want)
	}
	for _, part := range []string{`<a href="` + link + `">`, "March 4, 2026 at 05:06 UTC"} {
		if !strings.Contains(m.html, part) {
			t.Errorf("html: got %q, want %q in it", m.html, part)
		}
	}
}

func TestAccountCreatedTellsWhetherApprovalIsNeeded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		approved bool
		want     string
	}{
		"approved":     {true, ""},
		"not approved": {false, "\nThe account can be used once it has been approved.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hello := accountCreated()
			hello.User.IsApproved = tt.approved
			_, m := written(t, hello, smtpnotify.Options{})
			if got, want := m.Get("Subject"), "Your account at Acme"; got != want {
				t.Errorf("subject: got %q, want %q", got, want)
			}
			want := "Hello,\n\nAn account has been created for you at Acme.\n" + tt.want +
				"\nIf you did not expect this message, you can ignore it.\n"
			if m.text != want {
				t.Errorf("text: got %q, want %q", m.text, want)
			}
			if strings.Contains(m.html, "href") || strings.Contains(m.html, "approved") == tt.approved {
				t.Errorf("html: got %q, want no link, and of approval only if it is needed", m.html)
			}
		})
	}
}

// accountCreated returns an account_created notification to Ann.
func accountCreated() users.Notification {
	n := note()
	n.Kind, n.Token, n.URL = users.KindAccountCreated, password.Secret{}, password.Secret{}
	return n
}

// Whoever creates a user chooses the names and the address: the mail must not say
// what that person wants said.
func TestNothingThatAPersonChoseIsInTheMessage(t *testing.T) {
	t.Parallel()
	for _, kind := range []func() users.Notification{note, accountCreated} {
		plain, _ := written(t, kind(), smtpnotify.Options{})
		for _, chosen := range []string{
			"evil.example", "www.evil.example", "evil:0900-123456", "+491234567890", "You-have-won",
			"You have won, see http://evil.example/?a=b", "=?utf-8?q?=0D=0ABcc:_eve=40evil.example?=",
			"=?utf-8?b?DQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=", `Ann" <eve@evil.example>, "`, "Ann, eve@evil.example",
			"Ann\r\nBcc: eve@evil.example", "A\x00nn", "A\xffnn", strings.Repeat("evil ", 50), "{{.Token}}", "<a href=http://evil.example>",
		} {
			hostile := kind()
			hostile.User.Name, hostile.User.UserName = chosen, chosen
			hostile.User.CreatedBy, hostile.User.Roles = chosen, []users.Role{{Name: chosen}}
			got, m := written(t, hostile, smtpnotify.Options{})
			if to := m.Get("To"); to != "<ann@example.org>" {
				t.Errorf("%s, %q: got To %q, want the address alone", hostile.Kind, chosen, to)
			}
			if varying.ReplaceAllString(got, "") != varying.ReplaceAllString(plain, "") {
				t.Errorf("%s, %q: got %s, want the same as for anybody", hostile.Kind, chosen, got)
			}
		}
	}
}

// varying is what differs between any two messages.
var varying = regexp.MustCompile(`(?m)^Date: .*$|[0-9a-f]{60}`)

func TestSubjectIsShownAsItStands(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"=?utf-8?q?=0D=0ABcc:_eve=40example.net?=", "Größe =?utf-8?q?=0D=0A?=", "a =?b", strings.Repeat("=?utf-8?q?=0D=0A?= and ", 12) + "end",
	} {
		to := note()
		to.User.Name = name
		raw, m := written(t, to, smtpnotify.Options{Templates: fstest.MapFS{
			"set_password.txt": {Data: []byte(`{{define "subject"}}For {{.User.Name}}{{end}}`)},
		}})
		got, err := new(mime.WordDecoder).DecodeHeader(m.Get("Subject"))
		if want := "For " + name; err != nil || got != want || strings.Contains(raw, "=0D") {
			t.Errorf("subject: got %q, %v, want %q", got, err, want)
		}
		for _, word := range strings.Fields(m.Get("Subject")) {
			if len(word) > 75 { // RFC 2047 section 2
				t.Errorf("word %q: got %d characters, want at most 75", word, len(word))
			}
		}
	}
}

func TestTemplatesAreOverriddenFileByFile(t *testing.T) {
	t.Parallel()
	to := note()
	to.User.Name = "<b>Ann</b>"
	_, m := written(t, to, smtpnotify.Options{Domain: "ids.example", Templates: fstest.MapFS{"set_password.txt": {Data: []byte(
		`{{define "subject"}}Paßwort für {{.User.Name}}{{end}}Hallo {{.User.Name}} ({{.User.UserName}}): {{.URL}} ({{.Token}}, {{.Kind}}, {{.ID}})`,
	)}}})
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Get("Subject"))
	if want := "Paßwort für <b>Ann</b>"; err != nil || subject != want {
		t.Errorf("subject: got %q, %v, want %q", subject, err, want)
	}
	if want := "Hallo <b>Ann</b> (ann): " + link + " (" + token + ", set_password, " + id + ")"; m.text != want {
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
	to := note()
	to.Application.Name = "<script>x</script>"
	_, m := written(t, to, smtpnotify.Options{})
	if strings.Contains(m.html, "<script>") || !strings.Contains(m.html, "&lt;script&gt;") {
		t.Errorf("html: got %q, want the name escaped", m.html)
	}
}
