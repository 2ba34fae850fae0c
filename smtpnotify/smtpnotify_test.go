package smtpnotify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gousers/users/smtpnotify"
)

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
		"fragment":                 {url: "smtp://mail.example#tls=none", want: "fragment"},
		"port of smtps":            {url: "smtp://relay:hunter2hunter2@mail.example:465", want: "smtps://"},
		"port of smtps, no TLS":    {url: "smtp://127.0.0.1:465?tls=none", want: "smtps://"},
		"port 0":                   {url: "smtp://mail.example:0", want: "port"},
		"port beyond the last":     {url: "smtps://mail.example:65536", want: "port"},
		"other value of tls":       {url: "smtp://mail.example?tls=maybe", want: "tls="},
		"no value of tls":          {url: "smtp://mail.example?tls", want: "tls="},
		"value in upper case":      {url: "smtp://mail.example?tls=NONE", want: "tls="},
		"name in upper case":       {url: "smtp://mail.example?TLS=none", want: "tls="},
		"tls twice":                {url: "smtp://mail.example?tls=required&tls=none", want: "tls="},
		"tls twice, alike":         {url: "smtp://mail.example?tls=none&tls=none", want: "tls="},
		"other parameter":          {url: "smtp://mail.example?timeout=5s", want: "tls="},
		"other parameter beside":   {url: "smtp://mail.example?tls=required&hello=a", want: "tls="},
		"empty parameter":          {url: "smtp://mail.example?=none", want: "tls="},
		"parameter cut off":        {url: "smtp://mail.example?tls=none;x", want: "tls="},
		"parameter of bad escapes": {url: "smtp://mail.example?tls=%zz", want: "tls="},
		"contradiction":            {url: "smtps://mail.example?tls=none", want: "exclude"},
		"password in the clear":    {url: "smtp://relay:hunter2hunter2@mail.example?tls=none", want: "loopback"},
		"no sender":                {url: "smtp://mail.example", from: " ", want: "sender"},
		"sender with a line break": {url: "smtp://mail.example", from: "a@example.com\r\nBcc: b@example.com", want: "sender"},
		"negative timeout":         {url: "smtp://mail.example", o: smtpnotify.Options{Timeout: -1}, want: "Timeout"},
		"Hello of two words":       {url: "smtp://mail.example", o: smtpnotify.Options{Hello: "a b"}, want: "Hello"},
		"Hello of two lines":       {url: "smtp://mail.example", o: smtpnotify.Options{Hello: "a.example\r\nRSET"}, want: "Hello"},
		"Hello with underscore":    {url: "smtp://mail.example", o: smtpnotify.Options{Hello: "my_host.example"}, want: "Hello"},
		"Hello of one label":       {url: "smtp://mail.example", o: smtpnotify.Options{Hello: "localhost"}, want: "Hello"},
		"Hello, bare address":      {url: "smtp://mail.example", o: smtpnotify.Options{Hello: "192.0.2.1"}, want: "Hello"},
		"Hello, unclosed literal":  {url: "smtp://mail.example", o: smtpnotify.Options{Hello: "[192.0.2.1"}, want: "Hello"},
		"Hello, untagged IPv6":     {url: "smtp://mail.example", o: smtpnotify.Options{Hello: "[2001:db8::1]"}, want: "Hello"},
		"Hello, IPv4 as IPv6":      {url: "smtp://mail.example", o: smtpnotify.Options{Hello: "[IPv6:192.0.2.1]"}, want: "Hello"},
		"domain":                   {url: "smtp://mail.example", o: smtpnotify.Options{Domain: "a>b"}, want: "Domain"},
		"template syntax":          {url: "smtp://mail.example", o: bad("set_password.txt", "{{"), want: "set_password.txt"},
		"template without subject": {url: "smtp://mail.example", o: bad("set_password.txt", "Hi"), want: "subject"},
		"template of no field":     {url: "smtp://mail.example", o: bad("account_created.html", "{{.Nope}}"), want: "account_created.html:1:2"},
		"template of a closed one": {url: "smtp://mail.example", o: bad("set_password.html", "{{.URL.Reveal}}"), want: "set_password.html:1:6"},
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

func TestNewTakesTheFormsOfAServer(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"smtp://mail.example", "smtp://mail.example/", "smtp://mail.example:587", "smtp://mail.example:25?tls=required", "smtp://mail.example?tls=none",
		"smtps://mail.example", "smtps://mail.example:465", "smtps://mail.example?tls=required", "smtp://[2001:db8::1]:587",
		"smtp://user:p%40ss@mail.example", "smtp://user:password@localhost?tls=none", "smtp://user:password@[::1]?tls=none", "smtp://mail.example?",
	} {
		if _, err := smtpnotify.New(url, sender, nil); err != nil {
			t.Errorf("%s: got %v, want it taken", url, err)
		}
	}
}

func TestNotifierDoesNotPrintThePasswordOfTheServer(t *testing.T) {
	t.Parallel()
	n, err := smtpnotify.New("smtp://relay:hunter2hunter2@mail.example", sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	hidden := struct{ n *smtpnotify.Notifier }{n}
	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("n", "n", n)
	slog.New(slog.NewJSONHandler(&js, nil)).Info("n", "n", n)
	printed := []string{text.String(), js.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		printed = append(printed, fmt.Sprintf(verb+verb, n, hidden))
	}
	b, err := json.Marshal(map[string]any{"n": n})
	printed = append(printed, fmt.Sprintf("%s %v", b, err))
	for _, p := range printed {
		if strings.Contains(p, "hunter2") {
			t.Errorf("the password is in %s", p)
		}
	}
}

func TestSilentServerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	n, err := smtpnotify.New("smtp://"+silent(t, cancel), sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Notify(ctx, note()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestTimeoutBoundsOneNotify(t *testing.T) {
	t.Parallel()
	n, err := smtpnotify.New("smtp://"+silent(t, func() {}), sender, &smtpnotify.Options{Timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
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
