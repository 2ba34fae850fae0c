package users_test

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
)

// secretHolders are the exported types that can hold a secret. A type that is
// missing here fails TestEveryTypeThatCanHoldASecretIsTested.
var secretHolders = map[string]any{
	"password.Secret": password.Secret{},
	"password.Hash":   password.NewHash(""),

	"users.ChangePasswordParams": users.ChangePasswordParams{},
	"users.CreateUserParams":     users.CreateUserParams{},
	"users.ImportUser":           users.ImportUser{},
	"users.LoginEnd":             users.LoginEnd{},
	"users.Notification":         users.Notification{},
	"users.NewUser":              users.NewUser{},
	"users.Redemption":           users.Redemption{},
	"users.Token":                users.Token{},
	"users.UserEdit":             users.UserEdit{},
	"users.UserList":             users.UserList{},
	"users.UserListing":          users.UserListing{},
	"users.UserRecord":           users.UserRecord{},

	"httpapi.AccessToken": httpapi.AccessToken{},
	"httpapi.BearerToken": httpapi.BearerToken{},
}

// secretName matches the names of fields that hold a secret.
var secretName = regexp.MustCompile(`(?i)password|secret|token|credential|passphrase|bearer|hash|^url$|link$`)

// openOnPurpose are fields whose names match and which hold no secret.
var openOnPurpose = map[string]string{
	"users.CreateUserParams.AutoCreatePassword": "a switch",
	"users.UserRecord.PasswordChanged":          "a date",
	"users.Options.TokenLifetime":               "a duration",
	"users.Options.Hasher":                      "code",
}

// closed are the types that print nothing of what they hold.
var closed = []string{"password.Secret", "password.Hash"}

// structs returns the exported struct types of the packages that hosts import,
// by "package.Type", with the types of their fields as they are written.
func structs(t *testing.T) map[string]map[string]string {
	t.Helper()
	sources := rootSources(t)
	fset := token.NewFileSet()
	nested, err := filepath.Glob("smtpnotify/*.go")
	if err != nil || len(nested) == 0 {
		t.Fatalf("smtpnotify is not there: %v", err)
	}
	for _, name := range nested {
		syntax, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, source{name, "smtpnotify", strings.HasSuffix(name, "_test.go"), syntax})
	}

	all := map[string]map[string]string{}
	for _, src := range sources {
		if src.test || strings.HasPrefix(src.dir, "internal/") || src.syntax.Name.Name == "main" {
			continue
		}
		pkg := src.syntax.Name.Name
		for _, decl := range src.syntax.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok || !typ.Name.IsExported() {
					continue
				}
				fields := map[string]string{}
				addFields(fields, pkg, typ.Type)
				all[pkg+"."+typ.Name.Name] = fields
			}
		}
	}
	return all
}

// addFields adds the fields of a struct, also of one without a name inside it, by
// their names alone: what they are called tells what they hold.
func addFields(fields map[string]string, pkg string, e ast.Expr) {
	s, ok := e.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		addFields(fields, pkg, f.Type)
		written := typeText(pkg, f.Type)
		for _, name := range f.Names {
			fields[name.Name] = written
		}
		if len(f.Names) == 0 { // embedded
			fields[written[strings.LastIndexByte(written, '.')+1:]] = written
		}
	}
}

// typeText writes a type with its package: "*users.Token", "[]password.Secret".
func typeText(pkg string, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		if ast.IsExported(e.Name) {
			return pkg + "." + e.Name
		}
		return e.Name
	case *ast.SelectorExpr:
		return fmt.Sprint(e.X) + "." + e.Sel.Name
	case *ast.StarExpr:
		return "*" + typeText(pkg, e.X)
	case *ast.ArrayType:
		return "[]" + typeText(pkg, e.Elt)
	case *ast.MapType:
		return "map[" + typeText(pkg, e.Key) + "]" + typeText(pkg, e.Value)
	}
	return fmt.Sprintf("%T", e)
}

// base is the type that a pointer, a list or a map is of.
func baseType(written string) string {
	return written[strings.LastIndexAny(written, "*]")+1:]
}

// A token, a password or a link in a plain string would be in the first log line
// that prints its struct. Exported or not: fmt prints both.
func TestSecretsAreHeldByClosedTypes(t *testing.T) {
	t.Parallel()
	for name, fields := range structs(t) {
		for field, written := range fields {
			at := name + "." + field
			if !secretName.MatchString(field) || openOnPurpose[at] != "" {
				continue
			}
			switch baseType(written) {
			case "string", "byte", "any", "json.RawMessage":
				t.Errorf("%s is a %s, which prints itself: make it a password.Secret, or say in openOnPurpose what else it is", at, written)
			}
		}
	}
}

func TestEveryTypeThatCanHoldASecretIsTested(t *testing.T) {
	t.Parallel()
	all := structs(t)
	holds := map[string]bool{}
	for _, name := range closed {
		holds[name] = true
	}
	for more := true; more; { // until nothing is added: structs hold structs
		more = false
		for name, fields := range all {
			for field, written := range fields {
				// What is reached through an unexported field of a type is that
				// type's own affair: its methods decide what it shows.
				if holds[name] || !ast.IsExported(field) || !holds[baseType(written)] {
					continue
				}
				holds[name], more = true, true
			}
		}
	}
	want, got := slices.Sorted(maps.Keys(holds)), slices.Sorted(maps.Keys(secretHolders))
	if !slices.Equal(got, want) {
		t.Errorf("secretHolders has\n%q, the packages have\n%q: add what is missing", got, want)
	}
	if _, ok := all["outbox.Recorder"]; !ok {
		t.Error("the types of package outbox were not found")
	}
}

func TestTypesThatHoldSecretsNeverShowThem(t *testing.T) {
	t.Parallel()
	const canary = "canary-in-the-coal-mine-4711"
	for name, v := range secretHolders {
		filled := reflect.New(reflect.TypeOf(v))
		if n := fill(filled.Elem(), canary); n == 0 {
			t.Errorf("%s: no field was filled", name)
		}
		for _, v := range []any{filled.Elem().Interface(), filled.Interface()} {
			search(t, name, everyExposure(v), canary)
		}
	}

	// What keeps notifications for tests shows nothing either.
	var r outbox.Recorder
	var n users.Notification
	fill(reflect.ValueOf(&n).Elem(), canary)
	if err := r.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	search(t, "outbox.Recorder", everyExposure(&r), canary)
}

// fill sets every Secret and Hash in v, however deep, and returns how many.
func fill(v reflect.Value, canary string) (n int) {
	switch v.Type() {
	case reflect.TypeFor[password.Secret]():
		v.Set(reflect.ValueOf(password.New(canary)))
		return 1
	case reflect.TypeFor[password.Hash]():
		v.Set(reflect.ValueOf(password.NewHash(canary)))
		return 1
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				n += fill(v.Field(i), canary)
			}
		}
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.New(v.Type().Elem()))
			n = fill(v.Elem(), canary)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			n = fill(v.Index(0), canary)
		}
	}
	return n
}

// everyExposure is exposed with every verb and every encoding of the standard library.
func everyExposure(v any) map[string]string {
	out := exposed(v)
	for _, verb := range []string{"%t", "%b", "%c", "%o", "%O", "%U", "%e", "%g", "%p", "%w", "%#x", "% x", "%+q", "%z"} {
		out[verb] = fmt.Sprintf(verb, v)
		out["hidden "+verb] = fmt.Sprintf(verb, struct{ v, w any }{v, []any{v}})
	}
	note := func(how string, b []byte, err error) { out[how] = fmt.Sprint(string(b), err) }
	b, err := json.Marshal(struct{ V any }{v})
	note("JSON in a struct", b, err)
	b, err = json.Marshal(map[string]any{"v": []any{v}})
	note("JSON in a map", b, err)
	b, err = xml.Marshal(v)
	note("XML", b, err)
	var buf bytes.Buffer
	err = gob.NewEncoder(&buf).Encode(v)
	note("gob", buf.Bytes(), err)
	if m, ok := v.(encoding.TextMarshaler); ok {
		b, err = m.MarshalText()
		note("text", b, err)
	}
	if m, ok := v.(encoding.BinaryMarshaler); ok {
		b, err = m.MarshalBinary()
		note("binary", b, err)
	}

	// slog's JSON handler asks neither LogValue nor String of what is inside a struct.
	buf.Reset()
	l := slog.New(slog.NewJSONHandler(&buf, nil))
	l.Info("inside", "v", struct{ V any }{v}, "map", map[string]any{"v": v}, "pointer", &struct{ V any }{v})
	out["slog JSON inside"] = buf.String()
	return out
}
