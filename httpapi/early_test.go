package httpapi_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
)

// A client that writes all of its request before it reads gets the answer, also
// where nobody wants the body and the connection closes (RFC 9112 section 9.6).
func TestAnswerBeforeTheBodyIsReadIsNotLost(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) {
		tokens := s.authenticate
		s.authenticate = func(r *http.Request, apiKey string) (users.Caller, error) {
			switch r.Header.Get("Authorization") {
			case "Forbidden":
				return users.Caller{}, &users.ForbiddenError{}
			case "Away":
				return users.Caller{}, users.ErrUnavailable
			case "Panic":
				panic("host")
			}
			return tokens(r, apiKey)
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/v1/", a)
	mux.HandleFunc("/own", func(w http.ResponseWriter, r *http.Request) { a.WriteError(w, r, users.ErrConflict) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	const jsonType = "Content-Type: application/json"
	const admin = "Authorization: Bearer " + adminToken
	large := strings.Repeat("x", httpapi.MaxBody)
	for _, tt := range []struct {
		status  int
		target  string
		headers []string
		body    string
	}{
		{401, "POST /v1/demo/users", []string{jsonType}, large},
		{401, "POST /v1/demo/roles", []string{jsonType, admin + "x"}, large},
		{403, "POST /v1/demo/users", []string{jsonType, "Authorization: Forbidden"}, large},
		{404, "POST /v1/demo", []string{jsonType, admin}, large},
		{405, "DELETE /v1/demo/users", []string{jsonType, admin}, large},
		{406, "POST /v1/demo/users", []string{jsonType, admin, "Accept: text/html"}, large},
		{413, "POST /v1/demo/users", []string{jsonType, admin}, large + "x"},
		{413, "PUT /v1/demo/recover-password", []string{jsonType}, strings.Repeat(large, 12)},
		{415, "POST /v1/demo/users", []string{admin}, large},
		{415, "POST /v1/demo/recover-password", []string{jsonType, "Content-Encoding: gzip"}, large},
		{500, "POST /v1/demo/users", []string{jsonType, "Authorization: Panic"}, large},
		{503, "POST /v1/demo/users", []string{jsonType, "Authorization: Away"}, large},
		{409, "POST /own", []string{jsonType}, large},
		{200, "GET /v1/demo/roles", []string{admin}, large},
		{204, "OPTIONS /v1/demo/users", nil, large},
	} {
		for _, form := range []string{"HTTP/1.0", "HTTP/1.1 close", "HTTP/1.1 chunked close", "HTTP/1.1"} {
			t.Run(fmt.Sprint(tt.status, " ", tt.target, " ", form), func(t *testing.T) {
				proto, closes, _ := strings.Cut(form, " ")
				head, in := append([]string{tt.target + " " + proto, "Host: x"}, tt.headers...), tt.body
				if closes != "" {
					head = append(head, "Connection: close")
				}
				if strings.Contains(form, "chunked") {
					head = append(head, "Transfer-Encoding: chunked")
					in = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(in), in)
				} else {
					head = append(head, fmt.Sprint("Content-Length: ", len(in)))
				}
				for range 5 {
					got, err := sendThenRead(server.Listener.Addr().String(), strings.Join(head, "\r\n")+"\r\n\r\n"+in)
					if err != nil || got.StatusCode != tt.status {
						t.Fatalf("got %v, %v, want %d", got, err, tt.status)
					}
				}
			})
		}
	}
}

// sendThenRead writes all of the request, piece by piece as from a slower network
// than this one, before it reads the answer.
func sendThenRead(address, in string) (*http.Response, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	for piece := range slices.Chunk([]byte(in), 4<<10) {
		if _, err := c.Write(piece); err != nil {
			return nil, err
		}
	}
	w, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, w.Body)
	return w, errors.Join(err, w.Body.Close())
}

// piped is a listener of one connection that lies in memory.
type piped struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *piped) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *piped) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

func (l *piped) Addr() net.Addr { return &net.UnixAddr{} }

// serve serves h to the client whose end of the connection it returns.
func serve(t *testing.T, h http.Handler) net.Conn {
	client, served := net.Pipe()
	l := &piped{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- served
	gone, done := make(chan struct{}), make(chan error, 1)
	server := &http.Server{Handler: h, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(gone)
		}
	}}
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = client.Close()
		<-gone // net/http waits before it closes where it did not read all of a body
		_ = server.Close()
		<-done
	})
	return client
}

func TestClientThatDripsItsBodyHoldsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"POST /v1/demo/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n",
		"POST /v1/demo/users HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
		"POST /v1/demo/users HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n",
		"POST /v1/demo/users HTTP/1.0\r\nContent-Length: 100000\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, newAPI(t, nil))
			start, gone := time.Now(), make(chan struct{})
			defer func() {
				_ = c.Close()
				<-gone
			}()
			go func() {
				defer close(gone)
				_, err := io.WriteString(c, head)
				for ; err == nil; time.Sleep(100 * time.Millisecond) {
					_, err = c.Write([]byte{' '})
				}
			}()
			w, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); w.StatusCode != 401 || took > 2*time.Second {
				t.Errorf("%q: got %d after %v, want 401 within 2s", head, w.StatusCode, took)
			}
		})
	}
}

func TestClientThatWaitsForContinueIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, newAPI(t, nil))
		start := time.Now()
		if _, err := io.WriteString(c, "POST /v1/demo/users HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		w, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || w.StatusCode != 401 || time.Since(start) > 0 {
			t.Errorf("got %v, %v after %v, want 401 at once", w, err, time.Since(start))
		}
	})
}

func TestClientThatWasAskedForTooMuchIsAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, newAPI(t, nil)) // a pipe: whoever writes waits for a reader
		const head = "POST /v1/demo/recover-password HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
			"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		if w, err := http.ReadResponse(in, nil); err != nil || w.StatusCode != 100 {
			t.Fatalf("got %v, %v, want 100", w, err)
		}
		const n = 2 * httpapi.MaxBody
		if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n0\r\n\r\n", n, strings.Repeat(" ", n)); err != nil {
			t.Fatal(err)
		}
		if w, err := http.ReadResponse(in, nil); err != nil || w.StatusCode != 413 {
			t.Errorf("got %v, %v, want 413", w, err)
		}
	})
}

// The time that an answer may wait for the rest of one body limits neither what a
// middleware does afterwards nor the next request on the connection.
func TestConnectionStaysOpenAfterAnAnswerThatReadNoBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, nil)
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.ServeHTTP(w, r)
			select {
			case <-r.Context().Done():
				t.Error("the request was canceled after the answer")
			case <-time.After(time.Minute):
			}
		}))
		in := bufio.NewReader(c)
		for range 3 {
			if _, err := io.WriteString(c, "POST /v1/demo/users HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"); err != nil {
				t.Fatal(err)
			}
			w, err := http.ReadResponse(in, nil)
			if err != nil || w.StatusCode != 401 {
				t.Fatalf("got %v, %v, want 401", w, err)
			}
			if _, err := io.Copy(io.Discard, w.Body); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Closing a stream of HTTP/2 loses no answer: nothing is waited for.
func TestAnswerOverHTTP2WaitsForNoBody(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(newAPI(t, nil))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	never, release := io.Pipe()
	defer release.Close()
	start := time.Now()
	w, err := server.Client().Post(server.URL+"/v1/demo/users", "application/json", never)
	if err != nil || w.StatusCode != 401 || w.ProtoMajor != 2 {
		t.Fatalf("got %v, %v, want 401", w, err)
	}
	if took := time.Since(start); took >= 2*time.Second {
		t.Errorf("the answer took %v", took)
	}
	if err := w.Body.Close(); err != nil {
		t.Error(err)
	}
}
