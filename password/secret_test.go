package password_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/gousers/users/password"
)

const secret = "s3cr3t-Tr0mbone"

type holder struct {
	Name   string
	Open   password.Secret
	closed password.Secret
}

type nested struct {
	Holder  holder
	Pointer *holder
	closed  holder
	Slice   []password.Secret
	slice   []password.Secret
	Map     map[string]password.Secret
	any     any
	array   [1]password.Secret
}

func nest(t password.Secret) nested {
	h := holder{"n", t, t}
	return nested{
		h, &h, h, []password.Secret{t}, []password.Secret{t},
		map[string]password.Secret{"k": t}, t, [1]password.Secret{t},
	}
}

// leaks reports whether out shows the secret in one of the forms that fmt can give it.
func leaks(out string) bool {
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret), fmt.Sprintf("%d", []byte(secret))} {
		if strings.Contains(out, form) {
			return true
		}
	}
	return strings.Contains(out, "0x73, 0x33") // %#v of bytes
}

// == would compare pointers, and equal passwords would differ.
func TestSecretsCanNotBeComparedByMistake(t *testing.T) {
	t.Parallel()
	if reflect.TypeFor[password.Secret]().Comparable() {
		t.Error("== compiles for Secrets")
	}
	if !password.New(secret).Equal(password.New(secret)) || password.New(secret).Equal(password.New(secret+"x")) {
		t.Error("Equal does not compare the secrets")
	}
}

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	text := password.New(secret)
	n := nest(text)
	values := map[string]any{
		"Secret": text, "*Secret": &text, "struct": n.Holder, "*struct": n.Pointer, "nested": n, "*nested": &n,
		"slice": n.Slice, "map": n.Map, "array": n.array, "any": []any{text, &text, n},
		"error": fmt.Errorf("wrapped: %v %w", n, errors.New(text.String())),
	}
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%08d", "%t", "%c", "%U", "%e", "%p", "%10.3s", "%T", "%!", "%w"}
	for name, v := range values {
		for _, verb := range verbs {
			if out := fmt.Sprintf(verb, v); leaks(out) {
				t.Errorf("%s with %s shows the password: %s", name, verb, out)
			}
		}
		if out := fmt.Sprint(v) + fmt.Sprintln(v); leaks(out) {
			t.Errorf("%s printed shows the password: %s", name, out)
		}
	}
	if got := text.String() + text.GoString() + text.LogValue().String(); leaks(got) {
		t.Errorf("a method shows the password: %s", got)
	}
	if got := fmt.Sprintf("%v %s %#v %d", text, text, text, text); got != "[redacted] [redacted] [redacted] [redacted]" {
		t.Errorf("got %q, want the placeholder each time", got)
	}
}

func TestTextNeverLogs(t *testing.T) {
	t.Parallel()
	text := password.New(secret)
	n := nest(text)
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h).With("with", n)
		log.Info("m", "text", text, "pointer", &text, "struct", n.Holder, "nested", n, "map", n.Map, "slice", n.Slice,
			slog.Group("g", "text", text, "nested", &n), "error", fmt.Errorf("%v", n))
	}
	if leaks(out.String()) {
		t.Errorf("the log shows the password: %s", out.String())
	}
	if !strings.Contains(out.String(), `"text":"[redacted]"`) {
		t.Errorf("got %s, want the placeholder for a Secret", out.String())
	}
}

func TestTextIsNotMarshalled(t *testing.T) {
	t.Parallel()
	text := password.New(secret)
	n := nest(text)
	for name, v := range map[string]any{"Secret": text, "*Secret": &text, "struct": n.Holder, "slice": n.Slice, "map": n.Map, "zero": password.Secret{}} {
		b, err := json.Marshal(v)
		if err == nil {
			t.Errorf("%s: json.Marshal gave %s, want an error", name, b)
		} else if leaks(err.Error()) {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	if b, err := xml.Marshal(n.Holder); err == nil || leaks(err.Error()) {
		t.Errorf("xml.Marshal gave %s, %v, want an error that holds nothing", b, err)
	}
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(text); err == nil || leaks(out.String()+err.Error()) {
		t.Errorf("gob gave %q, %v, want an error that holds nothing", out.String(), err)
	}
	if b, err := text.MarshalText(); b != nil || err == nil || leaks(err.Error()) {
		t.Errorf("MarshalText gave %q, %v, want an error that holds nothing", b, err)
	}
}

func TestTextDoesNotShowInAPanic(t *testing.T) {
	t.Parallel()
	defer func() {
		if out := fmt.Sprint(recover()); out == "<nil>" || leaks(out) {
			t.Errorf("recovered %q, want a panic without the password", out)
		}
	}()
	panic(fmt.Sprintf("%+v", nest(password.New(secret))))
}

func TestTextRevealsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", " ", secret, " sp aced ", "\u00e9", "e\u0301", "\x00\xff", strings.Repeat("x", 5000)} {
		text := password.New(s)
		if got := text.Reveal(); got != s {
			t.Errorf("got %q, want %q", got, s)
		}
		if got, want := text.IsZero(), s == ""; got != want {
			t.Errorf("IsZero of %q: got %v, want %v", s, got, want)
		}
	}
}

func TestTextEqualComparesBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{secret, secret, true},
		{"", "", true},
		{secret, "", false},
		{secret, secret + " ", false},
		{"\u00e9", "e\u0301", false}, // the same character, other bytes
		{"\xff", "\xfe", false},
	} {
		// The second is another string in memory.
		if got := password.New(c.a).Equal(password.New(strings.Clone(c.b))); got != c.want {
			t.Errorf("%q and %q: got %v, want %v", c.a, c.b, got, c.want)
		}
	}
	if !password.New("").Equal(password.Secret{}) {
		t.Error(`New("") and the zero Secret differ`)
	}
}

func TestTextDecodesFromJSON(t *testing.T) {
	t.Parallel()
	type params struct {
		UserName string          `json:"userName"`
		Password password.Secret `json:"password"`
	}
	for _, c := range []struct {
		name, in, want string
		fails          bool
	}{
		{"string", `{"password":"s3cr3t-Tr0mbone"}`, secret, false},
		{"escapes", `{"password":"a\"\\\/\n\u00e9 x"}`, "a\"\\/\né x", false},
		{"pair", `{"password":"x\ud83d\ude00y"}`, "x😀y", false},
		{"replacement", `{"password":"\ufffd"}`, "�", false},
		{"escaped escape", `{"password":"\\ud800"}`, `\ud800`, false},
		{"empty", `{"password":""}`, "", false},
		{"null", `{"password":null}`, "", false},
		{"absent", `{}`, "", false},
		{"number", `{"password":12345678}`, "", true},
		{"object", `{"password":{"a":"s3cr3t-Tr0mbone"}}`, "", true},
		{"array", `{"password":["s3cr3t-Tr0mbone"]}`, "", true},
		{"bool", `{"password":true}`, "", true},
		{"first half alone", `{"password":"s3cr3t-Tr0mbone\ud800"}`, "", true},
		{"first half, text", `{"password":"\ud800s3cr3t-Tr0mbone"}`, "", true},
		{"first half twice", `{"password":"\ud800\ud800\udc00"}`, "", true},
		{"first half, escape", `{"password":"\ud800\n"}`, "", true},
		{"second half alone", `{"password":"s3cr3t-Tr0mbone\udc00"}`, "", true},
		{"second half twice", `{"password":"\ud83d\ude00\ude00"}`, "", true},
		{"not UTF-8", "{\"password\":\"s3cr3t-Tr0mbone\xff\"}", "", true},
	} {
		p := params{Password: password.New("before")}
		if c.name == "absent" {
			p.Password = password.Secret{}
		}
		err := json.Unmarshal([]byte(c.in), &p)
		switch {
		case (err != nil) != c.fails:
			t.Errorf("%s: got error %v, want one: %v", c.name, err, c.fails)
		case err != nil && leaks(err.Error()):
			t.Errorf("%s: the error shows the password: %v", c.name, err)
		case err == nil && p.Password.Reveal() != c.want:
			t.Errorf("%s: got %q, want %q", c.name, p.Password.Reveal(), c.want)
		}
	}
}

func TestTextUnmarshalTextRefusesInvalidUTF8(t *testing.T) {
	t.Parallel()
	var text password.Secret
	if err := text.UnmarshalText([]byte(secret + "\xff")); err == nil || leaks(err.Error()) {
		t.Errorf("got %v, want an error that holds nothing", err)
	}
	b := []byte(secret)
	if err := text.UnmarshalText(b); err != nil {
		t.Fatal(err)
	}
	clear(b)
	if text.Reveal() != secret {
		t.Error("the Secret changed with the bytes it was made from")
	}
}

// Decoding must not depend on how encoding/json treats what it hands over.
func FuzzTextUnmarshalJSON(f *testing.F) {
	for _, s := range []string{`"a"`, `"\ud83d\ude00"`, `"\ud800"`, `"\\u"`, `null`, `1`, `"`, `"\u12`, ``, "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var text password.Secret
		if text.UnmarshalJSON(b) != nil {
			return
		}
		var s *string
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatalf("%q was taken, but is not JSON", b)
		}
		if s == nil {
			s = new(string)
		}
		if *s != text.Reveal() {
			t.Fatalf("%q: got %q, want %q", b, text.Reveal(), *s)
		}
		if strings.Contains(*s, "�") && !bytes.Contains(b, []byte("�")) && !bytes.Contains(bytes.ToLower(b), []byte(`\ufffd`)) {
			t.Fatalf("%q: a damaged text was taken", b)
		}
	})
}
