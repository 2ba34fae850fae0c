package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/worktime"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

type amend = func(*users.CreateUserParams)

func userName(s string) amend { return func(p *users.CreateUserParams) { p.UserName = s } }
func email(s string) amend    { return func(p *users.CreateUserParams) { p.Email = s } }
func name(s string) amend     { return func(p *users.CreateUserParams) { p.Name = s } }
func id(s string) amend       { return func(p *users.CreateUserParams) { p.ID = s } }
func created(t time.Time) amend {
	return func(p *users.CreateUserParams) { p.CreationDate = t }
}
func passwords(pw, confirm string) amend {
	return func(p *users.CreateUserParams) {
		p.Password, p.ConfirmPassword = password.New(pw), password.New(confirm)
	}
}
func both(pw string) amend { return passwords(pw, pw) }
func auto(pw, confirm string) amend {
	return func(p *users.CreateUserParams) { passwords(pw, confirm)(p); p.AutoCreatePassword = true }
}
func roles(refs ...users.RoleRef) amend {
	return func(p *users.CreateUserParams) { p.Roles = refs }
}

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth-1) + "{}" + strings.Repeat("}", depth-1)
}

// tones is an unguessable text of n characters.
func tones(n int) string {
	var b strings.Builder
	for x := uint32(7); b.Len() < n; {
		x = x*1664525 + 1013904223
		b.WriteByte('a' + byte(x>>16%26))
	}
	return b.String()[:n]
}

// members is every member at every kind of value, with what is found wrong.
var members = map[string][]struct {
	what  string
	value amend
	want  string
}{
	"userName": {
		{"shortest", userName("a"), ""},
		{"absent", userName(""), "/userName required"},
		{"at the limit, in 4-byte characters", userName(strings.Repeat("𐐨", users.MaxUserName)), ""},
		{"too long", userName(strings.Repeat("x", users.MaxUserName+1)), "/userName too_long"},
		{"much too long", userName(strings.Repeat("𐐨", 100_000)), "/userName too_long"},
		{"invalid UTF-8", userName("a\xff"), "/userName invalid_utf8"},
		{"control character", userName("a\x00"), "/userName invalid_characters"},
		{"slash", userName("a/b"), "/userName invalid_characters"},
		{"dots", userName(".."), "/userName reserved"},
		{"id", userName(unknownID), "/userName looks_like_id"},
		{"id in full width", userName("７ZZZZZZZZZZZZZZZZZZZZZZZZZ"), "/userName looks_like_id"},
		{"own address", userName("ALICE@example.com"), ""},
		{"another's address", userName("bob@example.com"), "/userName not_own_email"},
		{"no address", userName("a@b"), "/userName not_own_email"},
		{"own address, which is invalid", func(p *users.CreateUserParams) { p.UserName, p.Email = "bob@x.example", "bob@" }, "/email invalid_email"},
		{"own address, which is absent", func(p *users.CreateUserParams) { p.UserName, p.Email = "bob@x.example", "" }, "/email required"},
	},
	"email": {
		{"absent", email(""), "/email required"},
		{"local part at its limit", email(strings.Repeat("l", 64) + "@" + strings.Repeat(strings.Repeat("d", 60)+".", 3) + "exampl"), ""},
		{"254 octets", email(strings.Repeat("l", 60) + "@" + strings.Repeat(strings.Repeat("d", 59)+".", 3) + strings.Repeat("e", 13)), ""},
		{"255 octets", email(strings.Repeat("l", 62) + "@" + strings.Repeat(strings.Repeat("d", 61)+".", 3) + strings.Repeat("e", 6)), "/email too_long"},
		{"octets, not characters", email(strings.Repeat("é", 31) + "@" + strings.Repeat(strings.Repeat("é", 30)+".", 4) + "example"), "/email too_long"},
		{"not an address", email("alice"), "/email invalid_email"},
		{"with a display name", email("Alice <alice@example.com>"), "/email invalid_email"},
		{"markup", email("<script>@example.com"), "/email invalid_email"},
		{"invalid UTF-8", email("a\xff@example.com"), "/email invalid_utf8"},
	},
	"password": {
		{"absent", passwords("", secret), "/password required"},
		{"both absent", both(""), "/password required /confirmPassword required"},
		{"15 characters", both(tones(15)), ""},
		{"14 characters", both(tones(14)), "/password too_short"},
		{"64 characters", both(tones(64)), ""},
		{"256 bytes", both(tones(256)), ""},
		{"at the limit", both(tones(1024)), ""},
		{"too long", both(tones(1025)), "/password too_long"},
		{"spaces are kept", both("  " + tones(11) + "  "), ""},
		{"invalid UTF-8", both(tones(15) + "\xff"), "/password not_text"},
		{"control character", both(tones(15) + "\t"), "/password control_character"},
		{"common", both("passwordpassword1"), "/password common"},
		{"user name", func(p *users.CreateUserParams) { userName("otterbankington")(p); both("otterbankington")(p) }, "/password personal"},
		{"address", both("alice@example.com"), "/password personal"},
		{"display name", func(p *users.CreateUserParams) { name("Otter von Bankington")(p); both("Otter von Bankington")(p) }, "/password personal"},
	},
	"confirmPassword": {
		{"absent", passwords(secret, ""), "/confirmPassword required"},
		{"another", passwords(secret, secret+" "), "/confirmPassword mismatch"},
		{"equal only after NFC", passwords(tones(15)+"e\u0301", tones(15)+"\u00e9"), "/confirmPassword mismatch"},
		{"another, and a bad password", passwords("short", "other"), "/password too_short /confirmPassword mismatch"},
	},
	"autoCreatePassword": {
		{"true", auto("", ""), ""},
		{"with a password", auto(secret, ""), "/password excluded"},
		{"with a confirmation", auto("", secret), "/confirmPassword excluded"},
		{"with both", auto("x", "y"), "/password excluded /confirmPassword excluded"},
	},
	"sendEmailNotification": {
		{"true", func(p *users.CreateUserParams) { p.SendEmailNotification = true }, ""},
	},
	"allowDashboardAccess": {
		{"true", func(p *users.CreateUserParams) { p.AllowDashboardAccess = true }, ""},
	},
	"dashboardSettings": {
		{"null", settings(" null\n"), ""},
		{"empty", settings(""), ""},
		{"empty object", settings("{}"), ""},
		{"deepest", settings(nested(users.MaxDashboardDepth)), ""},
		{"too deep", settings(nested(users.MaxDashboardDepth + 1)), "/dashboardSettings too_deep"},
		{"too deep in arrays", settings(`{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`), "/dashboardSettings too_deep"},
		{"much too deep", settings(`{"a":` + strings.Repeat("[", 60_000)), "/dashboardSettings too_deep"},
		{"brackets in a string", settings(`{"a":"\"` + strings.Repeat("[{", 30) + `"}`), ""},
		{"too deep after a string", settings(`{"a":"\\","b":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`), "/dashboardSettings too_deep"},
		{"cut off in an escape", settings(`{"a":"\`), "/dashboardSettings invalid_json"},
		{"largest", settings(`{"a":"` + strings.Repeat("x", users.MaxDashboardSettings-8) + `"}`), ""},
		{"too large", settings(`{"a":"` + strings.Repeat("x", users.MaxDashboardSettings-7) + `"}`), "/dashboardSettings too_long"},
		{"odd but right", settings(`{"n":1e400000,"":"\u0000","ſ":1,"s":2}`), ""},
		{"array", settings(`[]`), "/dashboardSettings invalid_type"},
		{"string", settings(`"x"`), "/dashboardSettings invalid_type"},
		{"nothing", settings(` `), "/dashboardSettings invalid_type"},
		{"cut off", settings(`{"a":1`), "/dashboardSettings invalid_json"},
		{"something after it", settings(`{} {}`), "/dashboardSettings invalid_json"},
		{"duplicate members", settings(`{"a":1,"\u0061":2}`), "/dashboardSettings invalid_json"},
		{"duplicate members inside", settings(`{"a":[{"b":1,"b":2}]}`), "/dashboardSettings invalid_json"},
		{"invalid UTF-8", settings("{\"a\":\"\xff\"}"), "/dashboardSettings invalid_json"},
		{"lone surrogate", settings(`{"a":"\ud800"}`), "/dashboardSettings invalid_json"},
		{"comment", settings(`{"a":1/**/}`), "/dashboardSettings invalid_json"},
		{"byte order mark", settings("\ufeff{}"), "/dashboardSettings invalid_type"},
	},
	"creationDate": {
		{"first moment", created(time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)), ""},
		{"last moment", created(time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)), ""},
		{"year 10000", created(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), "/creationDate out_of_range"},
		{"year 10000 in UTC", created(time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200))), "/creationDate out_of_range"},
		{"year 0", created(time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)), "/creationDate out_of_range"},
		{"year 0 in UTC", created(time.Date(1, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600))), "/creationDate out_of_range"},
		{"before that", created(time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)), "/creationDate out_of_range"},
	},
	"isApproved": {
		{"true", func(p *users.CreateUserParams) { p.IsApproved = ptr(true) }, ""},
		{"false", func(p *users.CreateUserParams) { p.IsApproved = ptr(false) }, ""},
	},
	"isLockedOut": {
		{"true", func(p *users.CreateUserParams) { p.IsLockedOut = ptr(true) }, ""},
		{"false", func(p *users.CreateUserParams) { p.IsLockedOut = ptr(false) }, ""},
	},
	"name": {
		{"at the limit, in 4-byte characters", name(strings.Repeat("🦊", users.MaxDisplayName)), ""},
		{"too long", name(strings.Repeat("🦊", users.MaxDisplayName+1)), "/name too_long"},
		{"invalid UTF-8", name("\xff"), "/name invalid_utf8"},
		{"line break", name("a\nb"), "/name invalid_characters"},
	},
	"roles": {
		{"most", roles(repeat(users.RoleRef{Name: "editor"}, users.MaxRoles)...), ""},
		{"too many", roles(repeat(users.RoleRef{Name: "editor"}, users.MaxRoles+1)...), "/roles too_many"},
		{"without name and id", roles(users.RoleRef{Name: "editor"}, users.RoleRef{}), "/roles/1 required"},
		{"all-zero id, without name", roles(users.RoleRef{ID: "00000000000000000000000000"}), "/roles/0 required"},
		{"all-zero id", roles(users.RoleRef{ID: "00000000-0000-0000-0000-000000000000", Name: "editor"}), ""},
		{"all-zero id of another length", roles(users.RoleRef{ID: "0", Name: "editor"}), ""},
		{"all-zero id of another length, without name", roles(users.RoleRef{ID: strings.Repeat("0", 32)}), "/roles/0 required"},
		{"hyphens", roles(users.RoleRef{ID: "-", Name: "editor"}), "/roles/0 invalid_id"},
		{"bad id", roles(users.RoleRef{ID: "x", Name: "editor"}), "/roles/0 invalid_id"},
		{"bad name", roles(users.RoleRef{Name: strings.Repeat("x", users.MaxRoleName+1)}), "/roles/0 too_long"},
		{"unknown", roles(users.RoleRef{Name: "editor"}, users.RoleRef{Name: "Editor"}, users.RoleRef{ID: unknownID}), "/roles/1 unknown_role /roles/2 unknown_role"},
		{"unknown beside malformed", roles(users.RoleRef{Name: "Editor"}, users.RoleRef{}, users.RoleRef{ID: "x"}, users.RoleRef{ID: unknownID}), "/roles/0 unknown_role /roles/1 required /roles/2 invalid_id /roles/3 unknown_role"},
		{"decomposed name", roles(users.RoleRef{Name: "Ko\u0308ch"}), ""},
	},
	"dateCreated": {}, "dateUpdated": {}, "embed": {}, // of the HTTP body alone
	"id": {
		{"ULID", id("01ARZ3NDEKTSV4RRFFQ69G5FAV"), ""},
		{"UUID in upper case", id("ABCDEFAB-0000-4000-8000-000000000001"), ""},
		{"all zeros", id("00000000-0000-0000-0000-000000000000"), ""},
		{"one zero", id("0"), ""},
		{"zeros of another length", id(strings.Repeat("0", 32)), ""},
		{"hyphens", id("--"), "/id invalid_id"},
		{"ULID with a letter outside of its alphabet", id("01ARZ3NDEKTSV4RRFFQ69G5FAU"), "/id invalid_id"},
		{"ULID that overflows", id("81ARZ3NDEKTSV4RRFFQ69G5FAV"), "/id invalid_id"},
		{"UUID without hyphens", id("abcdefab000040008000000000000001"), "/id invalid_id"},
		{"UUID with hyphens elsewhere", id("abcdefab0-000-4000-8000-000000000001"), "/id invalid_id"},
		{"UUID in braces", id("{abcdefab-0000-4000-8000-000000000001}"), "/id invalid_id"},
		{"text", id("alice"), "/id invalid_id"},
		{"space", id(" "), "/id invalid_id"},
	},
}

func repeat[T any](v T, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func TestEveryMemberAtEveryKindOfValue(t *testing.T) {
	t.Parallel()
	for member, values := range members {
		for _, v := range values {
			t.Run(member+"/"+v.what, func(t *testing.T) {
				t.Parallel()
				store, h := memstore.New(), newHasher()
				svc := newServiceOn(t, store, users.Options{Hasher: h})
				addRole(t, svc, "editor")
				addRole(t, svc, "Köch")
				p := params("alice")
				v.value(&p)
				u, err := svc.Create(t.Context(), apiKey, p)
				if v.want == "" {
					if err != nil {
						t.Fatal(err)
					}
					if _, err := svc.User(t.Context(), apiKey, u.ID); err != nil {
						t.Error(err)
					}
					return
				}
				equal(t, "findings", strings.Join(findings(t, err), " "), v.want)
				equal(t, "hashes", h.made.Load(), 0)
				checked := svc.CheckCreate(t.Context(), apiKey, p)
				equal(t, "CheckCreate", checked.Error(), err.Error())
				quotesNothing(t, err, p)
			})
		}
	}
}

// quotesNothing looks for what was sent in the text of an error.
func quotesNothing(t *testing.T, err error, p users.CreateUserParams) {
	t.Helper()
	sent := []string{p.UserName, p.Email, p.Name, p.ID, string(p.DashboardSettings), p.Password.Reveal(), p.ConfirmPassword.Reveal()}
	for _, r := range p.Roles {
		sent = append(sent, r.Name, r.ID)
	}
	for _, s := range sent {
		if len(s) > 4 && strings.Contains(err.Error(), s) {
			t.Errorf("%v quotes %q", err, s)
		}
	}
}

func TestEveryContractMemberHasItsCases(t *testing.T) {
	t.Parallel()
	for _, m := range words(`userName email password confirmPassword autoCreatePassword sendEmailNotification allowDashboardAccess
		dashboardSettings creationDate isApproved isLockedOut name roles dateCreated dateUpdated id embed`) {
		if _, ok := members[m]; !ok {
			t.Errorf("%s has no cases", m)
		}
	}
	equal(t, "members", len(members), 17)
}

func TestAllFindingsComeInOneAnswerInContractOrder(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	_, err := svc.Create(t.Context(), apiKey, users.CreateUserParams{})
	equal(t, "empty request", findings(t, err), []string{"/userName required", "/email required", "/password required", "/confirmPassword required"})
	p := users.CreateUserParams{
		UserName: "a/b", Email: "x", Password: password.New("short"), ConfirmPassword: password.New("other"),
		DashboardSettings: []byte("[]"), CreationDate: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), Name: "\x00",
		Roles: []users.RoleRef{{}, {ID: "x"}}, ID: "x", IdempotencyKey: "é",
	}
	err = svc.CheckCreate(t.Context(), apiKey, p)
	equal(t, "everything wrong", findings(t, err), []string{
		"/userName invalid_characters", "/email invalid_email", "/password too_short", "/confirmPassword mismatch",
		"/dashboardSettings invalid_type", "/creationDate out_of_range", "/name invalid_characters",
		"/roles/0 required", "/roles/1 invalid_id", "/id invalid_id", " invalid_idempotency_key",
	})
	// Roles are looked up for one who may give them, also if something else is wrong.
	p = params("")
	p.Roles = []users.RoleRef{{Name: "ghost"}}
	err = svc.CheckCreate(t.Context(), apiKey, p)
	equal(t, "unknown role among others", findings(t, err), []string{"/userName required", "/email invalid_email", "/roles/0 unknown_role"})
	equal(t, "text", err.Error(), "users: invalid: /userName: is required; "+
		`/email: must be a plain e-mail address with one "@", such as name@example.com; /roles/0: no such role in this application`)
	// And not for one who may not, who learns of the rest first.
	err = svc.CheckCreate(as(t.Context(), limited), apiKey, p)
	equal(t, "the same as a limited caller", findings(t, err), []string{"/userName required", "/email invalid_email"})
}

func TestJoinValidationKeepsTheFirstFindingOfAMember(t *testing.T) {
	t.Parallel()
	finding := func(pointer, code string) users.FieldError {
		return users.FieldError{Pointer: pointer, Code: code, Detail: "x"}
	}
	decoding := &users.ValidationError{Fields: []users.FieldError{
		finding("/embed", "invalid"), finding("/roles/1/name", "type"), finding("/userName", "type"), finding("", "offset"),
	}}
	checking := &users.ValidationError{Fields: []users.FieldError{
		finding("/email", "required"), finding("/userName", "required"), finding("/roles", "too_many"), finding("/roles/0", "required"), finding("", "key"),
	}}
	got := users.JoinValidation(nil, decoding, checking)
	equal(t, "merged", findings(t, got), []string{
		"/userName type", "/email required", "/roles/0 required", "/roles/1/name type", "/embed invalid", " offset", " key",
	})
	odd := &users.ValidationError{Fields: []users.FieldError{finding("a/b", "1"), finding("a", "2"), finding("c", "3")}}
	equal(t, "no pointers", findings(t, users.JoinValidation(odd)), []string{"a/b 1", "c 3"})
	if got := users.JoinValidation(nil, &users.ValidationError{}); got != nil {
		t.Errorf("got %v, want nil where nothing was found", got)
	}
	equal(t, "the arguments are left alone", decoding.Fields[0].Pointer, "/embed")
}

// A client decides how many findings there are.
func TestFindingsAreCollectedInLinearTime(t *testing.T) {
	many := func(at string, n int) *users.ValidationError {
		e := &users.ValidationError{Fields: make([]users.FieldError, n)}
		for i := range e.Fields {
			e.Fields[i] = users.FieldError{Pointer: fmt.Sprintf("%s/%d", at, i), Code: "x", Detail: "x"}
		}
		return e
	}
	for what, collect := range map[string]func(n int) func(){
		"joined": func(n int) func() {
			decoding, checking := many("/embed", n), many("/embed", n)
			return func() { users.JoinValidation(decoding, checking) }
		},
		"found by a hook": func(n int) func() {
			e := many("", n)
			svc := newService(t, users.Options{
				ValidateDashboardSettings: func(context.Context, users.Application, json.RawMessage) error { return e },
			})
			p := params("alice")
			p.DashboardSettings = json.RawMessage(`{"a":1}`)
			return func() { svc.CheckCreate(t.Context(), apiKey, p) }
		},
	} {
		const n, times, enough = 1000, 8, 24 // squared, it would be 64 times as long
		few, many := collect(n), collect(times*n)
		// The collector disturbs some rounds, and hardly all.
		least, most := worktime.Of(few), worktime.Of(many)
		for round := 0; most > enough*least && round < 30; round++ {
			least, most = min(least, worktime.Of(few)), min(most, worktime.Of(many))
		}
		if most > enough*least {
			t.Errorf("%s: %d findings took %v, %d took %v", what, n, least, times*n, most)
		}
	}
}

// bcrypt stops reading at 72 bytes: what is longer is the client's to mend.
func TestPasswordTooLongForTheHasherIsInvalid(t *testing.T) {
	t.Parallel()
	bcrypt, err := password.Bcrypt(password.MinBcryptCost)
	if err != nil {
		t.Fatal(err)
	}
	svc := newService(t, users.Options{Hasher: bcrypt})
	for pw, want := range map[string]string{
		tones(72):                               "",
		tones(73):                               "/password too_long",
		tones(70) + "\u00e9":                    "",                   // 72 bytes
		tones(70) + "e\u0301":                   "",                   // 73 bytes, 72 after NFC
		tones(71) + "\u00e9":                    "/password too_long", // 72 characters, 73 bytes
		strings.Repeat("\u0958", 2) + tones(62): "/password too_long", // 68 bytes, 74 after NFC
	} {
		p := params("alice")
		both(pw)(&p)
		err := svc.CheckCreate(t.Context(), apiKey, p)
		if want == "" {
			equal(t, fmt.Sprint(len(pw)), err, nil)
			continue
		}
		equal(t, fmt.Sprint(len(pw)), strings.Join(findings(t, err), " "), want)
		if _, err := svc.Create(t.Context(), apiKey, p); !errors.Is(err, users.ErrValidation) {
			t.Errorf("got %v, want it invalid", err)
		}
	}
	p := params("alice")
	both(tones(72))(&p)
	if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
		t.Errorf("72 bytes: %v", err)
	}
}
