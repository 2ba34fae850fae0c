package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

func TestThePrintedCurlCreatesAUser(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	for _, args := range [][]string{
		nil, // a SQLite file in the working directory
		{"-db", "memory:"},
		{"-db", "memory:", "-application", "shop=a-token", "-base-url", "https://users.example.com/"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := start(t, dir, args...)
			cmd := exec.CommandContext(t.Context(), "bash", "-c", p.curl)
			cmd.Env = append(os.Environ(), "TOKEN=a-token")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(out), "HTTP/1.1 201 Created") {
				t.Errorf("got %s, want a 201", out)
			}
			_, err = os.Stat(filepath.Join(dir, "users.db"))
			if onDisk := err == nil; onDisk != (args == nil) {
				t.Errorf("users.db in the working directory: got %t, want %t", onDisk, args == nil)
			}
			p.stop(t, syscall.SIGTERM)
		})
	}
}

func TestOnlyATokenOfTheServersOwnIsPrinted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file(t, dir, "token", "s3cret-of-a-file")
	for _, args := range [][]string{
		{"-application", "shop=s3cret~/+="},
		{"-application", "shop=@token", "-application", "other=s3cret", "-limited", "shop=s3cret"},
		{"-limited", "demo=s3cret"},
	} {
		p := start(t, dir, append([]string{"-db", "memory:"}, args...)...)
		if args[0] == "-limited" {
			if len(p.token) < 26 || !strings.Contains(p.curl, "'Authorization: Bearer "+p.token+"'") {
				t.Errorf("got the token %q and %q, want a random one in both", p.token, p.curl)
			}
		} else if !strings.Contains(p.curl, `"Authorization: Bearer $TOKEN"`) {
			t.Errorf("got %q, want $TOKEN in it", p.curl)
		}
		p.stop(t, syscall.SIGTERM)
		if text := p.stdout.String() + p.stderr.String(); strings.Contains(text, "s3cret") {
			t.Errorf("%v: a token that was given is printed:\n%s", args, text)
		}
	}
}

func TestEveryLinkAnswersInBothForms(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:", "-role", "demo=editor", "-role", "demo=author")
	for _, accept := range []string{"application/json", "application/hal+json"} {
		c := client{p.url, p.token, accept}
		name := "jane-" + strings.ReplaceAll(strings.TrimPrefix(accept, "application/"), "+", "-")
		created := c.send(t, "POST", "/v1/demo/users?embed=roles", user(name, `,"roles":["editor","author"],"name":"Jane"`)).want(t, 201)
		location := created.header.Get("Location")
		if !strings.HasPrefix(location, "/v1/demo/users/") {
			t.Errorf("Location: got %q, want a path below /v1/demo/users/", location)
		}
		read := c.get(t, location).want(t, 200)
		for _, member := range []string{"id", "userName", "email", "name", "isApproved", "isLockedOut", "creationDate", "dateCreated"} {
			if got, want := read.members[member], created.members[member]; got != want || want == nil {
				t.Errorf("%s, %s: got %v, want %v", accept, member, got, want)
			}
		}
		// Follow each link, and each link of what that returns; delete at the end.
		seen := map[relation]bool{}
		var deletes []relation
		left := append(links("", created.members), links("", read.members)...)
		for len(left) > 0 {
			l := left[0]
			left = left[1:]
			if seen[l] {
				continue
			}
			seen[l] = true
			switch l.method() {
			case "GET":
				left = append(left, links("", c.get(t, l.href).want(t, 200).members)...)
			case "PUT":
				c.send(t, "PUT", l.href, "{}").want(t, 204)
			case "DELETE":
				deletes = append(deletes, l)
			}
		}
		if len(seen) < 8+3*2+1 { // of the user, of each role, of the list of roles
			t.Errorf("%s: got the links %v, want at least 15", accept, seen)
		}
		for _, l := range deletes {
			if strings.Contains(l.href, "/users/") { // the roles are for the other form
				c.send(t, "DELETE", l.href, "").want(t, 204)
			}
		}
	}
}

func TestBaseURLMakesLinksAbsolute(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:", "-base-url", "https://users.example.com/")
	created := p.admin().send(t, "POST", "/v1/demo/users", user("jane", "")).want(t, 201)
	want := fmt.Sprintf("https://users.example.com/v1/demo/users/%s", created.members["id"])
	if got := created.header.Get("Location"); got != want {
		t.Errorf("Location: got %q, want %q", got, want)
	}
}

func TestALimitedTokenCreatesPlainUsersAndReadsThemBack(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:", "-application", "shop=boss", "-limited", "shop=till", "-limited", "shop=till2", "-role", "shop=editor")
	till := p.as("till")
	mine := till.send(t, "POST", "/v1/shop/users", user("jane", "")).want(t, 201).header.Get("Location")
	bosses := p.as("boss").send(t, "POST", "/v1/shop/users", user("john", `,"roles":["editor"],"isLockedOut":true`)).want(t, 201).header.Get("Location")

	till.get(t, mine).want(t, 200)
	till.get(t, bosses).want(t, 403)
	p.as("till2").get(t, mine).want(t, 403)
	till.get(t, "/v1/shop/users/jane").want(t, 403)
	till.get(t, "/v1/shop/roles").want(t, 403)
	p.as("nobody").get(t, mine).want(t, 401)
	p.as("boss").get(t, mine).want(t, 200)
	for _, more := range []string{`,"roles":["editor"]`, `,"roles":["no such role"]`, `,"isLockedOut":true`, `,"allowDashboardAccess":true`,
		`,"dashboardSettings":{"a":1}`, `,"creationDate":"2020-01-01T00:00:00Z"`, `,"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"`, `,"isApproved":false`} {
		till.send(t, "POST", "/v1/shop/users", user("joan", more)).want(t, 403)
	}
	till.send(t, "POST", "/v1/shop/users", user("joan", `,"roles":[],"isLockedOut":false`)).want(t, 201)
}

func TestARestartKeepsUsersRolesAndCallers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{"-db", "sqlite:a file?%.db", "-application", "shop=boss", "-limited", "shop=till", "-role", "shop=editor"}
	p := start(t, dir, args...)
	created := p.as("till").send(t, "POST", "/v1/shop/users", user("jane", ""), "Idempotency-Key", "k1").want(t, 201)
	p.as("boss").send(t, "POST", "/v1/shop/users", user("john", `,"roles":["editor"]`)).want(t, 201)
	p.stop(t, syscall.SIGTERM)
	if _, err := os.Stat(filepath.Join(dir, "a file?%.db")); err != nil {
		t.Error(err)
	}

	p = start(t, dir, args...)
	// The limited caller is the same one: it reads what it created, and its key still names that user.
	p.as("till").get(t, created.header.Get("Location")).want(t, 200)
	again := p.as("till").send(t, "POST", "/v1/shop/users", user("jane", ""), "Idempotency-Key", "k1").want(t, 201)
	if got, want := again.members["id"], created.members["id"]; got != want {
		t.Errorf("the repeat: got user %v, want %v", got, want)
	}
	roles := p.as("boss").get(t, "/v1/shop/users/john").want(t, 200).members["roles"].([]any)
	if len(roles) != 1 {
		t.Errorf("roles of john: got %v, want one", roles)
	}
	p.stop(t, syscall.SIGINT)
}

// TestACallerIsItsTokenAndNotItsPlace revokes tokens and reorders the rest: each
// caller keeps what it created, its idempotency keys too, and gets nothing else.
func TestACallerIsItsTokenAndNotItsPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	location := map[string]string{}
	repeat := func(p *process, name string) string {
		t.Helper()
		return p.as(name).send(t, "POST", "/v1/shop/users", user("made-by-"+name, ""), "Idempotency-Key", "the same").want(t, 201).header.Get("Location")
	}
	p := start(t, dir, "-application", "shop=boss", "-application", "shop=chief", "-limited", "shop=one", "-limited", "shop=two", "-limited", "shop=three")
	for _, name := range []string{"boss", "chief", "one", "two", "three"} {
		location[name] = repeat(p, name)
	}
	p.stop(t, syscall.SIGTERM)

	for _, names := range [][]string{{"three", "two", "one"}, {"two", "three"}, {"three"}} {
		args := []string{"-application", "shop=chief"}
		for _, name := range names {
			args = append(args, "-limited", "shop="+name)
		}
		p := start(t, dir, args...)
		for _, name := range append(names, "chief") {
			if got, want := repeat(p, name), location[name]; got != want {
				t.Errorf("%v: the key of %s names %s, want %s", names, name, got, want)
			}
		}
		for _, name := range names {
			for owner, path := range location {
				want := 403
				if owner == name {
					want = 200
				}
				if got := p.as(name).get(t, path).status; got != want {
					t.Errorf("%v: %s reads what %s created: got %d, want %d", names, name, owner, got, want)
				}
			}
		}
		p.stop(t, syscall.SIGTERM)
	}
}

func TestTheDemoKeepsItsKeysAcrossStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var locations []string
	for range 2 { // each with a token of its own
		p := start(t, dir)
		created := p.admin().send(t, "POST", "/v1/demo/users", user("jane", ""), "Idempotency-Key", "k1").want(t, 201)
		locations = append(locations, created.header.Get("Location"))
		p.stop(t, syscall.SIGTERM)
	}
	if locations[0] != locations[1] {
		t.Errorf("the repeat after a start: got %s, want %s", locations[1], locations[0])
	}
}

func TestASignalLetsARequestFinish(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:")
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := user("jane", "")
	// The server answers 100 when it begins to read: then it is at work.
	fmt.Fprintf(conn, "POST /v1/demo/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", p.token, len(body))
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); !strings.Contains(line, "100 Continue") {
		t.Fatalf("got %q, %v, want 100 Continue", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.stderr.await(t, "stopping")
	io.WriteString(conn, body)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 201 {
		t.Errorf("got %d, want 201", res.StatusCode)
	}
	p.wantEnd(t)
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:")
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A request that never ends holds the server until its deadline.
	fmt.Fprintf(conn, "POST /v1/demo/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", p.token)
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "100 Continue") {
		t.Fatalf("got %q, %v, want 100 Continue", line, err)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.stderr.await(t, "stopping")
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		// An end at the deadline would be one in order, with code 0.
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("got %v, want an end by the signal", err)
		}
	case <-time.After(deadline):
		t.Fatal("the server did not end")
	}
}

func TestBadFlagsAreOneLineAndCode2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-nonsense"},
		{"argument"},
		{"-application", "shop=", "s3cret"},
		{"-db", "memory:", "s3cret"},
		{"-addr", "8080"},
		{"-db", "oracle:x"},
		{"-db", "sqlite:"},
		{"-db", "sqlite::memory:"},
		{"-db", "sqlite://users.db"},
		{"-db", "memory:x"},
		{"-db", "mysql://root:s3cret@:x/y"},
		{"-db", "mysql://root:s3cret@127.0.0.1:3306"},
		{"-db", "postgres://u:s3cret@h:x/y"},
		{"-hash", "md5"},
		{"-hash", "bcrypt:"},
		{"-hash", "bcrypt:3"},
		{"-hash", "bcrypt:17"},
		{"-application", "shop"},
		{"-application", "=s3cret"},
		{"-application", "s3cret=="}, // no KEY: a token that ends with equal signs
		{"-limited", "s3cret="},
		{"-application", "shop="},
		{"-application", "shop=s3cret with spaces"},
		{"-application", "shop=s3cret", "-limited", "shop=s3cret"},
		{"-limited", "s3cret"},
		{"-role", "editor"},
		{"-base-url", "users.example.com"},
		{"-base-url", "https://u:s3cret@users.example.com"},
		{"-smtp", "mail.example.com"},
		{"-smtp", "http://u:s3cret@mail.example.com"},
		{"-smtp", "smtp://mail.example.com", "-mail", "x"},
		{"-smtp", "smtp://mail.example.com"},
		{"-smtp", "smtp://u:s3cret@mail.example.com", "-from", "shop@example.com"},
		{"-smtp", "smtp://u:s3cret@mail.example.com", "-base-url", "https://shop.example.com"},
		{"-smtp", "smtp://localhost", "-from", "", "-base-url", "https://shop.example.com"},
		{"-from", "nobody"},
		{"-origin", "https://app.example.com"},
		{"-interop", "-origin", "app.example.com"},
		{"-interop", "-origin", "https://app.example.com/"},
		{"-interop", "-origin", "https://app.example.com:443"},
		{"-interop", "-origin", "https://App.example.com"},
		{"-interop", "-origin", "https://app.example.com", "-origin", "https://*.example.com"},
		{"-interop", "-origin", "*"},
		{"-interop", "-origin", "http://*.a.test"},
		{"-interop", "-origin", "http://a.test:80"},
		{"-interop", "-origin", "https://a.test:443"},
		{"-interop", "-origin", "https://a.test:"},
		{"-interop", "-origin", "https://ä.test"},
		{"-interop", "-origin", "HTTPS://a.test"},
		{"-interop", "-origin", "null"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			code, stderr := fail(t, args...)
			if code != exitUsage || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got code %d and %q, want code %d and one line", code, stderr, exitUsage)
			}
			if strings.Contains(stderr, "s3cret") {
				t.Errorf("a secret is in %q", stderr)
			}
		})
	}
}

func TestAMailServerNeedsASenderAndABaseURL(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-from", "shop@example.com"}, {"-base-url", "https://shop.example.com"}} {
		for _, source := range []string{"-smtp", "USERS_SMTP"} {
			cmd := command(t.TempDir(), append([]string{"-smtp", "smtp://mail.example.com"}, args...)...)
			if source == "USERS_SMTP" {
				cmd = command(t.TempDir(), args...)
				cmd.Env = append(cmd.Env, "USERS_SMTP=smtp://mail.example.com")
			}
			code, stderr := failCommand(t, cmd)
			if want := source + " needs -from and -base-url: "; code != exitUsage || !strings.Contains(stderr, want) {
				t.Errorf("%s %v: got code %d and %q, want code %d and %q", source, args, code, stderr, exitUsage, want)
			}
		}
	}
}

func TestWhatHindersTheStartIsOneLineAndCode1(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() }) // after the parallel subtests
	for _, args := range [][]string{
		{"-db", "memory:", "-addr", ln.Addr().String()},
		{"-db", "sqlite:no/such/directory/users.db"},
		{"-db", "postgres://u:s3cret@" + ln.Addr().String() + "/db?sslmode=disable&connect_timeout=1"},
		{"-db", "memory:", "-application", "a key with spaces=x"},
		{"-db", "memory:", "-role", "demo=\x01"},
		{"-db", "memory:", "-mail", "/dev/null/x"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(args, "-addr") {
				args = append(args, "-addr", "127.0.0.1:0")
			}
			code, stderr := fail(t, args...)
			if code != exitFailed || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got code %d and %q, want code %d and one line", code, stderr, exitFailed)
			}
			if strings.Contains(stderr, "s3cret") {
				t.Errorf("a secret is in %q", stderr)
			}
		})
	}
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	out, err := command(t.TempDir(), "-h").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"-addr", "-db", "-application", "-limited", "-role", "-mail", "-smtp", "-base-url", "-hash", "-interop", "-origin"} {
		if !regexp.MustCompile("  " + name + `\s`).Match(out) {
			t.Errorf("no %s in:\n%s", name, out)
		}
	}
}

func TestHashChoosesTheHasher(t *testing.T) {
	t.Parallel()
	for flag, prefix := range map[string]string{"argon2id": "$argon2id$v=19$m=19456,t=2,p=1$", "bcrypt:10": "$2a$10$"} {
		cfg, err := parse([]string{"-hash", flag})
		if err != nil {
			t.Fatal(err)
		}
		h, err := cfg.hasher.Hash([]byte(demoPassword))
		if err != nil || !strings.HasPrefix(h.Reveal(), prefix) {
			t.Errorf("-hash %s: got %v, want a hash that starts with %s (%v)", flag, err, prefix, !h.IsZero())
		}
	}
	// bcrypt stops at 72 bytes, and says so.
	p := start(t, t.TempDir(), "-db", "memory:", "-hash", "bcrypt:10")
	long := strings.ReplaceAll(user("jane", ""), demoPassword, strings.Repeat(demoPassword, 3))
	p.admin().send(t, "POST", "/v1/demo/users", long).want(t, 400)
	p.admin().send(t, "POST", "/v1/demo/users", user("jane", "")).want(t, 201)
}

func TestHealthTellsWhetherTheStoreAnswers(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	client{url: p.url}.get(t, "/healthz").want(t, 200)
	client{url: p.url}.send(t, "POST", "/healthz", "").want(t, 405)

	svc, err := users.New(brokenStore{Store: memstore.New()}, &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	health(svc, "demo").ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != 503 {
		t.Errorf("with a store that does not answer: got %d, want 503", w.Code)
	}
	if strings.Contains(w.Body.String(), "s3cret") {
		t.Errorf("the cause is in the answer: %s", w.Body)
	}
}

type brokenStore struct{ users.Store }

func (brokenStore) FindApplication(context.Context, users.ApplicationQuery) (users.Application, error) {
	return users.Application{}, fmt.Errorf("%w: %w", users.ErrUnavailable, errors.New("s3cret"))
}

var link = regexp.MustCompile(`http://\S+/set-password\?application=demo#token=([\w-]{43})`)

func TestTheMailedLinkSetsThePasswordOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, "-mail", "mail")
	autoCreate := `{"userName":"jane","email":"jane@example.com","autoCreatePassword":true,"sendEmailNotification":true}`
	p.admin().send(t, "POST", "/v1/demo/users", autoCreate).want(t, 201)
	token := link.FindStringSubmatch(awaitMail(t, filepath.Join(dir, "mail")))
	if token == nil {
		t.Fatal("the mail holds no link")
	}

	page := client{url: p.url}.get(t, "/set-password?application=demo").want(t, 200)
	for name, want := range map[string]string{
		"Content-Type": "text/html", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff",
	} {
		if got := page.header.Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s of the page: got %q, want %q", name, got, want)
		}
	}
	for _, file := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(page.body), -1) {
		client{url: p.url}.get(t, "/"+file[1]).want(t, 200)
	}
	client{url: p.url}.get(t, "/set-password?file=none").want(t, 404)

	set := func(pw string) answer {
		return client{url: p.url, accept: "application/json"}.send(t, "PUT", "/v1/demo/recover-password",
			fmt.Sprintf(`{"passwordRecoveryToken":%q,"newPassword":%q}`, token[1], pw))
	}
	ask := func(body string) answer {
		return client{url: p.url}.send(t, "POST", "/set-password", body)
	}
	asked := fmt.Sprintf(`{"application":"demo","token":%q}`, token[1])
	for range 3 { // uses nothing up
		if got := ask(asked).want(t, 200).members["userName"]; got != "jane" {
			t.Errorf("the link's account: got %v, want jane", got)
		}
	}
	ask(`{"application":"demo","token":"x"}`).want(t, 404)
	ask(`{"application":"demo"}`).want(t, 404)
	ask(strings.Replace(asked, "demo", "shop", 1)).want(t, 404)
	ask(strings.Replace(asked, token[1], strings.Repeat("x", len(token[1])), 1)).want(t, 404)
	ask(`{`).want(t, 400)
	ask(`{"token":"`+strings.Repeat("x", maxLink)+`"}`).want(t, 400)

	set("short").want(t, 400)
	set("another harbour 12 lanterns").want(t, 200)
	set("another harbour 13 lanterns").want(t, 400)
	ask(asked).want(t, 404)
	p.stop(t, syscall.SIGTERM)
	if strings.Contains(p.stderr.String(), token[1]) {
		t.Error("the token is in the log")
	}
}

func TestWithoutMailTheLogTellsOfANotificationAndKeepsTheToken(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:")
	p.admin().send(t, "POST", "/v1/demo/users",
		`{"userName":"jane","email":"jane@example.com","autoCreatePassword":true,"sendEmailNotification":true}`).want(t, 201)
	p.stderr.await(t, `set_password.*jane@example\.com`)
	if strings.Contains(p.stderr.String(), "token=") {
		t.Errorf("a token is in the log: %s", p.stderr)
	}
}

func TestNotificationsThatAreDueAreDrainedAtTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, "-mail", "mail")
	const n = 5
	for i := range n {
		p.admin().send(t, "POST", "/v1/demo/users", user(fmt.Sprintf("jane%d", i), `,"sendEmailNotification":true`)).want(t, 201)
	}
	p.stop(t, syscall.SIGTERM)
	if got := mails(t, filepath.Join(dir, "mail")); len(got) != n {
		t.Errorf("got %d mails after the end, want %d", len(got), n)
	}
}

func mails(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// awaitMail waits for the first mail of dir, which another process writes.
func awaitMail(t *testing.T, dir string) string {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	late := time.After(deadline)
	for {
		select {
		case <-late:
			t.Fatal("no mail came")
		case <-look.C:
		}
		if found := mails(t, dir); len(found) > 0 {
			return readMail(t, found[0])
		}
	}
}

func readMail(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Quoted-printable (RFC 2045 section 6.7), as far as a link goes.
	return strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(text))
}
