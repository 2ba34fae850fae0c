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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
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
		{"HTTP/1.1", " HTTP/1.1\r\nConnection: close\r\n", false, nil},
		{"chunked", " HTTP/1.1\r\nConnection: close\r\n", true, nil},
		{"a middleware in between", " HTTP/1.1\r\nConnection: close\r\n", true, wrapped},
		{"a middleware in between and a length", " HTTP/1.1\r\nConnection: close\r\n", false, wrapped},
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
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
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
		w, err := c.Do(importRequest(t, "http://x", sending(func(w io.Writer) error {
			for i := range 600 {
				if _, err := io.WriteString(w, importLine(i)); err != nil {
					return err
				}
				time.Sleep(20 * time.Second)
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
		same(t, "lines", got, []string{"rows 600 created 600 exists 0 duplicate 0 refused 0"})
	})
}

// Neither is a server that is slow.
func TestImportMayTakeItsTimeToHash(t *testing.T) {
	t.Parallel()
	change := func(s *setup) {
		s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			if p.UserName == "user499" || p.UserName == "user699" {
				time.Sleep(2 * time.Minute)
			}
			return nil
		}
	}
	inMemory(t, change, func(t *testing.T, a *api, c *http.Client) {
		w, err := c.Do(importRequest(t, "http://x", sending(func(w io.Writer) error {
			for i := range 700 {
				if _, err := io.WriteString(w, importLine(i)); err != nil {
					return err
				}
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
		same(t, "lines", got, []string{"rows 700 created 700 exists 0 duplicate 0 refused 0"})
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
		r := importRequest(t, "http://x", sending(func(w io.Writer) error {
			for i := range 50_000 {
				if _, err := io.WriteString(w, importLine(i)); err != nil {
					return err
				}
			}
			return nil
		}))
		r.URL.RawQuery = "results=all"
		w, err := c.Do(r)
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
		if after := a.count(); before == 0 || before >= 50_000 || after != before {
			t.Errorf("%d users, then %d", before, after)
		}
	})
}
