package main

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestSoakKeepsEveryAcknowledgedUser loads a server on SQLite with clients that
// create, repeat, conflict and read, for a second or for USERS_SOAK (make soak).
func TestSoakKeepsEveryAcknowledgedUser(t *testing.T) {
	length := time.Second
	if text := os.Getenv("USERS_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, t.TempDir(), "-mail", "mail")
	end := time.Now().Add(length)
	var wg sync.WaitGroup
	locations := make([][]string, 4)
	for i := range locations {
		wg.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				name := fmt.Sprintf("soak-%d-%d", i, n)
				body := user(name, `,"sendEmailNotification":true`)
				created := p.admin().send(t, "POST", "/v1/demo/users", body, "Idempotency-Key", name)
				if created.status == 503 {
					continue // refused, and nothing was written
				}
				if created.status != 201 {
					t.Errorf("create: got %d, want 201: %s", created.status, created.body)
					return
				}
				locations[i] = append(locations[i], created.header.Get("Location"))
				again := p.admin().send(t, "POST", "/v1/demo/users", body, "Idempotency-Key", name)
				if again.status != 201 || again.members["id"] != created.members["id"] {
					t.Errorf("repeat: got %d %v, want 201 %v", again.status, again.members["id"], created.members["id"])
				}
				if got := p.admin().send(t, "POST", "/v1/demo/users", body).status; got != 409 {
					t.Errorf("the same again without a key: got %d, want 409", got)
				}
			}
		})
	}
	wg.Wait()
	acknowledged := slices.Concat(locations...)
	if len(acknowledged) == 0 {
		t.Fatal("no user was created")
	}
	for _, l := range acknowledged {
		p.admin().get(t, l).want(t, 200)
	}
	t.Logf("%d users in %v", len(acknowledged), length)
	p.stop(t, syscall.SIGTERM)
}
