package outbox_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
)

func TestRecorderCopiesWhatItKeepsAndWhatItReturns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(u *users.User)
		read   func(u users.User) string
	}{
		"roles": {
			func(u *users.User) { u.Roles[0].Name = "changed" },
			func(u users.User) string { return u.Roles[0].Name },
		},
		"dashboardSettings": {
			func(u *users.User) { copy(u.DashboardSettings, "changed") },
			func(u users.User) string { return string(u.DashboardSettings) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := users.User{Roles: []users.Role{{Name: "editor"}}, DashboardSettings: []byte(`{"theme":"dark"}`)}
			want := tt.read(given)
			var r outbox.Recorder
			if err := r.Notify(t.Context(), users.Notification{User: given}); err != nil {
				t.Fatal(err)
			}

			tt.change(&given)
			if got := tt.read(r.All()[0].User); got != want {
				t.Errorf("after a change of what was given: got %q, want %q", got, want)
			}
			tt.change(&r.All()[0].User)
			if got := tt.read(r.All()[0].User); got != want {
				t.Errorf("after a change of what was returned: got %q, want %q", got, want)
			}
		})
	}
}

func TestRecorderIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	var r outbox.Recorder
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_ = r.Notify(t.Context(), users.Notification{})
			r.All()
		})
	}
	wg.Wait()
	if got := len(r.All()); got != 8 {
		t.Errorf("got %d, want 8", got)
	}
}

func TestRecorderOfNothingReturnsAnEmptyList(t *testing.T) {
	t.Parallel()
	if got := new(outbox.Recorder).All(); got == nil || len(got) != 0 {
		t.Errorf("got %#v, want an empty list", got)
	}
}

func TestLogWithoutALoggerUsesTheDefault(t *testing.T) { // not parallel: there is one default
	before := slog.Default()
	defer slog.SetDefault(before)
	var b bytes.Buffer
	slog.SetDefault(logTo(&b))
	if err := outbox.Log(nil).Notify(t.Context(), users.Notification{ID: "01J"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "notificationId=01J") {
		t.Errorf("got %q, want a line of the default logger", b.String())
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
