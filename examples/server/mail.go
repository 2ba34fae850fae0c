package main

import (
	"context"
	"log/slog"
	"net"
	"net/url"

	"github.com/gousers/users"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/smtpnotify"
)

// newRelay makes the relay with the notifier of the flags, whose deliveries end
// with delivering. listening is the server's own URL.
func newRelay(delivering context.Context, svc *users.Service, cfg *config, listening string, log *slog.Logger) (relay *outbox.Relay, closeNotifier func() error, err error) {
	notifier, closeNotifier, err := newNotifier(cfg, log)
	if err != nil {
		return nil, nil, err
	}
	base := cfg.baseURL
	if base == "" {
		base = listening
	}
	relay, err = outbox.New(svc, until(delivering, notifier), &outbox.Options{
		SetPasswordURL: func(app users.Application, token string) string {
			return setPasswordURL(base, app.APIKey, token)
		},
		Logger: log,
	})
	return relay, closeNotifier, err
}

// until makes the deliveries of n end with end, however long they might still
// take. Without it the end of Run waits for a mail server that does not answer,
// as long as the relay lets one delivery take.
func until(end context.Context, n users.Notifier) users.Notifier {
	return users.NotifierFunc(func(ctx context.Context, note users.Notification) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(end, cancel)()
		return n.Notify(ctx, note)
	})
}

// setPasswordURL is the link in the mail. The token is in the fragment, which a
// browser sends to no server, so no log on the way holds it.
func setPasswordURL(base, apiKey, token string) string {
	return base + setPasswordPath + "?application=" + url.QueryEscape(apiKey) + "#token=" + url.QueryEscape(token)
}

func newNotifier(cfg *config, log *slog.Logger) (users.Notifier, func() error, error) {
	nothing := func() error { return nil }
	switch {
	case cfg.smtp != nil:
		return cfg.smtp, cfg.smtp.Close, nil
	case cfg.mailDir != "":
		n, err := smtpnotify.Dir(cfg.mailDir, cfg.from, nil)
		return n, nothing, err
	}
	return outbox.Log(log.With("hint", "not delivered; -mail DIR writes the mail with its link to a directory")), nothing, nil
}

// newSMTP makes the notifier for -smtp; it opens no connection. A mail server on
// this machine is taken without TLS, unless the URL says otherwise.
func newSMTP(server, from string) (*smtpnotify.Notifier, error) {
	u, err := url.Parse(server)
	if err == nil && u.Scheme == "smtp" && u.RawQuery == "" && loopback(u.Hostname()) {
		u.RawQuery = "tls=none"
		server = u.String()
	}
	return smtpnotify.New(server, from, nil)
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
