package outbox

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/gousers/users"
)

// Recorder is a [users.Notifier] for the tests of hosts: it keeps what it is
// given, tokens included, and delivers nothing. The zero value is ready for use;
// it is safe for concurrent use.
type Recorder struct {
	mu  sync.Mutex
	all []users.Notification
}

// Notify keeps n. It never fails.
func (r *Recorder) Notify(_ context.Context, n users.Notification) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, clone(n))
	return nil
}

// All returns copies of the notifications so far, in order; never nil.
func (r *Recorder) All() []users.Notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]users.Notification, len(r.all))
	for i, n := range r.all {
		all[i] = clone(n)
	}
	return all
}

func clone(n users.Notification) users.Notification {
	n.User.Roles = slices.Clone(n.User.Roles)
	n.User.DashboardSettings = slices.Clone(n.User.DashboardSettings)
	return n
}

// LogOption changes what [Log] logs.
type LogOption int

// LogTokens makes Log log the token and the link of set_password messages.
// Whoever reads that log can set these passwords: for development only.
const LogTokens LogOption = 1

// Log returns a [users.Notifier] for development: each notification becomes one
// line of l (nil: slog.Default()) at Info, without the token and the link unless
// [LogTokens] is given. It never fails.
func Log(l *slog.Logger, opts ...LogOption) users.Notifier {
	if l == nil {
		l = slog.Default()
	}
	reveal := slices.Contains(opts, LogTokens)
	return users.NotifierFunc(func(ctx context.Context, n users.Notification) error {
		attrs := []slog.Attr{
			slog.String("notificationId", n.ID),
			slog.String("apiKey", n.Application.APIKey),
			slog.String("kind", n.Kind),
			slog.String("userId", n.User.ID),
			slog.String("userName", n.User.UserName),
			slog.String("email", n.User.Email),
		}
		if reveal && n.Kind == users.KindSetPassword {
			attrs = append(attrs,
				slog.String("url", n.URL.Reveal()),
				slog.String("token", n.Token.Reveal()),
				slog.Time("expires", n.Expires))
		}
		l.LogAttrs(ctx, slog.LevelInfo, "notification", attrs...)
		return nil
	})
}
