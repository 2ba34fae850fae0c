package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// request is one user that a client wants made; the same key repeats it.
type request struct {
	name  string
	roles bool
	mail  bool
}

func (r request) body() []byte {
	b := map[string]any{
		"userName": r.name, "email": r.name + "@example.com",
		"password": "an unguessable sentence", "confirmPassword": "an unguessable sentence",
		"sendEmailNotification": r.mail,
	}
	if r.roles {
		b["roles"] = []string{role}
	}
	raw, err := json.Marshal(b)
	if err != nil {
		panic(err)
	}
	return raw
}

// ledger is what the clients know: who was acknowledged and whose outcome they
// don't know.
type ledger struct {
	mu       sync.Mutex
	next     int
	acked    map[string]string // user name to id
	requests map[string]request
	unknown  []request
	faults   []string
	statuses map[int]int
	news     chan struct{} // receives when one more is acknowledged
}

func newLedger() *ledger {
	return &ledger{acked: map[string]string{}, requests: map[string]request{}, statuses: map[int]int{}, news: make(chan struct{}, 1)}
}

// take returns a request whose outcome is unknown, to be repeated, or a new one.
// Of the new ones half ask for mail, and half of each half for a role.
func (l *ledger) take() request {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.unknown); n > 0 {
		r := l.unknown[n-1]
		l.unknown = l.unknown[:n-1]
		return r
	}
	l.next++
	r := request{fmt.Sprintf("user-%06d", l.next), l.next%4 < 2, l.next%2 == 0}
	l.requests[r.name] = r
	return r
}

func (l *ledger) settle(r request, status int, id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses[status]++
	switch {
	case err != nil, status == http.StatusServiceUnavailable:
		l.unknown = append(l.unknown, r)
	case status != http.StatusCreated:
		l.faults = append(l.faults, fmt.Sprintf("%s: got status %d, want 201 or 503", r.name, status))
		l.unknown = append(l.unknown, r)
	case l.acked[r.name] != "" && l.acked[r.name] != id:
		l.faults = append(l.faults, fmt.Sprintf("%s: acknowledged as %s and as %s", r.name, l.acked[r.name], id))
	default:
		l.acked[r.name] = id
		select {
		case l.news <- struct{}{}:
		default:
		}
	}
}

// load posts users from eight clients until ctx is done or, with want > 0,
// until no outcome is unknown and that many are acknowledged.
func (l *ledger) load(ctx context.Context, addr string, want int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil && !l.done(want) {
				r := l.take()
				status, id, err := post(ctx, client, addr, r)
				l.settle(r, status, id, err)
				switch {
				case err != nil && want == 0:
					return // the server is gone
				case status != http.StatusCreated:
					pause(ctx, 20*time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

// pause is the back-off of a client that was told 503.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (l *ledger) done(want int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return want > 0 && len(l.unknown) == 0 && len(l.acked) >= want
}

func post(ctx context.Context, client *http.Client, addr string, r request) (status int, id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/"+apiKey+"/users", bytes.NewReader(r.body()))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Idempotency-Key", r.name)
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, "", err
	}
	var u struct{ ID string }
	if res.StatusCode == http.StatusCreated {
		if err := json.Unmarshal(raw, &u); err != nil || u.ID == "" {
			return 0, "", errors.Join(errors.New("201 without a user"), err)
		}
	}
	return res.StatusCode, u.ID, nil
}
