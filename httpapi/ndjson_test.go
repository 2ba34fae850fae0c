package httpapi_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/password"
)

// decoded is a row in short: the user name, or the pointers and codes of its faults.
func decoded(t testing.TB, row users.ImportUser, err error) string {
	if err == nil {
		return row.UserName
	}
	if !reflect.ValueOf(row).IsZero() {
		t.Errorf("beside the error %v there is %+v", err, row)
	}
	var invalid *users.ValidationError
	if !errors.As(err, &invalid) {
		return err.Error()
	}
	var list []string
	for _, f := range invalid.Fields {
		list = append(list, strings.TrimSpace(f.Pointer+" "+f.Code))
	}
	return strings.Join(list, ", ")
}

func decodeAll(t testing.TB, r io.Reader) (rows []string) {
	for row, err := range httpapi.DecodeUsers(r) {
		rows = append(rows, decoded(t, row, err))
	}
	return rows
}

// named is a line of n bytes.
func named(name string, n int) string {
	return `{"userName":"` + name + `"` + strings.Repeat(" ", n-len(`{"userName":""}`)-len(name)) + `}`
}

func TestEachLineIsARowWhateverTheOthersAre(t *testing.T) {
	t.Parallel()
	const good = `{"userName":"ann"}` + "\n"
	limit := httpapi.MaxBody
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"blank", "\n\r\n \t \n\n", ""},
		{"byte order mark alone", "\ufeff", ""},
		{"byte order mark", "\ufeff" + good, "ann"},
		{"file behind a file", good + "\ufeff" + good, "ann|ann"},
		{"no end of the last line", good + `{"userName":"bob"}`, "ann|bob"},
		{"CRLF", "{\"userName\":\"ann\"}\r\n\r\n{\"userName\":\"bob\"}\r\n", "ann|bob"},
		{"CR at the end", "{\"userName\":\"ann\"}\r", "ann"},
		{"CR alone", "{\"userName\":\"ann\"}\r{\"userName\":\"bob\"}\n" + good, "invalid_json|ann"},
		{"blanks around", " \t{ \"userName\" : \"ann\" } \n", "ann"},
		{"no JSON", "userName,email\n" + good, "invalid_json|ann"},
		{"array", "[" + strings.TrimSpace(good) + "]\n" + good, "invalid_json|ann"},
		{"two on a line", strings.TrimSpace(good) + good + good, "invalid_json|ann"},
		{"one on two lines", "{\"userName\":\n\"ann\"}\n" + good, "/userName invalid_json|invalid_json|ann"},
		{"null", "null\n" + good, "invalid_json|ann"},
		{"NUL", "{\"userName\":\"a\x00b\"}\n\x00\n" + good, "/userName invalid_json|invalid_json|ann"},
		{"invalid UTF-8", "{\"userName\":\"\xff\"}\n\xff\n" + good, "/userName invalid_json|invalid_json|ann"},
		{"twice", `{"userName":"ann","userName":"ann"}` + "\n" + good, "/userName duplicate_member|ann"},
		{"depth bomb", `{"x":` + strings.Repeat("[", 1000) + "\n" + good, "too_deep|ann"},
		{"wrong types", `{"userName":1,"email":[],"passwordHash":{},"emailVerified":"true","roles":[1],"creationDate":"x"}` + "\n" + good,
			"/userName invalid_type, /email invalid_type, /passwordHash invalid_type, /emailVerified invalid_type, /roles/0 invalid_type, /creationDate invalid_date|ann"},
		{"longest", named("ann", limit) + "\n" + named("bob", limit) + "\r\n" + named("eve", limit), "ann|bob|eve"},
		{"too long", named("ann", limit+1) + "\n" + named("bob", limit+1) + "\r\n" + good + named("eve", limit+1), "too_long|too_long|ann|too_long"},
		{"far too long", strings.Repeat(strings.TrimSpace(good), limit/4) + "\n" + good, "too_long|ann"},
		{"too long behind a CR", named("ann", limit) + "\rxxxx\n" + good, "too_long|ann"},
		{"too long and blank", strings.Repeat(" ", limit+1) + "\n" + good, "too_long|ann"},
	} {
		for how, r := range map[string]io.Reader{
			"whole": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)), "with its end": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			if got := strings.Join(decodeAll(t, r), "|"); got != tt.want {
				t.Errorf("%s, %s: got %q, want %q", tt.name, how, got, tt.want)
			}
		}
	}
}

func TestLineHasTheMembersOfAUserAndOfItsOrigin(t *testing.T) {
	t.Parallel()
	in := `{"username":"ann","email":"ann@example.com","password":"` + goodPassword + `","confirmPassword":"x","passwordHash":"$2a$10$x","emailVerified":true,` +
		`"id":"i","roles":["a",{"id":"b"}],"isApproved":false,"isLockedOut":true,"allowDashboardAccess":true,"dashboardSettings":{"a": 1},"name":"Ann",` +
		`"creationDate":"2020-01-02","dateCreated":"2020-01-02","dateUpdated":null,"sendEmailNotification":true,"embed":["roles"],"x":1}`
	want := users.ImportUser{
		CreateUserParams: users.CreateUserParams{
			UserName: "ann", Email: "ann@example.com", Password: password.New(goodPassword), ConfirmPassword: password.New("x"),
			PasswordHash: password.NewHash("$2a$10$x"), ID: "i", Roles: []users.RoleRef{{Name: "a"}, {ID: "b"}}, IsApproved: new(false),
			IsLockedOut: new(true), AllowDashboardAccess: true, DashboardSettings: []byte(`{"a": 1}`), Name: "Ann",
			CreationDate: time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC), SendEmailNotification: true,
		},
		EmailVerified: true,
	}
	for got, err := range httpapi.DecodeUsers(strings.NewReader(in)) {
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

// A line is read as the body of POST users is.
func TestLineIsReadAsABody(t *testing.T) {
	t.Parallel()
	everyBody(func(body string) {
		if strings.Contains(body, "\n") || strings.Contains(body, `"passwordHash"`) || strings.Contains(body, `"emailVerified"`) {
			return
		}
		read, found := httpapi.ReadBody("createUser", body)
		for row, err := range httpapi.DecodeUsers(strings.NewReader(body + "\n")) {
			switch {
			case len(found) > 0:
				if got, want := decoded(t, row, err), decoded(t, users.ImportUser{}, &users.ValidationError{Fields: found}); got != want {
					t.Errorf("%s: got %q, want %q", body, got, want)
				}
			case err != nil || !reflect.DeepEqual(row.CreateUserParams, read.User):
				t.Errorf("%s: got %+v, %v, want %+v", body, row, err, read.User)
			}
		}
	})
}

func TestFaultOfALineQuotesNothingAndSpeaksOfALine(t *testing.T) {
	t.Parallel()
	for _, tt := range badBodies {
		line := strings.ReplaceAll(tt.body, "\n", " ")
		if len(line) > 10000 {
			line = line[:10000]
		}
		for _, err := range httpapi.DecodeUsers(strings.NewReader(line)) {
			if err == nil {
				t.Errorf("%s: no error", tt.name)
			} else if text := err.Error(); strings.Contains(text, goodPassword) || strings.Contains(text, "body") || len(text) > 300 {
				t.Errorf("%s: %s", tt.name, text)
			}
		}
	}
}

func TestErrorOfTheReaderIsTheLastRow(t *testing.T) {
	t.Parallel()
	broken := errors.New("the wire is cut")
	in := io.MultiReader(strings.NewReader(`{"userName":"ann"}`+"\n"+`{"userName":"`+goodPassword), iotest.ErrReader(broken))
	rows := 0
	for row, err := range httpapi.DecodeUsers(in) {
		rows++
		if last := rows == 2; errors.Is(err, broken) != last || last && (strings.Contains(err.Error(), goodPassword) || !reflect.ValueOf(row).IsZero()) {
			t.Errorf("row %d: got %+v, %v", rows, row, err)
		}
	}
	if rows != 2 {
		t.Errorf("got %d rows, want 2", rows)
	}
}

// longLine is a line of n bytes.
type longLine struct{ n int }

func (r *longLine) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), r.n)
	r.n -= n
	for i := range p[:n] {
		p[i] = 'x'
	}
	return n, nil
}

func TestLongLineIsNotHeldInMemory(t *testing.T) {
	in := io.MultiReader(&longLine{64 << 20}, strings.NewReader("\n"+`{"userName":"ann"}`))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := decodeAll(t, in)
	runtime.ReadMemStats(&after)
	if want := []string{"too_long", "ann"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("allocated %d bytes", n)
	}
}

// Who breaks the sequence off has read what was asked for, and some in advance.
func TestRowsAreReadWhereTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	lines := strings.NewReader(strings.Repeat(`{"userName":"ann"}`+"\n", 100_000))
	size := lines.Len()
	for range httpapi.DecodeUsers(lines) {
		break
	}
	if read := size - lines.Len(); read > 64<<10 {
		t.Errorf("read %d bytes for one line", read)
	}
}

// However lines arrive, and whatever the others are, each is the row that it is alone.
func FuzzDecodeUsers(f *testing.F) {
	const good = `{"userName":"ann","email":"ann@example.com","passwordHash":"$2a$10$x","emailVerified":true}`
	for _, tt := range badBodies {
		f.Add(good + "\n" + tt.body[:min(len(tt.body), 2000)] + "\r\n" + good)
	}
	for _, value := range slices.Concat(brokenValues, wholeValues) {
		f.Add("\ufeff" + `{"roles":` + value + "}\n\n" + `{"emailVerified":` + value + `,"passwordHash":` + value + "}")
	}
	f.Add(named("ann", httpapi.MaxBody+1) + "\n" + good)
	f.Fuzz(func(t *testing.T, in string) {
		describe := func(row users.ImportUser, err error) string {
			return fmt.Sprintf("%s %+v %q", decoded(t, row, err), row, row.PasswordHash.Reveal()+row.Password.Reveal()+row.ConfirmPassword.Reveal())
		}
		all := func(r io.Reader) (rows []string) {
			for row, err := range httpapi.DecodeUsers(r) {
				if invalid := (*users.ValidationError)(nil); err != nil && (!errors.As(err, &invalid) || len(invalid.Fields) == 0) {
					t.Errorf("got %v", err)
				}
				row.IsApproved, row.IsLockedOut = nil, nil // pointers print as such
				rows = append(rows, describe(row, err))
			}
			return rows
		}
		whole := all(strings.NewReader(in))
		if got := all(iotest.OneByteReader(strings.NewReader(in))); !slices.Equal(got, whole) {
			t.Errorf("%q: byte by byte %q, whole %q", in, got, whole)
		}
		var alone []string
		for line := range strings.SplitSeq(in, "\n") {
			rows := all(strings.NewReader(line))
			if blank := strings.Trim(strings.TrimPrefix(line, "\ufeff"), " \t\r") == ""; blank != (len(rows) == 0) || len(rows) > 1 {
				t.Errorf("%q: %d rows", line, len(rows))
			}
			alone = append(alone, rows...)
		}
		if !slices.Equal(alone, whole) {
			t.Errorf("%q: alone %q, whole %q", in, alone, whole)
		}
	})
}
