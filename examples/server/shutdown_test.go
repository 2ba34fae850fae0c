package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// endDeadline is what the command's documentation promises.
const endDeadline = shutdownDeadline + drainDeadline

// endInTime sends SIGTERM and wants the server to end in order before its
// deadline. It tells how long that took.
func (p *process) endInTime(t *testing.T) time.Duration {
	t.Helper()
	begun := time.Now()
	p.stop(t, syscall.SIGTERM)
	took := time.Since(begun)
	if took > endDeadline {
		t.Errorf("the end took %v, want at most %v", took, endDeadline)
	}
	return took
}

// order is a user that a client wants made, with the same key at every attempt.
type order struct {
	name string
	mail bool
}

// books are what the clients know.
type books struct {
	mu       sync.Mutex
	made     int
	acked    map[order]string // the Location
	unknown  []order          // without an answer, or refused
	halves   []string
	statuses map[int]int
}

func (b *books) next() order {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	return order{fmt.Sprintf("term-%05d", b.made), b.made%2 == 0}
}

// post sends o once and tells whether the server still answers.
func (b *books) post(c *http.Client, p *process, o order) bool {
	more := ""
	if o.mail {
		more = `,"sendEmailNotification":true`
	}
	req, err := http.NewRequest("POST", p.url+"/v1/demo/users", strings.NewReader(user(o.name, more)))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", o.name)
	status, location, err := exchange(c, req)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.statuses[status]++
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		b.halves = append(b.halves, fmt.Sprintf("%s: status %d, then %v", o.name, status, err))
	case status == http.StatusCreated:
		if was, ok := b.acked[o]; ok && was != location {
			b.halves = append(b.halves, fmt.Sprintf("%s: is %s and %s", o.name, was, location))
		}
		b.acked[o] = location
		return true
	}
	b.unknown = append(b.unknown, o)
	return err == nil
}

// exchange returns the whole answer's status and location. The error of half an
// answer is io.ErrUnexpectedEOF; any other means that none came.
func exchange(c *http.Client, req *http.Request) (status int, location string, err error) {
	res, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	var members map[string]any
	if err == nil {
		err = json.Unmarshal(body, &members)
	}
	if err != nil {
		return res.StatusCode, "", fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return res.StatusCode, res.Header.Get("Location"), nil
}

func TestSIGTERMUnderLoadLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	const rounds, clients = 20, 4
	dir := t.TempDir()
	args := []string{"-mail", "mail", "-application", "demo=the-token"}
	b := &books{acked: map[order]string{}, statuses: map[int]int{}}
	var worst time.Duration
	for range rounds {
		p := start(t, dir, args...)
		c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
		var load sync.WaitGroup
		for range clients {
			load.Go(func() {
				for b.post(c, p, b.next()) {
				}
			})
		}
		<-time.After(50*time.Millisecond + rand.N(200*time.Millisecond))
		worst = max(worst, p.endInTime(t))
		load.Wait()
		c.CloseIdleConnections()
	}

	p := start(t, dir, args...)
	acknowledged := len(b.acked)
	for _, o := range b.unknown { // none of these may have been made by halves
		if !b.post(http.DefaultClient, p, o) {
			t.Errorf("%s: no answer to the repeat", o.name)
		}
	}
	for _, half := range b.halves {
		t.Errorf("half an answer or two answers: %s", half)
	}
	if len(b.acked) != b.made || acknowledged == 0 {
		t.Errorf("got %d users acknowledged before and %d after the repeats, want some and all %d", acknowledged, len(b.acked), b.made)
	}
	asked := 0
	for o, location := range b.acked {
		p.admin().get(t, location).want(t, 200)
		if o.mail {
			asked++
		}
	}
	awaitFiles(t, filepath.Join(dir, "mail"), asked)
	to := recipients(t, filepath.Join(dir, "mail"))
	for o := range b.acked {
		if got := to[o.name+"@example.com"]; got != o.mail {
			t.Errorf("%s was sent a mail: got %t, want %t", o.name, got, o.mail)
		}
	}
	p.endInTime(t)
	t.Logf("%d SIGTERMs, the slowest end took %v; %d users, %d acknowledged before the last start; statuses (0: no answer): %v",
		rounds, worst.Round(time.Millisecond), len(b.acked), acknowledged, b.statuses)
}

// awaitFiles waits until dir holds at least n mails.
func awaitFiles(t *testing.T, dir string, n int) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for late := time.After(deadline); len(mails(t, dir)) < n; {
		select {
		case <-late:
			t.Fatalf("got %d mails, want %d", len(mails(t, dir)), n)
		case <-look.C:
		}
	}
}

// recipients reads the addresses of all mails of dir. Two mails to one address,
// which are two notifications, are an error.
func recipients(t *testing.T, dir string) map[string]bool {
	t.Helper()
	to := map[string]bool{}
	for _, path := range mails(t, dir) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		list, err := m.Header.AddressList("To")
		if err != nil || len(list) != 1 || to[list[0].Address] {
			t.Errorf("%s: To is %v (%v), want one address without another mail", path, list, err)
			continue
		}
		to[list[0].Address] = true
	}
	return to
}

func TestASilentMailServerDoesNotDelayTheEnd(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"smtp", "smtps"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			ln, accepted := silent(t)
			dir := t.TempDir()
			p := start(t, dir, "-smtp", scheme+"://"+ln.Addr().String(), "-from", "shop@example.com", "-base-url", "https://shop.example.com")
			const n = 6 // more than the relay has workers
			for i := range n {
				p.admin().send(t, "POST", "/v1/demo/users", user(fmt.Sprintf("jane%d", i), `,"sendEmailNotification":true`)).want(t, 201)
			}
			select {
			case <-accepted: // a delivery waits for an answer
			case <-time.After(deadline):
				t.Fatal("nothing was delivered")
			}
			took := p.endInTime(t)
			if !strings.Contains(p.stderr.String(), "notifications are left for the next start") {
				t.Errorf("the log says nothing of what is left: %s", p.stderr)
			}
			t.Logf("the end took %v", took.Round(time.Millisecond))

			p = start(t, dir, "-mail", "mail")
			awaitFiles(t, filepath.Join(dir, "mail"), n)
			if got := len(recipients(t, filepath.Join(dir, "mail"))); got != n {
				t.Errorf("got mail for %d users after the next start, want %d", got, n)
			}
			p.endInTime(t)
		})
	}
}

// silent is a server that accepts connections and never says a word.
func silent(t *testing.T) (ln net.Listener, accepted <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	var once sync.Once
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			once.Do(func() { close(first) })
			go io.Copy(io.Discard, conn)
		}
	}()
	return ln, first
}
