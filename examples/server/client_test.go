package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

type answer struct {
	status  int
	header  http.Header
	body    []byte
	members map[string]any // of a JSON object
}

func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// client sends requests with one token and one Accept header.
type client struct{ url, token, accept string }

func (p *process) as(token string) client { return client{p.url, token, "application/json"} }
func (p *process) admin() client          { return p.as(p.token) }

func (c client) send(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", c.accept)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(res.Header.Get("Content-Type"), "json") && bytes.HasPrefix(a.body, []byte("{")) {
		if err := json.Unmarshal(a.body, &a.members); err != nil {
			t.Fatalf("%v in %s", err, a.body)
		}
	}
	return a
}

func (c client) get(t *testing.T, path string) answer {
	t.Helper()
	return c.send(t, "GET", path, "")
}

// user is the body of a request with more members after the required ones.
func user(name, more string) string {
	return fmt.Sprintf(`{"userName":%q,"email":%q,"password":%q,"confirmPassword":%[3]q%s}`,
		name, name+"@example.com", demoPassword, more)
}

// relation is a link with its relation.
type relation struct{ rel, href string }

// method is what a link is to be asked by.
func (l relation) method() string {
	switch l.rel {
	case "delete":
		return "DELETE"
	case "put", "lock", "unlock", "approve", "disapprove":
		return "PUT"
	}
	return "GET"
}

// links collects every link of a JSON value: in HAL and in the plain form. rel is
// the name of the member that holds the value.
func links(rel string, v any) (all []relation) {
	switch v := v.(type) {
	case map[string]any:
		if named, ok := v["rel"].(string); ok {
			rel = named
		}
		if href, ok := v["href"].(string); ok {
			return []relation{{rel, href}}
		}
		for name, inner := range v {
			all = append(all, links(name, inner)...)
		}
	case []any:
		for _, inner := range v {
			all = append(all, links(rel, inner)...)
		}
	}
	return all
}
