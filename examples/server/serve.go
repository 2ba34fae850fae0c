package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/outbox"
)

const (
	prefix     = "/v1"
	healthPath = "/healthz"

	// At the end shutdownDeadline is for the requests that have begun, and then
	// drainDeadline for the notifications that are being delivered or are due,
	// and settleDeadline for a store that does not answer; what is left waits
	// in the store.
	shutdownDeadline = 15 * time.Second
	drainDeadline    = 10 * time.Second
	settleDeadline   = 2 * time.Second
	healthDeadline   = 2 * time.Second
)

// serve runs the server until ctx ends. It returns nil if it stopped in order.
func serve(ctx context.Context, cfg *config, stdout io.Writer, log *slog.Logger) (err error) {
	store, closeStore, err := cfg.db.Open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	gate, err := newGate()
	if err != nil {
		return err
	}
	svc, err := users.New(store, &users.Options{Hasher: cfg.hasher, Gate: gate, AfterSignIn: logLocks(log)})
	if err != nil {
		return err
	}
	demo, err := setUp(ctx, svc, cfg)
	if err != nil {
		return err
	}

	ln, err := net.Listen("tcp", cfg.addr)
	if err != nil {
		return err
	}
	defer ln.Close() // Serve does it as well; an error before Serve would not
	url := listenURL(ln.Addr())
	mail, err := newMailing(ctx, svc, cfg, url, log)
	if err != nil {
		return err
	}
	defer mail.close()
	handler, err := newHandler(svc, store, cfg, demo, log)
	if err != nil {
		return err
	}

	server := newServer(handler, log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	mail.start(ctx)
	demo.print(stdout, url, cfg)

	select {
	case <-ctx.Done():
		log.Info("stopping: no new requests, those that have begun are finished")
		shutDown(ctx, server, log)
	case err = <-served:
	}
	return errors.Join(err, mail.finish(ctx))
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // above the API's own deadline; an import has its own for each part
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// shutDown lets the requests that have begun finish. A client that is still
// sending its own when the time is up was promised nothing: it is cut off, and
// that is no failure.
func shutDown(ctx context.Context, server *http.Server, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownDeadline)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("cut off requests that were still running", "after", shutdownDeadline, "error", err)
		server.Close()
	}
}

// mailing is a relay, from its start to its end.
type mailing struct {
	relay         *outbox.Relay
	closeNotifier func() error
	cutOff        context.CancelFunc // ends the deliveries that have begun
	stop          context.CancelFunc // ends Run
	stopped       chan error
	log           *slog.Logger
}

// newMailing makes a relay that does not run yet. listening is the server's own URL.
func newMailing(ctx context.Context, svc *users.Service, cfg *config, listening string, log *slog.Logger) (*mailing, error) {
	delivering, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	relay, closeNotifier, err := newRelay(delivering, svc, cfg, listening, log)
	if err != nil {
		cutOff()
		return nil, err
	}
	return &mailing{relay: relay, closeNotifier: closeNotifier, cutOff: cutOff, stopped: make(chan error, 1), log: log}, nil
}

// start runs the relay until finish, whatever becomes of ctx.
func (m *mailing) start(ctx context.Context) {
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() { m.stopped <- m.relay.Run(ctx) }()
}

// finish ends the relay and delivers what is due. It ends in time even if the
// mail server or the store does not answer; what is left then is no failure.
func (m *mailing) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainDeadline)
	defer cancel()
	context.AfterFunc(ctx, m.cutOff)

	// Run ends first: then nothing is in its hands and Drain gets everything that is due.
	m.stop()
	select {
	case <-m.stopped:
		return m.drain(ctx)
	case <-time.After(drainDeadline + settleDeadline):
		m.log.Warn("notifications are left for the next start: the store does not answer", "after", drainDeadline+settleDeadline)
		return nil
	}
}

// drain delivers what is due. What it can't deliver in time is not lost: it
// stays in the store for the next start, which is no failure of this one.
func (m *mailing) drain(ctx context.Context) error {
	err := m.relay.Drain(ctx)
	if err != nil && ctx.Err() != nil {
		m.log.Warn("notifications are left for the next start", "after", drainDeadline)
		return nil
	}
	return err
}

func (m *mailing) close() {
	m.closeNotifier()
	m.cutOff()
}

// newHandler puts the API, the page and the health check side by side.
func newHandler(svc *users.Service, store users.Store, cfg *config, demo *setup, log *slog.Logger) (http.Handler, error) {
	authenticate := httpapi.BearerTokens(demo.tokens...)
	var interop *httpapi.Interop
	if cfg.interop {
		signedIn := newSessions(svc.User)
		authenticate = signedIn.beside(authenticate)
		interop = &httpapi.Interop{Origins: cfg.origins, SignIn: signedIn.signIn}
	}
	api, err := httpapi.New(svc, authenticate, &httpapi.Options{
		Prefix:  prefix,
		BaseURL: cfg.baseURL,
		Logger:  log,
		Interop: interop,
	})
	if err != nil {
		return nil, err
	}
	own := http.NewServeMux()
	own.Handle("GET "+setPasswordPath, setPasswordPage())
	own.Handle("POST "+setPasswordPath, setPasswordLink(svc, store))
	own.Handle("GET "+healthPath, health(svc, demo.shown.apiKey))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case setPasswordPath, healthPath:
			own.ServeHTTP(w, r)
		default: // the API also answers what nobody else does
			api.ServeHTTP(w, r)
		}
	}), nil
}

// health answers 200 while the store answers, and 503 otherwise.
func health(svc *users.Service, apiKey string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthDeadline)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if _, err := svc.Application(ctx, apiKey); err != nil && !errors.Is(err, users.ErrUnknownApplication) {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "the store does not answer\n")
			return
		}
		io.WriteString(w, "ok\n")
	})
}

// listenURL is how this machine reaches addr.
func listenURL(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
