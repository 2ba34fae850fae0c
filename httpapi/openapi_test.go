package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/storefake"
)

// document is what the tests read of an OpenAPI document.
type document struct {
	OpenAPI    string
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Schemas   map[string]*schema
		Responses map[string]response
		Headers   map[string]header
	}
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Required   []string
	Properties map[string]*schema
	Items      *schema
	AnyOf      []*schema
	AllOf      []*schema
	Enum       []any
}

type content map[string]struct{ Schema *schema }

type response struct {
	Ref     string `json:"$ref"`
	Headers map[string]header
	Content content
}

type header struct {
	Ref      string `json:"$ref"`
	Required bool
}

type operation struct {
	OperationID string
	RequestBody struct{ Content content }
	Responses   map[string]response
}

var published = sync.OnceValue(func() (d document) {
	if err := json.Unmarshal(httpapi.OpenAPI(), &d); err != nil {
		panic(err)
	}
	return d
})

// operations returns the operations at a path by method.
func (d document) operations(path string) map[string]operation {
	found := map[string]operation{}
	for name, raw := range d.Paths[path] {
		if name == "parameters" {
			continue
		}
		var op operation
		if err := json.Unmarshal(raw, &op); err != nil {
			panic(err)
		}
		found[strings.ToUpper(name)] = op
	}
	return found
}

// served is operations and, at the path of the import, what is done there to a user of that
// name, as the document says.
func (d document) served(path string) map[string]operation {
	ops := d.operations(path)
	if path == "/{apiKey}/users/import" {
		maps.Copy(ops, d.operations("/{apiKey}/users/{ref}"))
	}
	return ops
}

// body is the schema of what an operation reads, or of a line of it.
func (op operation) body() *schema {
	for _, name := range []string{"application/json", lines} {
		if c, ok := op.RequestBody.Content[name]; ok {
			return c.Schema
		}
	}
	return nil
}

// properties are those of an object.
func (d document) properties(s *schema) map[string]*schema {
	s = d.schema(s)
	all := maps.Clone(s.Properties)
	for _, part := range s.AllOf {
		if all == nil {
			all = map[string]*schema{}
		}
		maps.Copy(all, d.properties(part))
	}
	return all
}

// allow returns the methods that a path answers, in the order of the header Allow.
func (d document) allow(path string) string {
	ops, list := d.served(path), []string{}
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		_, get := ops["GET"]
		if _, ok := ops[m]; ok || m == "HEAD" && get || m == "OPTIONS" {
			list = append(list, m)
		}
	}
	return strings.Join(list, ", ")
}

func (d document) schema(s *schema) *schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.Components.Schemas[name]
	}
	return s
}

func (d document) response(r response) response {
	if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
		return d.Components.Responses[name]
	}
	return r
}

func (d document) header(h header) header {
	if name, ok := strings.CutPrefix(h.Ref, "#/components/headers/"); ok {
		return d.Components.Headers[name]
	}
	return h
}

// at returns the path of the document that a request's path is; empty if none is.
func (d document) at(path string) (found string) {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/v1/"), "/")
	path = strings.Replace(path, "/lookups/roles", "/roles", 1) // as the document's introduction says
	got := strings.Split(path, "/")
	for pattern := range d.Paths {
		want := strings.Split(pattern[1:], "/")
		same := len(want) == len(got)
		for i := range want {
			same = same && (want[i][0] == '{' || want[i] == got[i])
		}
		if same && (found == "" || strings.Count(pattern, "{") < strings.Count(found, "{")) {
			found = pattern
		}
	}
	return found
}

// kind is the JSON type of v.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// types returns the JSON types that s allows.
func types(s *schema) (list []string) {
	if one, ok := s.Type.(string); ok {
		return []string{one}
	}
	many, _ := s.Type.([]any)
	for _, t := range many {
		list = append(list, t.(string))
	}
	return list
}

// fits reports how v breaks s, also by a member that s does not name; nil if it fits.
func (d document) fits(s *schema, v any, at string) error {
	s = d.schema(s)
	if len(s.AnyOf) > 0 {
		var err error
		for _, one := range s.AnyOf {
			if err = d.fits(one, v, at); err == nil {
				return nil
			}
		}
		return err
	}
	if !slices.Contains(types(s), kind(v)) {
		return fmt.Errorf("%s is %s, want %v", at, kind(v), s.Type)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%s is %v, want one of %v", at, v, s.Enum)
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			if err := d.fits(s.Items, e, at+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				return fmt.Errorf("%s/%s is missing", at, name)
			}
		}
		for name, m := range v {
			if s.Properties[name] == nil {
				return fmt.Errorf("%s/%s is not in the document", at, name)
			}
			if err := d.fits(s.Properties[name], m, at+"/"+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// documents checks an answer of any test against the document.
func (d document) documents(r *http.Request, w *httptest.ResponseRecorder) error {
	at := d.at(r.URL.EscapedPath())
	op, ok := d.served(at)[strings.Replace(r.Method, "HEAD", "GET", 1)]
	switch {
	case strings.ContainsAny(r.URL.EscapedPath(), "%."): // a test of their own
		return nil
	case at == "":
		if w.Code != 404 {
			return fmt.Errorf("got %d at a path that is not in the document", w.Code)
		}
		return nil
	case !ok:
		if got, want := w.Header().Get("Allow"), d.allow(at); w.Code != 405 && w.Code != 204 || got != want {
			return fmt.Errorf("%d, Allow %q, want %q", w.Code, got, want)
		}
		return nil
	}
	doc, ok := op.Responses[strconv.Itoa(w.Code)]
	if !ok {
		return fmt.Errorf("status %d is not in the document", w.Code)
	}
	doc = d.response(doc)
	for name, h := range doc.Headers {
		if d.header(h).Required && w.Header().Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if doc.Content == nil {
		if contentType, ok := w.Header()["Content-Type"]; ok || w.Body.Len() > 0 {
			return fmt.Errorf("%d with %q and the body %q, want neither", w.Code, contentType, w.Body)
		}
		return nil
	}
	media, ok := doc.Content[w.Header().Get("Content-Type")]
	if !ok {
		return fmt.Errorf("content type %q is not in the document", w.Header().Get("Content-Type"))
	}
	if r.Method == "HEAD" {
		return nil
	}
	bodies := []string{w.Body.String()}
	if w.Header().Get("Content-Type") == lines {
		bodies = slices.Collect(strings.Lines(w.Body.String()))
	}
	for _, body := range bodies {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			return err
		}
		if err := d.fits(media.Schema, v, ""); err != nil {
			return err
		}
	}
	return nil
}

func TestOpenAPIDocumentIsWhole(t *testing.T) {
	t.Parallel()
	first := httpapi.OpenAPI()
	clear(first)
	var all map[string]any
	if err := json.Unmarshal(httpapi.OpenAPI(), &all); err != nil || all["openapi"] != "3.1.0" {
		t.Fatalf("got openapi %v, %v", all["openapi"], err)
	}
	used := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				used[ref] = true
			}
			for _, m := range v {
				walk(m)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(all)
	defined := map[string]bool{}
	for section, members := range all["components"].(map[string]any) {
		for name := range members.(map[string]any) {
			if section != "securitySchemes" {
				defined["#/components/"+section+"/"+name] = true
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(defined)); !slices.Equal(got, want) {
		t.Errorf("referred to: %q, defined: %q", got, want)
	}
}

func TestTableContractAndDocumentNameTheSameMembers(t *testing.T) {
	t.Parallel()
	read := httpapi.KnownMembers()
	for path := range published().Paths {
		for method, op := range published().operations(path) {
			if op.RequestBody.Content == nil {
				continue
			}
			properties := published().properties(op.body())
			got, want := slices.Sorted(maps.Keys(properties)), slices.Sorted(slices.Values(read[op.OperationID]))
			if !slices.Equal(got, want) || len(got) == 0 {
				t.Errorf("%s %s: the document has %q, the table %q", method, path, got, want)
			}
			if op.OperationID == "createUser" || op.OperationID == "importUsers" {
				want := append(users.CreateMembers(), "username")
				if op.OperationID == "importUsers" {
					want = append(want, "passwordHash", "emailVerified")
				}
				if slices.Sort(want); !slices.Equal(got, want) {
					t.Errorf("the document has %q, the contract %q", got, want)
				}
			}
			delete(read, op.OperationID)
		}
	}
	if len(read) > 0 {
		t.Errorf("tables of operations that the document does not have: %v", read)
	}
}

// brokenValues are not values of JSON, though each begins like one or stands
// where one is wanted.
var brokenValues = []string{
	"", "\x01", "t", "tr", "tru", "truth", "TRUE", "True", "f", "fals", "falsy", "n", "nul", "nil", "nan", "NaN", "Infinity", "undefined",
	"-", "-a", "1e", "1e+", "1.", "1.e1", ".5", "+1", "0x", "\"abc", "'a'", "`a`", `"\`, `"\q"`, `"\u12"`, `"\ud800"`, "\"\xff\"", "\"\t\"",
	"[", "[1", "[1,", "[1 2]", "[,]", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a" 1}`, `{a:1}`, `{1:1}`, "]", ",", ":", "\ufeff", "//", "\xff",
}

// A syntax error in the value of any member is reported at that member, however
// deep in it.
func TestEveryKnownMemberIsThePointerOfABrokenValue(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { s.http.ExtraMembers = []string{"a/b~c"} })
	a.user(t.Context(), "ann", "")
	for path := range published().Paths {
		for method, op := range published().operations(path) {
			names := httpapi.KnownMembers()[op.OperationID]
			if op.OperationID == "createUser" || op.OperationID == "importUsers" {
				names = append(names, "a/b~c")
			}
			for _, name := range names {
				at := "/" + strings.NewReplacer("username", "userName", "~", "~0", "/", "~1").Replace(name)
				check := func(in string, want ...string) {
					t.Helper()
					w := a.judge(op, method, a.path(path), in)
					if got := codes(t, w); w.Code != 400 || !slices.Contains(want, got) {
						t.Errorf("%s %s %q: got %d %s, want 400 %q", method, path, in, w.Code, got, want)
					}
				}
				check(`{"`+name+`":`+"\x01}", at+" invalid_json")
				check(`{"`+name+`":null,"`+name+`":null}`, at+" duplicate_member")
				forms := []string{"%s", "[null, %s]"}
				switch name {
				case "roles", "embed", "dashboardSettings", "a/b~c":
					forms = append(forms, "[%s]", `{"a":%s}`, `[{"name":%s}]`, `[{"id":%s}]`, `[{"a":[%s]}]`)
				}
				for _, value := range brokenValues {
					for _, in := range forms {
						if value == "" && strings.Contains(in, "[%s]") {
							continue // an array
						}
						// Some are whole where they end: what is wrong comes after the member.
						check(`{"`+name+`":`+strings.Replace(in, "%s", value, 1)+`}`, at+" invalid_json", "invalid_json")
					}
				}
			}
		}
	}
}

// A value of every JSON type for every member: the document allows it where the handler does.
func TestDocumentAllowsTheTypesThatAreRead(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.user(t.Context(), "ann", "")
	for path := range published().Paths {
		for method, op := range published().operations(path) {
			if op.RequestBody.Content == nil {
				continue
			}
			for name, s := range published().properties(op.body()) {
				for kind, value := range map[string]string{"boolean": "true", "integer": "1", "string": `"a\u0000"`, "array": "[]", "object": "{}"} {
					w := a.judge(op, method, a.path(path), `{"`+name+`":`+value+`}`)
					pointer := "/" + strings.Replace(name, "username", "userName", 1)
					refused := w.Code == 400 && strings.Contains(codes(t, w)+",", pointer+" invalid_type,")
					if documented := slices.Contains(types(s), kind); documented == refused {
						t.Errorf("%s %s %s as %s: documented is %t, got %d %s", method, path, name, kind, documented, w.Code, w.Body)
					}
				}
			}
		}
	}
}

func TestEveryDocumentedStatusIsAnswered(t *testing.T) {
	t.Parallel()
	for path := range published().Paths {
		for method, op := range published().operations(path) {
			for status := range op.Responses {
				t.Run(op.OperationID+" "+status, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						if w := provoke(t, method, path, op.OperationID, status); strconv.Itoa(w.Code) != status {
							t.Errorf("got %d %s, want %s", w.Code, w.Body, status)
						}
					})
				})
			}
		}
	}
}

// judge sends in as the body of an operation. Of an import it returns what became of that
// line as an answer to in alone.
func (a *api) judge(op operation, method, path, in string) *httptest.ResponseRecorder {
	a.t.Helper()
	if op.RequestBody.Content[lines].Schema == nil {
		return a.do(request(method, path, in))
	}
	w := a.do(request(method, path, in, "Content-Type", lines))
	first, _, _ := strings.Cut(w.Body.String(), "\n")
	if strings.Contains(first, `"outcome":"refused"`) {
		w.Code = 400
	}
	w.Body.Reset()
	w.Body.WriteString(first)
	return w
}

// hasFaults are the operations whose requests can have faults, in the body or in the query.
var hasFaults = map[string]bool{
	"findUsers": true, "createUser": true, "importUsers": true, "readUser": true, "updateUser": true, "changePassword": true, "findRoles": true,
	"createRole": true, "updateRole": true, "recoverPassword": true, "setPassword": true,
}

// path returns a path of the document for the user ann and the role editor.
func (a *api) path(pattern string) string {
	return "/v1" + strings.NewReplacer("{apiKey}", "demo", "{ref}", "ann", "{id}", a.editor.ID).Replace(pattern)
}

// provoke sends a request of an operation that must be answered with status.
func provoke(t *testing.T, method, path, operation, status string) *httptest.ResponseRecorder {
	a := newAPI(t, func(s *setup) {
		if status == "400" && !hasFaults[operation] { // only the host can find any
			authenticating(&users.ValidationError{})(s)
		}
		if status == "403" && strings.HasSuffix(path, "/recover-password") { // only the host knows who may not
			admitting(&users.ForbiddenError{})(s)
		}
		if status == "429" {
			authenticating(&users.TooManyRequestsError{})(s)
			admitting(&users.TooManyRequestsError{})(s)
		}
		s.store = func(store users.Store) users.Store {
			switch status {
			case "404":
				return storefake.Without(storefake.Failing(store, users.ErrNotFound, storefake.CreateUser))
			case "500":
				return storefake.Failing(store, http.ErrBodyNotAllowed, storefake.FindApplication)
			case "503":
				return storefake.Failing(store, users.ErrUnavailable, storefake.FindApplication)
			}
			return store
		}
	})
	token := a.token(a.user(t.Context(), "ann", "").ID)
	in := map[string]string{
		"createUser": body("bob", ""), "importUsers": body("bob", ""), "createRole": `{"name":"author"}`, "recoverPassword": `{"userName":"ann"}`,
		"setPassword": `{"passwordRecoveryToken":"` + token + `","newPassword":"` + goodPassword + `"}`,
		"updateUser":  `{"userName":"bob","email":"bob@example.com"}`, "updateRole": `{"name":"author"}`,
		"changePassword": `{"newPassword":"` + goodPassword + `"}`,
	}[operation]
	path = a.path(path)
	var headers []string
	if operation == "importUsers" {
		headers = []string{"Content-Type", lines}
	}
	switch status {
	case "400":
		if path += "?embed=x&rpp=0&results=x"; in != "" {
			in = "{"
		}
	case "401":
		headers = append(headers, "Authorization", "")
	case "403":
		headers = append(headers, "Authorization", "Bearer "+nobodyToken)
	case "404":
		path = strings.NewReplacer("/ann", "/nobody", a.editor.ID, a.editor.ID+"x").Replace(path)
	case "406":
		headers = []string{"Accept", "text/html"}
	case "409":
		in = strings.NewReplacer("bob", "ann", "author", "editor").Replace(in)
		if method == "PUT" { // by somebody else
			a.user(t.Context(), "bob", "")
			in = strings.NewReplacer("ann", "bob", "editor", "viewer").Replace(in)
		}
	case "412":
		headers = []string{"If-Match", `"7.j"`}
	case "413":
		in += strings.Repeat(" ", httpapi.MaxBody)
	case "415":
		headers = append(headers, "Content-Type", "text/plain")
	case "422":
		headers = []string{"Idempotency-Key", "k"}
		a.post(body("eve", ""), headers...)
	}
	return a.do(request(method, path, in, headers...))
}
