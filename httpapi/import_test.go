package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

const importPath = "/v1/demo/users/import"

// told is a line of an answer.
type told struct {
	Row     int64
	Outcome string
	ID      string
	Errors  []fault
	Error   *problem

	Rows, Created, Exists, Duplicate, Refused *int
}

// String is the line in short: "5 refused /email invalid_email", the counts, or the error.
func (l told) String() string {
	switch {
	case l.Error != nil:
		return fmt.Sprint("error ", l.Error.Status, " ", faultCodes(l.Error.Errors))
	case l.Rows != nil:
		return fmt.Sprintf("rows %d created %d exists %d duplicate %d refused %d", *l.Rows, *l.Created, *l.Exists, *l.Duplicate, *l.Refused)
	}
	return strings.TrimSpace(fmt.Sprint(l.Row, " ", l.Outcome, " ", faultCodes(l.Errors)))
}

func faultCodes(list []fault) string {
	var all []string
	for _, f := range list {
		all = append(all, strings.TrimSpace(f.Pointer+" "+f.Code))
	}
	return strings.Join(all, ", ")
}

// sendLines imports n users, with a pause behind each line, and returns the answer, which must
// be whole.
func sendLines(t *testing.T, c *http.Client, n int, pause func(i int)) []told {
	t.Helper()
	w, err := c.Do(importRequest(t, "http://x", sending(func(w io.Writer) error {
		for i := range n {
			if _, err := io.WriteString(w, importLine(i)); err != nil {
				return err
			}
			pause(i)
		}
		return nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	got, err := readLines(w.Body)
	if err != nil {
		t.Error(err)
	}
	return got
}

// readLines reads an answer to its end, which may be one that breaks off.
func readLines(r io.Reader) (all []told, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var l told
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return all, fmt.Errorf("%q: %w", in.Bytes(), err)
		}
		all = append(all, l)
	}
	return all, in.Err()
}

func same(t testing.TB, what string, got []told, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %d lines, want %d: got %v", what, len(got), len(want), got[max(0, len(got)-3):])
		return
	}
	for i := range got {
		if got[i].String() != want[i] {
			t.Errorf("%s: line %d: got %q, want %q", what, i, got[i], want[i])
			return
		}
	}
}

func importLine(i int) string {
	return fmt.Sprintf(`{"userName":"user%d","email":"user%[1]d@example.com"}`+"\n", i)
}

// badLines are what is wrong with lines, and what is told of it.
var badLines = []struct{ line, want string }{
	{"userName,email\n", "refused invalid_json"},
	{`{"userName":"a","email":1,"emailVerified":"x"}` + "\n", "refused /email invalid_type, /emailVerified invalid_type"},
	{"{\"userName\":\"a\x00b\"}\n", "refused /userName invalid_json"},
	{"{\"userName\":\"\xff\"}\n", "refused /userName invalid_json"},
	{`{"userName":"a` + strings.Repeat("a", httpapi.MaxBody) + `"}` + "\n", "refused too_long"},
	{`{"userName":"a"}` + "\n", "refused /email required"},
	{`{"userName":"a","email":"a@example.com","roles":["nothing"]}` + "\n", "refused /roles/0 unknown_role"},
	{`{"userName":"user0","email":"other@example.com"}` + "\n", "duplicate /userName taken"},
	{`{"userName":"ann","email":"other@example.com"}` + "\n", "refused /userName taken"},
	{`{"userName":"a","email":"a@example.com","passwordHash":"plain"}` + "\n", "refused /passwordHash unknown_hash"},
}

// everyBad makes n lines, of which each one after the k-th, 2k-th... is bad, and what is to
// be told.
func everyBad(n, k int) (body string, want []string) {
	var b strings.Builder
	duplicate, refused := 0, 0
	for i := range n {
		if i%k != k-1 {
			b.WriteString(importLine(i))
			continue
		}
		bad := badLines[i/k%len(badLines)]
		b.WriteString(bad.line)
		want = append(want, fmt.Sprint(i+1, " ", bad.want))
		if strings.HasPrefix(bad.want, "duplicate") {
			duplicate++
		} else {
			refused++
		}
	}
	return b.String(), append(want, fmt.Sprintf("rows %d created %d exists 0 duplicate %d refused %d", n, n-duplicate-refused, duplicate, refused))
}

func importRequest(t testing.TB, url string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url+importPath, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("Content-Type", lines)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (a *api) count() (n int) {
	a.t.Helper()
	for _, err := range a.host.EachUser(a.t.Context(), "demo", users.UserFilter{}) {
		if err != nil {
			a.t.Fatal(err)
		}
		n++
	}
	return n
}

// servers serve one handler in the ways that clients meet.
func servers(t *testing.T, h http.Handler) map[string]*httptest.Server {
	one, two := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	two.EnableHTTP2 = true
	two.StartTLS()
	t.Cleanup(one.Close)
	t.Cleanup(two.Close)
	return map[string]*httptest.Server{"HTTP/1.1": one, "HTTP/2": two}
}

// Of rows without number each bad one is told while others are still sent, and all others
// are users.
func TestImportAnswersWhileItReads(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, nil)
			a.user(t.Context(), "ann", "")
			server := servers(t, a)[proto]
			in, want := everyBad(20_000, 97)
			half := strings.Index(in, importLine(10_000))

			body, send := io.Pipe()
			heard, sent := make(chan struct{}), make(chan error, 1)
			go func() {
				_, err := io.WriteString(send, in[:half])
				<-heard
				_, err2 := io.WriteString(send, in[half:])
				sent <- errors.Join(err, err2, send.Close())
			}()
			w, err := server.Client().Do(importRequest(t, server.URL, body))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Body.Close()
			if w.StatusCode != 200 || w.Header.Get("Content-Type") != lines || w.Proto[:6] != (proto + ".0")[:6] {
				t.Fatalf("got %d %s %q", w.StatusCode, w.Proto, w.Header)
			}
			out := bufio.NewReader(w.Body)
			first, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			close(heard)
			got, err := readLines(io.MultiReader(strings.NewReader(first), out))
			if err := errors.Join(err, <-sent); err != nil {
				t.Fatal(err)
			}
			same(t, "lines", got, want)
			if n, last := a.count(), got[len(got)-1]; last.Created == nil || n != *last.Created+1 {
				t.Errorf("%d users, told %v", n, last)
			}
		})
	}
}

// net/http would end the body with the first byte of the answer, and no row would be missed.
func TestImportLosesNothingOfAClientThatWritesBeforeItReads(t *testing.T) {
	t.Parallel()
	in, want := everyBad(20_000, 97)
	wrapped := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
	}
	for _, tt := range []struct {
		name    string
		head    string
		chunked bool
		wrap    func(http.Handler) http.Handler
	}{
		{"HTTP/1.0", " HTTP/1.0\r\n", false, nil},
		{"HTTP/1.1", " HTTP/1.1\r\n", false, nil},
		{"HTTP/1.1 chunked", " HTTP/1.1\r\n", true, nil},
		{"HTTP/1.1 close", " HTTP/1.1\r\nConnection: close\r\n", true, nil},
		{"a middleware in between", " HTTP/1.1\r\n", false, wrapped},
		{"a middleware in between, chunked", " HTTP/1.1\r\n", true, wrapped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, nil)
			a.user(t.Context(), "ann", "")
			h := http.Handler(a)
			if tt.wrap != nil {
				h = tt.wrap(a)
			}
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			head, body := "POST "+importPath+tt.head+"Host: x\r\nAuthorization: Bearer "+adminToken+"\r\nContent-Type: "+lines+"\r\n", in
			if tt.chunked {
				head += "Transfer-Encoding: chunked\r\n"
				body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(in), in)
			} else {
				head += fmt.Sprintf("Content-Length: %d\r\n", len(in))
			}
			got := exchanged(t, server.Listener.Addr().String(), head+"\r\n"+body)
			same(t, "lines", got, want)
		})
	}
}

// exchanged writes all of a request before it reads the answer.
func exchanged(t *testing.T, address, in string) []told {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.SetDeadline(time.Now().Add(time.Minute)), c.(*net.TCPConn).SetWriteBuffer(32<<10)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, in); err != nil {
		t.Fatal(err)
	}
	w, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || w.StatusCode != 200 {
		t.Fatalf("got %v, %v", w, err)
	}
	got, err := readLines(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// What was told before the client hung up is there, and the same rows again make it whole.
func TestImportGoesOnWhereAClientHungUp(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{}, 1)
			a := newAPI(t, nil)
			server := servers(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() { over <- struct{}{} }()
				a.ServeHTTP(w, r)
			}))[proto]
			in, _ := everyBad(3000, 10_000)
			ctx, hangUp := context.WithCancel(t.Context())
			body, send := io.Pipe()
			go func() {
				_, _ = io.WriteString(send, in[:len(in)/2]) // in the middle of a line
				<-ctx.Done()
				_ = send.CloseWithError(ctx.Err())
			}()
			r := importRequest(t, server.URL, body).WithContext(ctx)
			r.URL.RawQuery = "results=all"
			w, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			out := bufio.NewReader(w.Body)
			var ids []string
			for range 1000 {
				line, err := out.ReadBytes('\n')
				var l told
				if err := errors.Join(err, json.Unmarshal(line, &l)); err != nil || l.Outcome != "created" {
					t.Fatalf("got %s, %v", line, err)
				}
				ids = append(ids, l.ID)
			}
			hangUp()
			<-over
			_ = w.Body.Close()
			for _, id := range ids {
				if _, err := a.host.User(t.Context(), "demo", id); err != nil {
					t.Fatalf("was told as created: %v", err)
				}
			}
			before := a.count()
			if before >= 3000 {
				t.Fatalf("%d users after half of the rows", before)
			}

			w, err = server.Client().Do(importRequest(t, server.URL, strings.NewReader(in)))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Body.Close()
			got, err := readLines(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "again", got, []string{fmt.Sprintf("rows 3000 created %d exists %d duplicate 0 refused 0", 3000-before, before)})
		})
	}
}

// inMemory runs do as a client of an a, over both versions of HTTP, in a bubble. The server has
// limits of time as one for short requests has.
func inMemory(t *testing.T, change func(*setup), do func(t *testing.T, a *api, c *http.Client)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var p http.Protocols
				p.SetHTTP1(proto == "HTTP/1.1")
				p.SetUnencryptedHTTP2(proto == "HTTP/2")
				a := newAPI(t, change)
				server := &http.Server{Handler: a, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, Protocols: &p}
				client, served := net.Pipe()
				l := &piped{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
				l.conn <- served
				done := make(chan error, 1)
				go func() { done <- server.Serve(l) }()
				tr := &http.Transport{Protocols: &p, DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
				defer func() {
					tr.CloseIdleConnections()
					_ = client.Close()
					_ = server.Close()
					<-done
					time.Sleep(time.Minute) // who still sends learns of it
				}()
				do(t, a, &http.Client{Transport: tr})
			})
		})
	}
}

// sending returns a body that send writes.
func sending(send func(w io.Writer) error) io.Reader {
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(send(w)) }()
	return r
}

// A source that is slow is no reason to lose an import, however long it takes.
func TestImportMayTakeItsTime(t *testing.T) {
	t.Parallel()
	inMemory(t, nil, func(t *testing.T, a *api, c *http.Client) {
		got := sendLines(t, c, 600, func(int) { time.Sleep(20 * time.Second) })
		same(t, "lines", got, []string{"rows 600 created 600 exists 0 duplicate 0 refused 0"})
	})
}

// Neither is a server that is slow.
func TestImportMayTakeItsTimeToHash(t *testing.T) {
	t.Parallel()
	change := func(s *setup) {
		s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			if p.UserName == "user499" || p.UserName == "user2999" {
				time.Sleep(2 * time.Minute)
			}
			return nil
		}
	}
	inMemory(t, change, func(t *testing.T, a *api, c *http.Client) {
		got := sendLines(t, c, 3000, func(i int) {
			if i%50 == 0 { // some while nobody reads
				time.Sleep(time.Second)
			}
		})
		same(t, "lines", got, []string{"rows 3000 created 3000 exists 0 duplicate 0 refused 0"})
	})
}

// Who is slow within a line is told, after what became of the rows before.
func TestImportEndsWhereALineDrips(t *testing.T) {
	t.Parallel()
	for _, whole := range []int{10, 600} {
		t.Run(fmt.Sprint(whole, " lines before"), func(t *testing.T) {
			t.Parallel()
			inMemory(t, nil, func(t *testing.T, a *api, c *http.Client) {
				start := time.Now()
				w, err := c.Do(importRequest(t, "http://x", sending(func(w io.Writer) error {
					for i := range whole {
						if _, err := io.WriteString(w, importLine(i)); err != nil {
							return err
						}
					}
					for {
						if _, err := w.Write([]byte{' '}); err != nil {
							return err
						}
						time.Sleep(time.Second)
					}
				})))
				if err != nil {
					t.Fatal(err)
				}
				defer w.Body.Close()
				if took := time.Since(start); whole == 10 && (took < 29*time.Second || took > 35*time.Second) {
					t.Errorf("took %v", took)
				}
				in, _ := io.ReadAll(w.Body)
				if whole == 10 && w.StatusCode == 400 {
					in = fmt.Appendf(nil, `{"error":%s}`, in) // nothing was told
				}
				got, err := readLines(bytes.NewReader(in))
				if err != nil {
					t.Error(err)
				}
				same(t, "lines", got[len(got)-1:], []string{"error 400 unreadable_body"})
				if n := a.count(); whole == 600 && n < 500 {
					t.Errorf("%d users", n)
				}
			})
		})
	}
}

// A client that takes nothing of the answer holds the server no longer than that either.
func TestImportEndsWhereNobodyTakesTheAnswer(t *testing.T) {
	t.Parallel()
	inMemory(t, nil, func(t *testing.T, a *api, c *http.Client) {
		const rows = 4000
		bad := `{"roles":[` + strings.Repeat("1,", 99) + "1]}\n" // much to tell
		w, err := c.Do(importRequest(t, "http://x", sending(func(w io.Writer) error {
			for i := range rows / 2 {
				if _, err := io.WriteString(w, bad+importLine(i)); err != nil {
					return err
				}
			}
			return nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		time.Sleep(5 * time.Minute)
		before := a.count()
		got, _ := readLines(w.Body)
		if len(got) > 0 && got[len(got)-1].Rows != nil {
			t.Errorf("the last line is %v", got[len(got)-1])
		}
		if after := a.count(); before == 0 || before >= rows/2 || after != before {
			t.Errorf("%d users, then %d", before, after)
		}
	})
}

// send imports in over a recorder, which can't answer before the body was read.
func (a *api) send(in, query string, headers ...string) ([]told, *httptest.ResponseRecorder) {
	a.t.Helper()
	w := a.do(request("POST", importPath+query, in, append([]string{"Content-Type", lines}, headers...)...))
	if w.Code != 200 {
		a.t.Fatalf("got %d %s", w.Code, w.Body)
	}
	got, err := readLines(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		a.t.Fatal(err)
	}
	return got, w
}

// A body that must not be read.
type unreadable struct{ t *testing.T }

func (b unreadable) Read([]byte) (int, error) {
	b.t.Error("the body was read")
	return 0, io.EOF
}

func TestImportIsRefusedBeforeAnythingIsRead(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, tt := range []struct {
		name, target string
		headers      []string
		status       int
		codes        string
		answer       [2]string // a header
	}{
		{"gzip", importPath, []string{"Content-Encoding", "gzip"}, 415, "", [2]string{"Accept-Encoding", "identity"}},
		{"JSON", importPath, []string{"Content-Type", "application/json"}, 415, "", [2]string{"Accept", lines}},
		{"no type", importPath, []string{"Content-Type", ""}, 415, "", [2]string{"Accept", lines}},
		{"a form", importPath, []string{"Content-Type", "text/plain"}, 415, "", [2]string{"Accept", lines}},
		{"no token", importPath, []string{"Authorization", ""}, 401, "", [2]string{"WWW-Authenticate", "Bearer"}},
		{"bad token", importPath, []string{"Authorization", "Bearer x"}, 401, "", [2]string{"WWW-Authenticate", `Bearer error="invalid_token"`}},
		{"token of another application", importPath, []string{"Authorization", "Bearer " + otherToken}, 401, "", [2]string{}},
		{"unknown application", "/v1/ghost/users/import", nil, 401, "", [2]string{"WWW-Authenticate", `Bearer error="invalid_token"`}},
		{"who may create only", importPath, []string{"Authorization", "Bearer " + limitedToken}, 403, "", [2]string{}},
		{"who may do nothing", importPath, []string{"Authorization", "Bearer " + nobodyToken}, 403, "", [2]string{}},
		{"who may do nothing and asks for nonsense", importPath + "?dryRun=x", []string{"Authorization", "Bearer " + nobodyToken}, 403, "", [2]string{}},
		{"nonsense", importPath + "?dryRun=x&skipPolicy=1&results=some", nil, 400, "/dryRun invalid_type, /skipPolicy invalid_type, /results unknown_results", [2]string{}},
		{"twice", importPath + "?results=all&results=none", nil, 400, "/results duplicate_member", [2]string{}},
		{"no query", importPath + "?a=%zz", nil, 400, "invalid_query", [2]string{}},
	} {
		r := request("POST", tt.target, "x", append([]string{"Content-Type", lines}, tt.headers...)...)
		r.Body = io.NopCloser(unreadable{t})
		w := a.do(r)
		if w.Code != tt.status || w.Header().Get(tt.answer[0]) != tt.answer[1] {
			t.Errorf("%s: got %d %s %q", tt.name, w.Code, w.Body, w.Header())
		} else if got := codes(t, w); got != tt.codes {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.codes)
		}
	}
	if n := a.count(); n != 0 {
		t.Errorf("%d users", n)
	}
}

func TestImportTellsOfAnyLineThatIsNoUser(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	var in strings.Builder
	for i := range 6000 {
		switch i + 1 {
		case 1000:
			in.WriteString(`{"userName":"` + strings.Repeat("a", 1<<20) + "\"}\r\n")
		case 3000:
			in.WriteString("{\"userName\":\"a\x00\"}\n\n \r\n")
		case 5001:
			in.WriteString("{\"userName\":\"a\",\"email\":\"\xc3\x28\"}\n")
		default:
			in.WriteString(importLine(i))
		}
	}
	w, err := server.Client().Do(importRequest(t, server.URL, strings.NewReader(strings.TrimSuffix(in.String(), "\n"))))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	got, err := readLines(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "lines", got, []string{
		"1000 refused too_long", "3000 refused /userName invalid_json", "5001 refused /email invalid_json",
		"rows 6000 created 5997 exists 0 duplicate 0 refused 3",
	})
}

func TestImportTellsOfEveryRowIfAsked(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	ann := a.user(t.Context(), "ann", "")
	in := importLine(1) + `{"userName":"ann","email":"ann@example.com"}` + "\n" + importLine(1) + "x\n"
	counts := "rows 4 created 1 exists 1 duplicate 1 refused 1"

	got, _ := a.send(in, "?dryRun=true&results=all")
	same(t, "dry run", got, []string{"1 created", "2 exists", "3 duplicate /userName taken, /email taken", "4 refused invalid_json", counts})
	if got[0].ID != "" || got[1].ID != ann.ID {
		t.Errorf("ids %q and %q, want none and that of ann", got[0].ID, got[1].ID)
	}
	got, _ = a.send(in, "?dryRun=TRUE")
	same(t, "dry run", got, []string{"3 duplicate /userName taken, /email taken", "4 refused invalid_json", counts})
	if n := a.count(); n != 1 {
		t.Fatalf("%d users after dry runs, want ann", n)
	}

	got, _ = a.send(in, "?dryRun=false&results=all&skipPolicy=")
	same(t, "all", got, []string{"1 created", "2 exists", "3 duplicate /userName taken, /email taken", "4 refused invalid_json", counts})
	if u, err := a.host.User(t.Context(), "demo", got[0].ID); err != nil || u.UserName != "user1" || got[1].ID != ann.ID {
		t.Errorf("got %v, %v; ann is %q", u, err, got[1].ID)
	}
}

func TestImportTakesPasswordsThatAreInUseIfAsked(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	in := `{"userName":"ann","email":"ann@example.com","password":"short","emailVerified":true}` + "\n"
	got, _ := a.send(in, "")
	same(t, "policy", got, []string{"1 refused /password too_short", "rows 1 created 0 exists 0 duplicate 0 refused 1"})
	got, _ = a.send(in, "?skipPolicy=true")
	same(t, "no policy", got, []string{"rows 1 created 1 exists 0 duplicate 0 refused 0"})
	if u, err := a.host.User(t.Context(), "demo", "ann"); err != nil || u.EmailVerified.IsZero() {
		t.Errorf("got %+v, %v", u, err)
	}
	if _, err := a.host.Authenticate(t.Context(), "demo", "ann", password.New("short")); err != nil {
		t.Error(err)
	}
}

func TestImportOfNothingSaysSo(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, in := range []string{"", "\ufeff", "\n\r\n"} {
		got, w := a.send(in, "")
		same(t, in, got, []string{"rows 0 created 0 exists 0 duplicate 0 refused 0"})
		if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("got %q", h)
		}
	}
	r := request("POST", importPath, "", "Content-Type", lines)
	r.Body = nil
	if w := a.do(r); w.Code != 200 {
		t.Errorf("without a body: got %d %s", w.Code, w.Body)
	}
}

// Where the answer has to wait and gets too long, what was told is what was done.
func TestImportThatCannotAnswerInTimeEndsBeforeItForgets(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	a := newAPI(t, func(s *setup) { s.http.Logger = logger(&logged) })
	var in strings.Builder
	for i := range 22_000 {
		in.WriteString(importLine(i))
	}
	got, w := a.send(in.String(), "?results=all")
	if last := got[len(got)-1]; last.String() != "error 500 " || last.Error.Instance == "" || !strings.Contains(logged.String(), last.Error.Instance) {
		t.Errorf("the last line is %+v", last)
	}
	if !strings.Contains(logged.String(), "EnableFullDuplex") {
		t.Errorf("the log does not help: %s", logged.String())
	}
	if n := a.count(); n != len(got)-1 || n < 10_000 || w.Body.Len() > 2<<20 {
		t.Errorf("%d users and %d lines of %d bytes", n, len(got), w.Body.Len())
	}
	got, _ = a.send(in.String(), "")
	if last := got[len(got)-1]; last.Exists == nil || *last.Created+*last.Exists != 22_000 || *last.Exists < 10_000 {
		t.Errorf("again: %v", last)
	}
}

// afterwards makes the store fail from its n-th user on.
func afterwards(n int, err error) func(*setup) {
	made := 0
	return func(s *setup) {
		s.store = func(store users.Store) users.Store {
			return storefake.Around(store, func(_ context.Context, m storefake.Method, arg any, do func() error) error {
				if batch, ok := arg.([]*users.NewUser); ok && m == storefake.CreateUsers {
					if made += len(batch); made > n {
						return err
					}
				}
				return do()
			})
		}
	}
}

// An error that ends an import is its last line, without counts; where nothing was told yet
// it is the answer.
func TestImportThatFailsSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	for i := range 2000 {
		in.WriteString(importLine(i))
	}
	for _, tt := range []struct {
		err    error
		status int
		detail string
	}{
		{users.ErrUnavailable, 503, "the store is not available; send all rows again: those that were written are known to exist"},
		{users.ErrRetryTx, 503, "the store is busy; send all rows again: those that were written are known to exist"},
		{http.ErrBodyNotAllowed, 500, "internal error; quote the instance when reporting it"},
	} {
		var logged bytes.Buffer
		a := newAPI(t, func(s *setup) {
			afterwards(1200, tt.err)(s)
			s.http.Logger = logger(&logged)
		})
		got, _ := a.send("x\n"+in.String(), "")
		same(t, tt.detail, got, []string{"1 refused invalid_json", fmt.Sprint("error ", tt.status, " ")})
		if p := got[len(got)-1].Error; p != nil && (p.Detail != tt.detail || p.StatusCode != tt.status || p.Message != tt.detail || (p.Instance != "") != (tt.status == 500)) {
			t.Errorf("got %+v", p)
		}
		if strings.Count(logged.String(), "\n") != 1 {
			t.Errorf("the log has %s", logged.String())
		}

		a = newAPI(t, afterwards(0, tt.err))
		w := a.do(request("POST", importPath, in.String(), "Content-Type", lines))
		if w.Code != tt.status || (w.Header().Get("Retry-After") != "") != (tt.status == 503) || decode[problem](t, w).Detail != tt.detail {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
}

// smallBuffers accepts connections that hold little of what was not read.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetReadBuffer(32 << 10)
	}
	return c, err
}

// Nor is that line lost on a client that still writes (RFC 9112 section 9.6).
func TestImportThatFailsIsHeardByAClientThatWritesBeforeItReads(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	for i := range 30_000 {
		in.WriteString(importLine(i))
	}
	for range 5 {
		server := httptest.NewUnstartedServer(newAPI(t, afterwards(600, users.ErrUnavailable)))
		server.Listener = smallBuffers{server.Listener}
		server.Start()
		t.Cleanup(server.Close)
		got := exchanged(t, server.Listener.Addr().String(), "POST "+importPath+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+adminToken+
			"\r\nContent-Type: "+lines+"\r\nConnection: close\r\nContent-Length: "+fmt.Sprint(in.Len())+"\r\n\r\n"+in.String())
		same(t, "lines", got, []string{"error 503 "})
	}
}

// What a hook refuses is refused in its words. What it fails at is told to the client without
// them, and to the log once, however many rows there are. One that wants the client to wait
// ends the import.
func TestImportTellsWhatHooksSay(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	a := newAPI(t, func(s *setup) {
		s.http.ExtraMembers, s.http.Logger = []string{"plan"}, logger(&logged)
		s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			switch plan := string(p.Extra["plan"]); plan {
			case `"no"`:
				return &users.ForbiddenError{Detail: "there is no such plan"}
			case `"bad"`:
				return &users.ValidationError{Fields: []users.FieldError{{Pointer: "/plan", Code: "unknown_plan", Detail: "is unknown"}}}
			case `"late"`:
				return &users.TooManyRequestsError{}
			case `"gone"`:
				return errors.New("no database of plans for " + goodPassword)
			}
			return nil
		}
	})
	var in strings.Builder
	for i, plan := range []string{"no", "bad", "gone", "gone", "fine", "late"} {
		fmt.Fprintf(&in, `{"userName":"user%d","email":"user%[1]d@example.com","plan":"%s"}`+"\n", i, plan)
	}
	got, w := a.send(in.String(), "")
	same(t, "lines", got, []string{
		"1 refused forbidden", "2 refused /plan unknown_plan", "3 refused internal", "4 refused internal", "error 429 ",
	})
	if got[0].Errors[0].Detail != "there is no such plan" || strings.Contains(w.Body.String(), goodPassword) {
		t.Errorf("got %s", w.Body)
	}
	_, instance, _ := strings.Cut(got[2].Errors[0].Detail, "quote ")
	instance, _, _ = strings.Cut(instance, " ")
	if strings.Count(logged.String(), "\n") != 1 || instance == "" || !strings.Contains(logged.String(), instance) || got[3].Errors[0] != got[2].Errors[0] {
		t.Errorf("got %+v, the log has %s", got, logged.String())
	}
}

// A panic behind the first line that was sent cuts the connection: there is no last line.
func TestImportThatPanicsHasNoLastLine(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) {
		s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			if p.UserName == "user1500" {
				panic(p.UserName)
			}
			return nil
		}
	})
	for proto, server := range servers(t, a) {
		server.Config.ErrorLog = nil
		w, err := server.Client().Do(importRequest(t, server.URL, sending(func(w io.Writer) error {
			_, err := io.WriteString(w, "x\n")
			for i := 0; i < 2000 && err == nil; i++ {
				_, err = io.WriteString(w, importLine(i))
			}
			return err
		})))
		if err != nil {
			t.Fatal(err)
		}
		got, err := readLines(w.Body)
		if err == nil || len(got) != 1 || got[0].Row != 1 {
			t.Errorf("%s: got %v, %v", proto, got, err)
		}
		_ = w.Body.Close()
	}
}

// A user may have the name of the route.
func TestImportIsAUserToAllOtherMethods(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	if w := a.get(importPath); w.Code != 404 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	a.user(t.Context(), "import", "")
	if w := a.get(importPath); w.Code != 200 || decode[users.User](t, w).UserName != "import" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := a.do(request("PUT", importPath, `{"name":"Imp"}`)); w.Code != 204 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := a.do(request("OPTIONS", importPath, "")); w.Code != 204 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := a.do(request("DELETE", importPath+"/", "")); w.Code != 204 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	got, _ := a.send(importLine(1), "", "Accept", "application/json")
	same(t, "lines", got, []string{"rows 1 created 1 exists 0 duplicate 0 refused 0"})
}

// An import is the same with Interop: no published client has it.
func TestImportKnowsNothingOfInterop(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { s.http.Interop = &httpapi.Interop{} })
	got, _ := a.send(`{"userName":"ann","email":"ann@example.com","name":"Ann","displayName":"x"}`+"\n"+
		`{"userName":"bob","email":"bob@example.com","id":"`+users.ShortID("01ARZ3NDEKTSV4RRFFQ69G5FAV")+`"}`, "?results=all")
	same(t, "lines", got, []string{"1 created", "2 refused /id invalid_id", "rows 2 created 1 exists 0 duplicate 0 refused 1"})
	if u, err := a.host.User(t.Context(), "demo", got[0].ID); err != nil || u.Name != "Ann" {
		t.Errorf("got %+v, %v", u, err)
	}
}

// Memory does not grow with the rows.
func TestImportHoldsNoMoreThanABatch(t *testing.T) {
	a := newAPI(t, nil)
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	line := `{"userName":"ann","email":"no address","name":"` + strings.Repeat("x", 400) + `"}` + "\n"
	const rows = 100_000
	most, least := uint64(0), uint64(1<<62)
	body := sending(func(w io.Writer) error {
		var m runtime.MemStats
		for i := range rows {
			if i%10_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				most, least = max(most, m.HeapAlloc), min(least, m.HeapAlloc)
			}
			if _, err := io.WriteString(w, line); err != nil {
				return err
			}
		}
		return nil
	})
	w, err := server.Client().Do(importRequest(t, server.URL, body))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	n, last := 0, []byte(nil)
	for in := bufio.NewScanner(w.Body); in.Scan(); n++ {
		last = append(last[:0], in.Bytes()...)
	}
	if n != rows+1 || !bytes.Contains(last, []byte(`"refused":100000`)) {
		t.Errorf("got %d lines, the last %s", n, last)
	}
	if grown := most - least; grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes for rows of %d bytes", grown, rows*len(line))
	}
}

// A name that could be a short id is refused where such ids are in use, as by POST users.
func TestImportRefusesNamesThatLookLikeShortIDs(t *testing.T) {
	t.Parallel()
	const line = `{"userName":"abcdefghijklmnopqrstuvw","email":"a@example.com"}` + "\n"
	a := newInterop(t, func(*setup) {})
	got, _ := a.send(line, "")
	same(t, "with Interop", got, []string{"1 refused /userName looks_like_id", "rows 1 created 0 exists 0 duplicate 0 refused 1"})
	got, _ = newAPI(t, nil).send(line, "")
	same(t, "without", got, []string{"rows 1 created 1 exists 0 duplicate 0 refused 0"})
}

// What only an import knows is no member of the host's own.
func TestMembersOfAnImportAreNoExtraMembers(t *testing.T) {
	t.Parallel()
	for _, m := range []string{"passwordHash", "emailVerified"} {
		svc, auth := newService(t, memstore.New(), nil), httpapi.BearerTokens()
		if _, err := httpapi.New(svc, auth, &httpapi.Options{ExtraMembers: []string{m}}); err == nil || !strings.Contains(err.Error(), "ExtraMembers") {
			t.Errorf("%s: got %v", m, err)
		}
	}
}
