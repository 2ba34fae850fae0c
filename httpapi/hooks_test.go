package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/password"
)

// hooks are the hooks of the Service that can refuse; each makes err its answer.
var hooks = map[string]func(s *setup, err error){
	"BeforeCreate": func(s *setup, err error) {
		s.service.BeforeCreate = func(context.Context, users.Application, *users.CreateUserParams) error { return err }
	},
	"OnCreate": func(s *setup, err error) {
		s.service.OnCreate = func(context.Context, users.CreateEvent) error { return err }
	},
	"ValidateDashboardSettings": func(s *setup, err error) {
		s.service.ValidateDashboardSettings = func(context.Context, users.Application, json.RawMessage) error { return err }
	},
}

const hookBody = `"dashboardSettings":{"theme":"dark"}`

func TestErrorOfAHookIsItsRefusalOrTheHostsFaultWhateverItsClass(t *testing.T) {
	t.Parallel()
	const says = "quoth the hook"
	for _, tt := range []struct {
		err    error
		status int
	}{
		{&users.ForbiddenError{Detail: says}, 403},
		{&users.ValidationError{Fields: []users.FieldError{{Code: "vetoed", Detail: says}}}, 400},
		{&users.TooManyRequestsError{RetryAfter: time.Minute}, 429},
		{users.ErrUnavailable, 503},
		{context.DeadlineExceeded, 503},
		{context.Canceled, 503},
		{users.ErrForbidden, 500},
		{users.ErrValidation, 500},
		{users.ErrTooManyRequests, 500},
		{users.ErrUnauthenticated, 500},
		{users.ErrUnknownApplication, 500},
		{httpapi.ErrNoCredentials, 500},
		{httpapi.ErrInvalidToken, 500},
		{&users.ConflictError{Members: []string{"userName"}}, 500},
		{users.ErrConflict, 500},
		{users.ErrNotFound, 500},
		{users.ErrUnsupported, 500},
		{users.ErrIdempotencyMismatch, 500},
		{users.ErrIdempotencyKeyUsed, 500},
		{users.ErrBadToken, 500},
		{users.ErrStale, 500},
		{users.ErrRetryTx, 500},
		{users.ErrOverloaded, 500},
		{&password.OverloadedError{RetryAfter: 1}, 500},
		{io.ErrUnexpectedEOF, 500},
	} {
		for hook, set := range hooks {
			var log bytes.Buffer
			a := newAPI(t, func(s *setup) {
				s.http.Logger = logger(&log)
				set(s, fmt.Errorf("%s: the hook's own text: %w", hook, tt.err))
			})
			w := a.post(body("ann", hookBody))
			if w.Code != tt.status {
				t.Errorf("%s, %v: got %d %s, want %d", hook, tt.err, w.Code, w.Body, tt.status)
			}
			refused, speaks := tt.status < 500, tt.status < 429
			if strings.Contains(w.Body.String(), says) != speaks || (log.Len() == 0) != refused {
				t.Errorf("%s, %v: got %s, log %s", hook, tt.err, w.Body, &log)
			}
			if strings.Contains(w.Body.String(), "own text") {
				t.Errorf("%s, %v: the text of the error reached the client: %s", hook, tt.err, w.Body)
			}
			if _, err := a.host.User(t.Context(), "demo", "ann"); !errors.Is(err, users.ErrNotFound) {
				t.Errorf("%s, %v: the user: got %v, want ErrNotFound", hook, tt.err, err)
			}
		}
	}
}

func TestRefusalOfAHookReachesTheClientInItsOwnWords(t *testing.T) {
	t.Parallel()
	for hook, set := range hooks {
		a := newAPI(t, func(s *setup) {
			set(s, &users.ForbiddenError{Members: []string{"email"}, Detail: "no free mail \xff here"})
		})
		p := decode[problem](t, a.post(body("ann", hookBody)))
		const want = "no free mail \ufffd here"
		if p.Detail != want || p.Message != want || len(p.Errors) != 1 || p.Errors[0].Pointer != "/email" || p.Errors[0].Code != "forbidden" {
			t.Errorf("%s: got %+v, want 403 with its sentence and member", hook, p)
		}

		a = newAPI(t, func(s *setup) {
			set(s, &users.ValidationError{Fields: []users.FieldError{
				{Code: "sold_out", Detail: "there are no seats left", Limit: 25}, {Pointer: "/company", Code: "required", Detail: "is required"},
			}})
		})
		w := a.post(body("ann", hookBody))
		at := ""
		if hook == "ValidateDashboardSettings" {
			at = "/dashboardSettings"
		}
		list := decode[problem](t, w).Errors
		want2 := []fault{{at, "sold_out", "there are no seats left", 25}, {at + "/company", "required", "is required", 0}}
		if w.Code != 400 || fmt.Sprint(list) != fmt.Sprint(want2) {
			t.Errorf("%s: got %d %v, want 400 %v", hook, w.Code, list, want2)
		}
	}
}

// Every hook can make a client wait (RFC 6585 section 4), and so can the
// Authenticator; Retry-After is in whole seconds and never too early.
func TestHookMakesTheClientWait(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]string{
		-time.Hour: "1", 0: "1", time.Nanosecond: "1", time.Second: "1", time.Second + 1: "2", 90 * time.Second: "90", math.MaxInt64: "9223372037",
	} {
		limit := fmt.Errorf("host: %w", &users.TooManyRequestsError{RetryAfter: after})
		calls := map[string]func(a *api) *httptest.ResponseRecorder{
			"Authenticator": func(a *api) *httptest.ResponseRecorder { return a.get("/v1/demo/roles") },
			"Admit": func(a *api) *httptest.ResponseRecorder {
				return a.do(request("POST", "/v1/demo/recover-password", `{"userName":"ann"}`, "Authorization", ""))
			},
		}
		for hook := range hooks {
			calls[hook] = func(a *api) *httptest.ResponseRecorder { return a.post(body("ann", hookBody)) }
		}
		for hook, call := range calls {
			w := call(newAPI(t, func(s *setup) {
				switch set := hooks[hook]; {
				case set != nil:
					set(s, limit)
				case hook == "Admit":
					admitting(limit)(s)
				default:
					authenticating(limit)(s)
				}
			}))
			p := decode[problem](t, w)
			if w.Code != 429 || w.Header().Get("Retry-After") != want || w.Header().Get("Content-Type") != "application/problem+json" ||
				p.Type != "about:blank" || p.Title != "Too Many Requests" || p.Status != 429 || p.ErrorCode != 429 || p.Detail == "" || p.Instance != "" {
				t.Errorf("%s, %v: got %d, Retry-After %q, %+v, want 429 and %q", hook, after, w.Code, w.Header().Get("Retry-After"), p, want)
			}
		}
	}
}

// Admit learns what was sent and who sent it, and refuses as other hooks do.
func TestAdmitLimitsTheOpenRoutes(t *testing.T) {
	t.Parallel()
	type client struct{}
	var seen []string
	var fails error
	a := newAPI(t, func(s *setup) {
		s.service.Admit = func(ctx context.Context, at users.Attempt) error {
			seen = append(seen, fmt.Sprint(at, " from ", ctx.Value(client{})))
			return fails
		}
	})
	token := a.token(a.user(t.Context(), "ann", "").ID)
	send := func(method, apiKey, in string) *httptest.ResponseRecorder {
		r := request(method, "/v1/"+apiKey+"/recover-password", in, "Authorization", "")
		return a.do(r.WithContext(context.WithValue(r.Context(), client{}, "192.0.2.7"))) // as a middleware does
	}
	recoverIt, setIt := `{"userName":" Ann "}`, `{"passwordRecoveryToken":"`+token+`","newPassword":"`+goodPassword+`"}`
	for _, tt := range []struct {
		err    error
		status int
	}{
		{&users.TooManyRequestsError{RetryAfter: time.Second}, 429},
		{&users.ForbiddenError{Detail: "not from there"}, 403},
		{&users.ValidationError{Fields: []users.FieldError{{Code: "captcha", Detail: "who?"}}}, 400},
		{users.ErrUnavailable, 503},
		{users.ErrTooManyRequests, 500},
		{users.ErrBadToken, 500},
		{io.EOF, 500},
	} {
		seen, fails = nil, fmt.Errorf("host: %w", tt.err)
		for _, apiKey := range []string{"demo", "none"} {
			for method, in := range map[string]string{"POST": recoverIt, "PUT": setIt} {
				if w := send(method, apiKey, in); w.Code != tt.status || strings.Contains(w.Body.String(), "host:") {
					t.Errorf("%s %s, %v: got %d %s, want %d", method, apiKey, tt.err, w.Code, w.Body, tt.status)
				}
			}
		}
		slices.Sort(seen)
		want := []string{
			"{RecoverPassword demo ann} from 192.0.2.7", "{RecoverPassword none ann} from 192.0.2.7",
			"{SetPassword demo } from 192.0.2.7", "{SetPassword none } from 192.0.2.7",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("%v: Admit got %q, want %q", tt.err, seen, want)
		}
	}

	fails = nil
	if w := send("POST", "demo", recoverIt); w.Code != 201 {
		t.Errorf("admitted: got %d %s, want 201", w.Code, w.Body)
	}
	if w := send("PUT", "demo", setIt); w.Code != 200 {
		t.Errorf("admitted: got %d %s, want 200", w.Code, w.Body)
	}
}

func TestHookDoesNotJudgeMembersThatWereNotRead(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		&users.ForbiddenError{Detail: "who?"}, &users.ValidationError{Fields: []users.FieldError{{Pointer: "/x", Code: "x", Detail: "who?"}}}, io.EOF,
	} {
		a := newAPI(t, func(s *setup) {
			s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
				if p.UserName == "" {
					return err
				}
				return nil
			}
		})
		for _, in := range []string{`{"userName":`, `{}{}`, `[]`} {
			if w := a.post(in); w.Code != 400 || !strings.HasSuffix(codes(t, w), "invalid_json") {
				t.Errorf("%v: %s: got %d %s, want 400 invalid_json", err, in, w.Code, w.Body)
			}
		}
		if w := a.post(`{"userName":`, "Authorization", "Bearer "+nobodyToken); w.Code != 403 {
			t.Errorf("%v: caller without permission: got %d, want 403", err, w.Code)
		}
	}
}

// A hook's refusal is named beside the faults of other members.
func TestRefusalOfAHookStandsBesideFaults(t *testing.T) {
	t.Parallel()
	invalid := &users.ValidationError{Fields: []users.FieldError{{Pointer: "/company", Code: "required", Detail: "is required"}}}
	for err, want := range map[error]string{
		invalid: "400 /name invalid_type, /company required",
		&users.ForbiddenError{Detail: "not today"}:                               "403 ",
		&users.ForbiddenError{Detail: "not that", Members: []string{"userName"}}: "400 /name invalid_type",
	} {
		a := newAPI(t, func(s *setup) { hooks["BeforeCreate"](s, err) })
		w := a.post(body("ann", `"name":1`))
		if got := fmt.Sprint(w.Code, " ", codes(t, w)); got != want {
			t.Errorf("%v: got %s, want %s", err, got, want)
		}
	}
}

func TestExtraMembersReachTheHooksAsTheyStand(t *testing.T) {
	t.Parallel()
	var before, on, after map[string]json.RawMessage
	a := newAPI(t, func(s *setup) {
		s.http.ExtraMembers = []string{"company", "a/b~c", "tags", "none", "absent"}
		s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			before = p.Extra
			return nil
		}
		s.service.OnCreate = func(_ context.Context, c users.CreateEvent) error { on = c.Extra; return nil }
		s.service.AfterCreate = func(_ context.Context, c users.CreateEvent) { after = c.Extra }
	})
	w := a.post(body("ann", `"company" : { "id": 7.0, "n":"\u0041" } ,"a/b~c":"x","tags":[1 ,{}],"none":null,"other":1,"COMPANY":2,"name":"Ann"`))
	if w.Code != 201 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	want := map[string]string{"company": `{ "id": 7.0, "n":"\u0041" }`, "a/b~c": `"x"`, "tags": `[1 ,{}]`}
	for hook, got := range map[string]map[string]json.RawMessage{"BeforeCreate": before, "OnCreate": on, "AfterCreate": after} {
		text := map[string]string{}
		for name, raw := range got {
			text[name] = string(raw)
		}
		if fmt.Sprint(text) != fmt.Sprint(want) {
			t.Errorf("%s: got %q, want %q", hook, text, want)
		}
	}
	for _, word := range []string{"company", "tags", "\\u0041"} {
		if strings.Contains(w.Body.String(), word) {
			t.Errorf("the answer holds %s: %s", word, w.Body)
		}
	}
}

func TestExtraMembersAreBounded(t *testing.T) {
	t.Parallel()
	created, want := 0, 0
	a := newAPI(t, func(s *setup) {
		s.http.ExtraMembers = []string{"a", "a/b~c", "z"}
		s.service.OnCreate = func(context.Context, users.CreateEvent) error { created++; return nil }
	})
	text := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	for i, tt := range []struct{ members, want string }{ // want "": 201
		{`"a":` + text(httpapi.MaxExtra), ``},
		{`"a":` + text(httpapi.MaxExtra+1), `/a too_long`},
		{`"a":` + text(httpapi.MaxExtra-1) + `,"z":1`, ``},
		{`"a":` + text(httpapi.MaxExtra-1) + `,"z":12`, `/z too_long`},
		{`"a":` + text(httpapi.MaxExtra) + `,"a/b~c":1,"z":null`, `/a~1b~0c too_long`},
		{`"other":` + text(httpapi.MaxExtra+1), ``},
		{`"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63), ``},
		{`"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64), `/a too_deep`},
		{`"a":` + strings.Repeat("[", 100000), `/a too_deep`},
		{`"a":1,"a":1`, `/a duplicate_member`},
		{`"a/b~c":1,"a\/b~c":1`, `/a~1b~0c duplicate_member`},
		{`"a":{"b":1,"b":1}`, `/a duplicate_member`},
		{`"a":"\ud800"`, `/a invalid_json`},
		{`"a":tru`, `/a invalid_json`},
		{`"z":1,"name":2,"a":` + text(httpapi.MaxExtra), `/name invalid_type, /a too_long`},
	} {
		w := a.post(body(fmt.Sprint("u", i), tt.members))
		label := tt.members[:min(40, len(tt.members))]
		if tt.want == "" {
			if want++; w.Code != 201 {
				t.Errorf("%s: got %d %s, want 201", label, w.Code, w.Body)
			}
			continue
		}
		p := decode[problem](t, w)
		if got := codes(t, w); w.Code != 400 || got != tt.want {
			t.Errorf("%s: got %d %s, want 400 %s", label, w.Code, got, tt.want)
		} else if f := p.Errors[len(p.Errors)-1]; f.Code == "too_long" && f.Limit != httpapi.MaxExtra {
			t.Errorf("%s: got limit %d, want %d", label, f.Limit, httpapi.MaxExtra)
		}
	}
	if created != want {
		t.Errorf("got %d users, want %d", created, want)
	}
}

func TestExtraMembersAreOfUsersAlone(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { s.http.ExtraMembers = []string{"description", "company"} })
	if w := a.do(request("POST", "/v1/demo/roles", `{"name":"x","description":"d","company":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`)); w.Code != 201 || !strings.Contains(w.Body.String(), `"description":"d"`) {
		t.Errorf("a role: got %d %s", w.Code, w.Body)
	}

	got := map[string]json.RawMessage{}
	a = newAPI(t, func(s *setup) {
		s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			got = p.Extra
			return nil
		}
	})
	if w := a.post(body("ann", `"company":1`)); w.Code != 201 || got != nil {
		t.Errorf("without the option: got %d, Extra %v, want 201 and none", w.Code, got)
	}
}

func TestExtraMembersCountForTheIdempotencyKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { s.http.ExtraMembers = []string{"company"} })
	for _, tt := range []struct {
		members string
		want    int
	}{{`"company":1`, 201}, {`"company":1`, 201}, {`"company":2`, 422}, {``, 422}} {
		if w := a.post(body("ann", tt.members), "Idempotency-Key", "k"); w.Code != tt.want {
			t.Errorf("%s: got %d %s, want %d", tt.members, w.Code, w.Body, tt.want)
		}
	}
}

// However deep: what a body may nest, the Service compares as it was understood.
func TestOrderInExtraMembersDoesNotCountForTheIdempotencyKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { s.http.ExtraMembers = []string{"company"} })
	const around = httpapi.MaxDepth - 2 // the body's own object and the one inside
	for _, inside := range []string{`{"a":1,"b":2}`, `{"b":2,"a":1}`} {
		nested := strings.Repeat("[", around) + inside + strings.Repeat("]", around)
		if w := a.post(body("ann", `"company":`+nested), "Idempotency-Key", "k"); w.Code != 201 {
			t.Errorf("%s: got %d %s, want 201", inside, w.Code, w.Body)
		}
	}
	deeper := strings.Repeat("[", around+1) + `{}` + strings.Repeat("]", around+1)
	if w := a.post(body("bob", `"company":`+deeper)); w.Code != 400 {
		t.Errorf("one level more: got %d, want 400", w.Code)
	}
}
