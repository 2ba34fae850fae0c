package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/examples/internal/database"
	"github.com/gousers/users/password"
)

// childVariable makes this test binary the command, with the arguments it has.
const childVariable = "USERS_EXAMPLE_IMPORT"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const app = "shop"

// newFile writes a file and returns its name.
func newFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newDSN(t *testing.T) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "users.db")
}

// importing runs the command and wants an exit code.
func importing(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	if code := run(t.Context(), args, nil, &out, &log); code != want {
		t.Fatalf("import %q: got code %d, want %d: %s%s", args, code, want, &out, &log)
	}
	return out.String(), log.String()
}

// into are arguments for the application app, which is made.
func into(dsn string, args ...string) []string {
	return append([]string{"-db", dsn, "-application", app, "-make"}, args...)
}

// service opens the database for a look at it.
func service(t *testing.T, dsn string) (*users.Service, users.Store) {
	t.Helper()
	db, err := database.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	store, closeStore, err := db.Open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore() })
	svc, err := users.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	return svc, store
}

// names are the user names in the database, in their order.
func names(t *testing.T, dsn string) []string {
	t.Helper()
	svc, _ := service(t, dsn)
	var all []string
	for u, err := range svc.EachUser(t.Context(), app, users.UserFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u.UserName)
	}
	slices.Sort(all)
	return all
}

func wantNames(t *testing.T, dsn string, want ...string) {
	t.Helper()
	if got := names(t, dsn); !slices.Equal(got, want) {
		t.Errorf("got the users %q, want %q", got, want)
	}
}

func wantSignIn(t *testing.T, dsn, login, pw string) {
	t.Helper()
	svc, _ := service(t, dsn)
	if _, err := svc.Authenticate(t.Context(), app, login, password.New(pw)); err != nil {
		t.Errorf("%s can't sign in: %v", login, err)
	}
}

// bcryptLine is a line for a user whose password is "U*U".
func bcryptLine(name string) string {
	return fmt.Sprintf(`{"userName":%q,"email":"%s@example.com","passwordHash":%q}`+"\n", name, name, bcryptOfUU)
}

// bcryptOfUU is from crypt_blowfish, wrapper.c.
const bcryptOfUU = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

const goodPassword = "violet harbour 47 crumpets"

// exporter is the other command.
var exporter = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "users-export-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "export")
	out, err := exec.Command("go", "build", "-o", path, "../export").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return path, err
})

func exporting(t *testing.T, dsn string, args ...string) string {
	t.Helper()
	path, err := exporter()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-db", dsn, "-application", app}, args...)...)
	cmd.Stderr = new(bytes.Buffer)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("export: %v: %s", err, cmd.Stderr)
	}
	return string(out)
}

// seed makes users who differ in every member.
func seed(t *testing.T, dsn string) {
	t.Helper()
	svc, _ := service(t, dsn)
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: app}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"editor", "author", "a|b <&> ü"} {
		if _, err := svc.CreateRole(t.Context(), app, users.Role{Name: name, Description: "of " + name}); err != nil {
			t.Fatal(err)
		}
	}
	hash := password.NewHash(bcryptOfUU)
	rows := []users.ImportUser{
		{CreateUserParams: users.CreateUserParams{UserName: "plain", Email: "plain@example.com", Password: password.New(goodPassword)}},
		{CreateUserParams: users.CreateUserParams{UserName: "nobody", Email: "nobody@example.com"}},
		{CreateUserParams: users.CreateUserParams{
			UserName: "Jürgen", Email: "Jürgen@example.com", Name: `J <"> & ü`, PasswordHash: hash,
			ID: "0b8f3c1e-8f5e-4f6a-9c3d-2a1b0c9d8e7f", CreationDate: time.Date(2009, 2, 3, 4, 5, 6, 789000, time.UTC),
			Roles:                []users.RoleRef{{Name: "editor"}, {Name: "a|b <&> ü"}, {Name: "author"}},
			AllowDashboardAccess: true, DashboardSettings: []byte(`{ "b" : [1.0, "<&>"],  "a": null }`),
		}, EmailVerified: true},
		{CreateUserParams: users.CreateUserParams{UserName: "locked", Email: "locked@example.com", PasswordHash: hash, IsLockedOut: new(true)}},
		{CreateUserParams: users.CreateUserParams{UserName: "waiting", Email: "waiting@example.com", PasswordHash: hash, IsApproved: new(false)}},
	}
	all := func(yield func(users.ImportUser, error) bool) {
		for _, u := range rows {
			if !yield(u, nil) {
				return
			}
		}
		for i := range 1100 { // more than a page
			u := users.CreateUserParams{UserName: fmt.Sprint("user", i), Email: fmt.Sprintf("user%d@example.com", i), PasswordHash: hash}
			if !yield(users.ImportUser{CreateUserParams: u}, nil) {
				return
			}
		}
	}
	for r, err := range svc.Import(t.Context(), app, all, nil) {
		if err != nil || r.Outcome != users.ImportCreated {
			t.Fatalf("%+v (%v)", r, err)
		}
	}
}

func TestMovingToAnotherDatabaseIsTwoCommandsAndLosesNothing(t *testing.T) {
	t.Parallel()
	from, to := newDSN(t), newDSN(t)
	seed(t, from)
	lines := exporting(t, from, "-hashes")
	if n := strings.Count(lines, "\n"); n != 1105 {
		t.Fatalf("got %d lines, want 1105", n)
	}
	if !strings.Contains(lines, `"dashboardSettings":{ "b" : [1.0, "<&>"],  "a": null }}`) {
		t.Error("dashboardSettings are not as they were given")
	}
	importing(t, exitOK, into(to, newFile(t, lines))...)
	if again := exporting(t, to, "-hashes"); again != lines {
		t.Errorf("the users are others now:\n%s", firstDifference(lines, again))
	}
	wantSignIn(t, to, "plain", goodPassword)
	wantSignIn(t, to, "jürgen", "U*U")
	wantSignIn(t, to, "user1099@example.com", "U*U")
	svc, _ := service(t, to)
	for login, want := range map[string]error{"locked": users.ErrLockedOut, "waiting": users.ErrNotApproved, "nobody": users.ErrBadCredentials} {
		if _, err := svc.Authenticate(t.Context(), app, login, password.New("U*U")); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", login, err, want)
		}
	}
	u, err := svc.User(t.Context(), app, "jürgen")
	if err != nil || u.EmailVerified.IsZero() {
		t.Errorf("the address is not verified (%v)", err)
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}

func TestAnExportHasHashesOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	from, to := newDSN(t), newDSN(t)
	importing(t, exitOK, into(from, newFile(t, bcryptLine("jane")))...)
	lines := exporting(t, from)
	if strings.Contains(lines, "passwordHash") || strings.Contains(lines, "$2a$") {
		t.Fatalf("a hash is in %s", lines)
	}
	importing(t, exitOK, into(to, newFile(t, lines))...)
	_, store := service(t, to)
	a, err := store.FindApplication(t.Context(), users.ApplicationQuery{APIKey: app})
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.FindUsers(t.Context(), users.UserQuery{ApplicationID: a.ID, NameKeys: []string{"jane"}})
	if err != nil || len(found) != 1 || !found[0].Hash.IsZero() {
		t.Errorf("got %d users (%v), want one without a password", len(found), err)
	}
}

// TestExitCodesTellWhatBecameOfTheRows of which none harms another.
func TestExitCodesTellWhatBecameOfTheRows(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	lines := bcryptLine("jane") + "\n" + `{"userName":"noaddress"}` + "\n" + bcryptLine("joan") + bcryptLine("JANE") + "no JSON\n" +
		`{"userName":"` + strings.Repeat("x", 300<<10) + `","email":"x@example.com"}` + "\n" + strings.TrimSuffix(bcryptLine("john"), "\n")
	stdout, stderr := importing(t, exitRefused, into(dsn, newFile(t, lines))...)
	if !strings.HasPrefix(stdout, "7 rows: 3 created, 0 exist, 1 duplicates, 3 refused, in ") {
		t.Errorf("got %q", stdout)
	}
	for _, want := range []string{"row 2: refused: ", "row 4: duplicate: ", "row 5: refused: ", "row 6: refused: "} {
		if !strings.Contains(stderr, want) {
			t.Errorf("got %q, want %q in it", stderr, want)
		}
	}
	wantNames(t, dsn, "jane", "joan", "john")

	stdout, _ = importing(t, exitOK, into(dsn, newFile(t, bcryptLine("jane")+bcryptLine("jill")))...)
	if !strings.HasPrefix(stdout, "2 rows: 1 created, 1 exist, 0 duplicates, 0 refused, in ") {
		t.Errorf("got %q", stdout)
	}
}

func TestRefusalsOnStandardErrorAreTheFirstAlone(t *testing.T) {
	t.Parallel()
	_, stderr := importing(t, exitRefused, into(newDSN(t), newFile(t, strings.Repeat("{}\n", 30)))...)
	if n := strings.Count(stderr, "\n"); n != shown+1 || !strings.Contains(stderr, "-report") {
		t.Errorf("got %d lines, want %d: %s", n, shown+1, stderr)
	}
}

func TestWhatCannotBeginIsCode2AndOneLine(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	good, csv := newFile(t, bcryptLine("jane")), "userName,email\njane,jane@example.com\n"
	for name, args := range map[string][]string{
		"no application":            {"-db", dsn, good},
		"an unknown application":    {"-db", dsn, "-application", "none", good},
		"a dry run without it":      {"-db", dsn, "-application", "none", "-make", "-dry-run", good},
		"two files":                 into(dsn, good, good),
		"no such file":              into(dsn, good+"x"),
		"no such flag":              into(dsn, "-nothing", good),
		"no such format":            into(dsn, "-format", "xml", good),
		"memory":                    into("memory:", good),
		"no such database":          into("sqlite:/none/there/users.db", good),
		"an unknown column":         into(dsn, "-format", "csv", newFile(t, strings.Replace(csv, "email", "email,mail", 1))),
		"a column twice":            into(dsn, "-format", "csv", newFile(t, strings.Replace(csv, "email", "email,email", 1))),
		"semicolons":                into(dsn, "-format", "csv", newFile(t, strings.ReplaceAll(csv, ",", ";"))),
		"no column with an address": into(dsn, "-format", "csv", newFile(t, strings.Replace(csv, "email", "name", 1))),
		"an empty CSV":              into(dsn, "-format", "csv", newFile(t, "")),
		"a report that is there":    into(dsn, "-report", good, good),
		"firebase without keys":     into(dsn, "-format", "firebase", good),
		"keys for another":          into(dsn, "-format", "auth0", "-hash-config", good, good),
		"keys that are none":        into(dsn, "-format", "firebase", "-hash-config", good, good),
		"an empty export":           into(dsn, "-format", "auth0", newFile(t, " \n")),
		"CSV of another table":      into(dsn, "-format", "wordpress", newFile(t, csv)),
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr := importing(t, exitBroken, args...)
			if strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, bcryptOfUU) {
				t.Errorf("got %q, want one line without what the file holds", stderr)
			}
		})
	}
	importing(t, exitOK, into(dsn, newFile(t, ""))...)
	wantNames(t, dsn)
}

// TestAFileThatEndsEarlyBreaksOff with what came before imported, and the whole file goes on from there.
func TestAFileThatEndsEarlyBreaksOff(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ format, whole, cut string }{
		"ndjson":            {"ndjson", bcryptLine("jane") + bcryptLine("john"), `@example.com","passwordHash":"` + bcryptOfUU + "\"}\n"},
		"csv":               {"csv", "userName,email,name\njane,jane@example.com,\njohn,john@example.com,\"J\"\n", "\"\n"},
		"a list":            {"auth0", `[{"email":"jane"},{"username":"jane","email":"jane@example.com"},{"username":"john","email":"john@example.com"}]`, `m"}]`},
		"between elements":  {"auth0", `[{"username":"jane","email":"jane@example.com"},{"username":"john","email":"john@example.com"}]`, `,{"username":"john","email":"john@example.com"}]`},
		"objects":           {"auth0", `{"username":"jane","email":"jane@example.com"}{"username":"john","email":"john@example.com"}`, `m"}`},
		"a list of a realm": {"keycloak", `{"clients":[{"users":[1]}],"users":[{"username":"jane","email":"jane@example.com"},{"username":"john","email":"john@example.com"}]}`, `m"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := newDSN(t)
			part := tt.whole[:strings.LastIndex(tt.whole, tt.cut)]
			_, stderr := importing(t, exitBroken, into(dsn, "-format", tt.format, newFile(t, part))...)
			if !strings.Contains(stderr, "broken off") {
				t.Errorf("got %q", stderr)
			}
			wantNames(t, dsn, "jane")
			code := exitOK
			if name == "a list" {
				code = exitRefused
			}
			importing(t, code, into(dsn, "-format", tt.format, newFile(t, tt.whole))...)
			wantNames(t, dsn, "jane", "john")
		})
	}
}

// TestAQuoteThatIsNotClosedDoesNotTakeTheFileIntoMemory nor does an object.
func TestAQuoteThatIsNotClosedDoesNotTakeTheFileIntoMemory(t *testing.T) {
	t.Parallel()
	for format, start := range map[string]string{
		"csv":   "userName,email\njane,jane@example.com\njohn,\"john@example.com\n",
		"auth0": `[{"username":"jane","email":"jane@example.com"},{"username":"`,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dsn := newDSN(t)
			_, stderr := importing(t, exitBroken, into(dsn, "-format", format, newFile(t, start+strings.Repeat("joan,joan@example.com ", 3*maxRecord/20)))...)
			if !strings.Contains(stderr, "not closed") {
				t.Errorf("got %q", stderr)
			}
			wantNames(t, dsn, "jane")
		})
	}
}

// TestFilesMayBeLarge: what bounds a row does not bound a file.
func TestFilesMayBeLarge(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	importing(t, exitOK, into(dsn, newFile(t, ""))...)
	const n = 3 * maxRecord / 1000
	filler := strings.Repeat("x", 1000)
	var csv, list, objects, skipped strings.Builder
	csv.WriteString("userName,email,passwordHash,dashboardSettings\n")
	for i := range n {
		fmt.Fprintf(&csv, "user%d,user%[1]d@example.com,%s,\"{\"\"a\"\":\"\"%s\"\"}\"\n", i, bcryptOfUU, filler)
		fmt.Fprintf(&list, `,{"email":"user%d@example.com","other":"%s"}`, i, filler)
		fmt.Fprintf(&objects, `{"email":"user%d@example.com","other":"%s"}`+"\n", i, filler)
		fmt.Fprintf(&skipped, `,{"a":["%s"]}`, filler)
	}
	for format, text := range map[string]string{
		"csv":      csv.String(),
		"auth0":    "[" + list.String()[1:] + "]",
		"supabase": objects.String(),
		"keycloak": `{"clients":[` + skipped.String()[1:] + `],"users":[{"username":"jane","email":"jane@example.com"}]}`,
	} {
		t.Run(format, func(t *testing.T) {
			stdout, _ := importing(t, exitOK, into(dsn, "-dry-run", "-format", format, newFile(t, text))...)
			want := fmt.Sprintf("%d rows: ", n)
			if format == "keycloak" {
				want = "1 rows: "
			}
			if !strings.HasPrefix(stdout, want) {
				t.Errorf("got %q, want %q", stdout, want)
			}
		})
	}
}

func TestCSVIsReadAsSpreadsheetsWriteIt(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	text := byteOrderMark + "userName,email,name,roles,isApproved,isLockedOut,emailVerified,creationDate,dashboardSettings,password,passwordHash\r\n" +
		`jane,jane@example.com,"Doe, ""J"" Jane",editor|author,true,false,true,2009-02-03,"{""a"":1}",` + goodPassword + ",\r\n" +
		"john,john@example.com,,,false,,,,,," + bcryptOfUU + "\r\n" +
		"jack,jack@example.com,,,yes,,,,,,\r\n" + // no boolean
		"jill,jill@example.com\r\n" + // too short
		"j\xfcrgen,jurgen@example.com,,,,,,,,,\r\n" + // Latin-1
		"jim,jim@example.com,,,,,,,,,"
	_, stderr := importing(t, exitRefused, into(dsn, "-format", "csv", newFile(t, text))...)
	for _, want := range []string{"row 3: refused: ", "/isApproved", "row 4: refused: ", "2 fields", "row 5: refused: ", "UTF-8"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("got %q, want %q in it", stderr, want)
		}
	}
	wantNames(t, dsn, "jane", "jim", "john")
	svc, _ := service(t, dsn)
	u, err := svc.User(t.Context(), app, "jane")
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != `Doe, "J" Jane` || len(u.Roles) != 2 || !u.IsApproved || u.EmailVerified.IsZero() || !u.CreationDate.Equal(time.Date(2009, 2, 3, 0, 0, 0, 0, time.UTC)) || string(u.DashboardSettings) != `{"a":1}` {
		t.Errorf("got %+v", u)
	}
	wantSignIn(t, dsn, "jane", goodPassword)
	if u, err = svc.User(t.Context(), app, "john"); err != nil || u.IsApproved {
		t.Errorf("got %+v (%v), want a user who is not approved", u, err)
	}
}

// TestAReportCanBeMendedAndImported with its own refusals reported again.
func TestAReportCanBeMendedAndImported(t *testing.T) {
	t.Parallel()
	dsn, dir := newDSN(t), t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	csv := "userName,email,password,roles\n" +
		"jane,jane@example.com," + goodPassword + ",\n" +
		"john,no address," + goodPassword + ",editor\n" +
		"Jane,other@example.com," + goodPassword + ",\n" +
		"joan,joan@example.com,short,\n"
	importing(t, exitRefused, into(dsn, "-format", "csv", "-report", first, newFile(t, csv))...)
	wantNames(t, dsn, "jane")
	if info, err := os.Stat(first); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the report is not its owner's alone: %v (%v)", info.Mode(), err)
	}
	wantLines(t, first,
		`{"row":2,"outcome":"refused","errors":[{"pointer":"/email","code":"invalid_email"`,
		`{"row":3,"outcome":"duplicate","errors":[{"pointer":"/userName","code":"conflict","detail":"is in use"}],"userName":"Jane","email":"other@example.com","password":"`+goodPassword+`"}`,
		`{"row":4,"outcome":"refused","errors":[{"pointer":"/password","code":"too_short"`)

	mend(t, first, "no address", "john@example.com")
	importing(t, exitRefused, into(dsn, "-report", second, first)...)
	wantNames(t, dsn, "jane", "john")
	wantLines(t, second,
		`{"row":2,"outcome":"refused","errors":[{"pointer":"/userName","code":"conflict","detail":"is in use"}],"userName":"Jane","email":"other@example.com","password":"`+goodPassword+`"}`,
		`{"row":3,"outcome":"refused","errors":[{"pointer":"/password","code":"too_short"`)

	mend(t, second, "Jane", "jane2")
	importing(t, exitOK, into(dsn, "-skip-policy", "-report", filepath.Join(dir, "third"), second)...)
	wantNames(t, dsn, "jane", "jane2", "joan", "john")
	wantSignIn(t, dsn, "jane2", goodPassword)
	wantSignIn(t, dsn, "joan", "short")
	if _, err := os.Stat(filepath.Join(dir, "third")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no report without rows", err)
	}
}

func TestAReportHasTheTextOfALineThatIsNoObject(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report")
	importing(t, exitRefused, into(newDSN(t), "-report", path, newFile(t, "{\"userName\": no\n[1]\n"))...)
	wantLines(t, path, `{"row":1,"outcome":"refused","errors":[{"pointer":"/userName","code":"invalid_json"`, `{"row":2,"outcome":"refused","errors":[{"pointer":"","code":"invalid_json"`)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), `"text":"{\"userName\": no"}`) || !strings.Contains(string(text), `"text":"[1]"}`) {
		t.Errorf("got %s (%v), want the text of the lines", text, err)
	}
}

func mend(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte(from)) {
		t.Fatalf("no %q in %s (%v)", from, text, err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte(from), []byte(to)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantLines wants as many lines, each with its beginning.
func wantLines(t *testing.T, path string, begins ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != len(begins) {
		t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(begins), text)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, begins[i]) {
			t.Errorf("got %s\nwant %s…", line, begins[i])
		}
	}
}

func TestADryRunJudgesAndWritesNoUserAndNoRole(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	importing(t, exitOK, into(dsn, newFile(t, ""))...)
	lines := `{"userName":"jane","email":"jane@example.com","roles":["editor"]}` + "\n" + bcryptLine("Jane") + `{"userName":"x"}` + "\n"
	stdout, _ := importing(t, exitRefused, into(dsn, "-dry-run", newFile(t, lines))...)
	if !strings.HasPrefix(stdout, "3 rows: 1 would be created, 0 exist, 1 duplicates, 1 refused, in ") {
		t.Errorf("got %q", stdout)
	}
	wantNames(t, dsn)
	svc, _ := service(t, dsn)
	if roles, err := svc.Roles(t.Context(), app, users.Page{}); err != nil || len(roles.Roles) > 0 {
		t.Errorf("got %+v (%v), want no roles", roles, err)
	}
}

func TestRolesAreMadeOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	importing(t, exitOK, into(dsn, newFile(t, ""))...)
	file := newFile(t, `{"userName":"jane","email":"jane@example.com","roles":["editor"]}`+"\n"+`{"userName":"john","email":"john@example.com","roles":["editor","no\u0007name"]}`)
	_, stderr := importing(t, exitRefused, "-db", dsn, "-application", app, file)
	if !strings.Contains(stderr, "row 1: refused: ") {
		t.Errorf("got %q", stderr)
	}
	wantNames(t, dsn)
	importing(t, exitRefused, into(dsn, file)...) // the name with a control character can't be made
	wantNames(t, dsn, "jane")
}

func TestStandardInputIsReadWithoutAFile(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	in, err := os.Open(newFile(t, bcryptLine("jane")))
	if err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	if code := run(t.Context(), into(dsn), in, &out, &log); code != exitOK {
		t.Errorf("got code %d: %s", code, &log)
	}
	wantNames(t, dsn, "jane")
}

func TestAnImportThatIsCancelledIsCode2(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	importing(t, exitOK, into(dsn, newFile(t, ""))...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		ended <- run(ctx, into(dsn), r, io.Discard, io.Discard)
	}()
	fatLines(t, w, 0, 800) // so it is at work
	cancel()
	go func() {
		fatLines(nil, w, 800, 2000) // an import that waits for a row does not see that
		w.Close()
	}()
	select {
	case code := <-ended:
		if code != exitBroken {
			t.Errorf("got code %d, want %d", code, exitBroken)
		}
	case <-time.After(deadline):
		t.Fatal("the import did not end")
	}
}

const deadline = 60 * time.Second // for anything that takes milliseconds on an idle machine

// fatLines writes lines that fill buffers. An error is that the reader ended, which a nil t expects.
func fatLines(t *testing.T, w io.Writer, from, to int) {
	for i := from; i < to; i++ {
		line := bcryptLine(fmt.Sprint("user", i))
		line = strings.TrimSuffix(line, "}\n") + `,"dashboardSettings":{"a":"` + strings.Repeat("x", 2000) + "\"}}\n"
		if _, err := io.WriteString(w, line); err != nil {
			if t != nil {
				t.Error(err)
			}
			return
		}
	}
}

// TestAnImportThatWasKilledIsRunAgain with exactly the users of the file in the end.
func TestAnImportThatWasKilledIsRunAgain(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	cmd := exec.Command(os.Args[0], into(dsn)...)
	cmd.Env = append(os.Environ(), "USERS_DB=", childVariable+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// What was written beyond the buffers of both sides was read, and what is beyond a
	// batch is in the database.
	fatLines(t, stdin, 0, 1500)
	cmd.Process.Kill()
	cmd.Wait()
	before := len(names(t, dsn))
	if before == 0 || before >= 1500 {
		t.Fatalf("%d users are there after the kill, want some", before)
	}

	var whole strings.Builder
	fatLines(t, &whole, 0, 2000)
	stdout, _ := importing(t, exitOK, into(dsn, newFile(t, whole.String()))...)
	if want := fmt.Sprintf("2000 rows: %d created, %d exist, 0 duplicates, 0 refused", 2000-before, before); !strings.HasPrefix(stdout, want) {
		t.Errorf("got %q, want %q", stdout, want)
	}
	if got := names(t, dsn); len(got) != 2000 || len(slices.Compact(got)) != 2000 {
		t.Errorf("got %d users, want 2000", len(got))
	}
	wantSignIn(t, dsn, "user0", "U*U")
	wantSignIn(t, dsn, "user1999", "U*U")
}

func TestProgressHasRowsRateAndTimeLeft(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		now := time.Unix(0, 0)
		read := &counter{}
		tl := newTally(&out, read, 1000)
		tl.terminal, tl.now, tl.start, tl.last = terminal, func() time.Time { return now }, now, now
		for i := range 100 {
			now = now.Add(200 * time.Millisecond)
			read.n += 5
			tl.add(users.ImportResult{Row: int64(i), Outcome: users.ImportCreated})
		}
		want := "50 rows, 5 rows/s, 0 refused, 25 %, 30s left\n100 rows, 5 rows/s, 0 refused, 50 %, 20s left\n"
		got := out.String()
		if terminal {
			want = "\r\x1b[K100 rows, 5 rows/s, 0 refused, 50 %, 20s left"
			got = got[max(0, strings.LastIndex(got, "\r")):]
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		tl.size = 0
		if got := tl.progress(); got != "100 rows, 5 rows/s, 0 refused" {
			t.Errorf("of standard input: got %q", got)
		}
		out.Reset()
		fmt.Fprintln(tl, "row 1: refused")
		if terminal != strings.HasPrefix(out.String(), "\r\x1b[K") {
			t.Errorf("got %q", &out)
		}
	}
}
