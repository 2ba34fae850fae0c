package outbox_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
)

func TestRecorderReturnsCopies(t *testing.T) {
	t.Parallel()
	var r outbox.Recorder
	roles := []users.Role{{Name: "editor"}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_ = r.Notify(t.Context(), users.Notification{User: users.User{Roles: roles}})
			r.All()
		})
	}
	wg.Wait()
	roles[0].Name = "changed"
	r.All()[0].User.Roles[0].Name = "changed"
	if got := r.All(); len(got) != 8 || got[0].User.Roles[0].Name != "editor" {
		t.Errorf("got %+v, want 8 with the role editor", got)
	}
}

func TestLogShowsTheTokenOnlyWithLogTokens(t *testing.T) {
	t.Parallel()
	n := users.Notification{
		ID: "01J", Kind: users.KindSetPassword, User: users.User{UserName: "ann"},
		Token: password.New("tokentoken"), URL: password.New("https://example.com/#tokentoken"),
	}
	for name, tt := range map[string]struct {
		opts []outbox.LogOption
		want bool
	}{
		"default":   {nil, false},
		"LogTokens": {[]outbox.LogOption{outbox.LogTokens}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := outbox.Log(logTo(&b), tt.opts...).Notify(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			line := b.String()
			if !strings.Contains(line, "userName=ann") {
				t.Errorf("got %q, want the user's name in it", line)
			}
			shown := strings.Contains(line, "token=tokentoken") && strings.Contains(line, "#tokentoken")
			if shown != tt.want || !tt.want && strings.Contains(line, "tokentoken") {
				t.Errorf("got %q, want token and link in it: %v", line, tt.want)
			}
		})
	}
}
