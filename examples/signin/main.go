// Command signin is a small site whose users sign in with a password and have
// sessions, which are the site's own: the library judges the password and says when a
// session must end.
//
//	go run ./signin
//
// It prints where it listens and who may sign in. Users and sessions are in memory:
// with those on a disk (package sqlstore, the stores of scs) it is a start for a site
// of yours.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

const (
	apiKey  = "demo"
	maxForm = 64 << 10 // bytes
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	if err := run(context.Background(), *addr); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string) error {
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		return err
	}
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: apiKey}); err != nil {
		return err
	}
	text := rand.Text()
	pw := password.New(text)
	u, err := svc.Create(ctx, apiKey, users.CreateUserParams{
		UserName: "jane", Email: "jane@example.com", Password: pw, ConfirmPassword: pw,
	})
	if err != nil {
		return err
	}

	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s: sign in as %s or %s with the password %s\n", ln.Addr(), u.UserName, u.Email, text)
	server := &http.Server{Handler: newSite(svc).handler(), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	return server.Serve(ln)
}

// site is what the application around the library looks like.
type site struct {
	users    *users.Service
	sessions *scs.SessionManager
}

func newSite(svc *users.Service) *site {
	m := scs.New()
	m.Lifetime = 12 * time.Hour
	m.IdleTimeout = 30 * time.Minute
	m.Store = newFinalStore(m.Store)
	m.HashTokenInStore = true // who reads the store can't use what is in it
	m.Cookie.Name = "__Host-session"
	m.Cookie.HttpOnly = true
	m.Cookie.SameSite = http.SameSiteLaxMode
	// Over HTTPS only. Chromium and curl take it from http://127.0.0.1 and localhost too.
	m.Cookie.Secure = true
	return &site{users: svc, sessions: m}
}

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { show(w, r, http.StatusOK, "") })
	mux.Handle("POST /login", post(s.login))
	mux.Handle("POST /logout", post(s.logout))
	mux.Handle("POST /password", post(s.changePassword))

	sameOrigin := http.NewCrossOriginProtection().Handler(s.sessions.LoadAndSave(s.signedIn(mux)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		sameOrigin.ServeHTTP(w, r)
	})
}

type userKey struct{}

// signedInUser returns the user who sent the request; nil: nobody is signed in.
func signedInUser(ctx context.Context) *users.User {
	u, _ := ctx.Value(userKey{}).(*users.User)
	return u
}

// signedIn looks at the user of the session as it is now, and ends the session of one
// who may not be here any more or has another password. For next the user is in the
// context, also as the library's Caller: it may do there what the user may.
func (s *site) signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := s.sessions.GetString(r.Context(), "user")
		if id == "" {
			next.ServeHTTP(w, r)
			return
		}

		ctx := users.WithCaller(r.Context(), users.Caller{ID: "user-" + id, APIKey: apiKey, UserID: id})
		u, err := s.users.User(ctx, apiKey, id)
		switch {
		case errors.Is(err, users.ErrForbidden), // the user is deleted, or the application disabled
			err == nil && (u.IsLockedOut || !u.IsApproved || u.PasswordChanged.UnixMicro() != s.sessions.GetInt64(ctx, "passwordChanged")):
			err = s.sessions.Destroy(ctx)
		case err == nil:
			r = r.WithContext(context.WithValue(ctx, userKey{}, u))
		}
		if err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// signIn makes the session that of the user whose password is pw.
func (s *site) signIn(ctx context.Context, login string, pw password.Secret) error {
	u, err := s.users.Authenticate(ctx, apiKey, login, pw)
	if err != nil {
		return err
	}
	if err := s.sessions.RenewToken(ctx); err != nil { // first: the old token may be known to others
		return err
	}
	s.sessions.Put(ctx, "user", u.ID)
	s.sessions.Put(ctx, "passwordChanged", u.PasswordChanged.UnixMicro()) // a new password ends the session
	return nil
}

func (s *site) login(r *http.Request) error {
	return s.signIn(r.Context(), r.PostForm.Get("login"), password.New(r.PostForm.Get("password")))
}

func (s *site) logout(r *http.Request) error { return s.sessions.Destroy(r.Context()) }

// changePassword sets the user's own password. That ends all sessions of the user; this
// one goes on, because it signs in again. To read the user anew would not do: an
// administrator may have set another password meanwhile.
func (s *site) changePassword(r *http.Request) error {
	ctx, u := r.Context(), signedInUser(r.Context())
	if u == nil {
		return nil // to the form for signing in
	}
	pw := password.New(r.PostForm.Get("newPassword"))
	err := s.users.ChangePassword(ctx, apiKey, u.ID, users.ChangePasswordParams{
		OldPassword: password.New(r.PostForm.Get("oldPassword")), NewPassword: pw,
	})
	if err != nil {
		return err
	}
	if err := s.signIn(ctx, u.UserName, pw); err != nil {
		log.Print("sign in with the new password: ", err) // the password is set; the user signs in by hand
	}
	return nil
}

// post answers a form: with a redirection to the page once do has done it.
func post(do func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil { // not for the log: it may quote a password
			status := http.StatusBadRequest
			if _, large := errors.AsType[*http.MaxBytesError](err); large {
				status = http.StatusRequestEntityTooLarge
			}
			show(w, r, status, "That is not a form, or it is too large.")
			return
		}
		if err := do(r); err != nil {
			refuse(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// labels are the fields that the library may find invalid. Never written to.
var labels = map[string]string{"/oldPassword": "The old password", "/newPassword": "The new password"}

// refuse says in one sentence why not.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var (
		invalid    *users.ValidationError
		overloaded *password.OverloadedError
	)
	switch {
	case errors.Is(err, users.ErrBadCredentials):
		show(w, r, http.StatusUnauthorized, "The name or the password is wrong, or there were too many attempts.")
	case errors.Is(err, users.ErrLockedOut):
		show(w, r, http.StatusForbidden, "This account is locked.")
	case errors.Is(err, users.ErrNotApproved):
		show(w, r, http.StatusForbidden, "This account is not approved yet.")
	case errors.As(err, &invalid):
		f := invalid.Fields[0]
		show(w, r, http.StatusBadRequest, labels[f.Pointer]+" "+f.Detail+".")
	case errors.As(err, &overloaded):
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(overloaded.RetryAfter.Seconds()))))
		show(w, r, http.StatusServiceUnavailable, "Too many people are signing in. Try again in a minute.")
	default:
		log.Print(r.Method, " ", r.URL.Path, ": ", err)
		show(w, r, http.StatusInternalServerError, "Something went wrong. Try again later.")
	}
}

func show(w http.ResponseWriter, r *http.Request, status int, message string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	err := page.Execute(w, struct {
		User    *users.User
		Message string
	}{signedInUser(r.Context()), message})
	if err != nil {
		log.Print("show the page: ", err)
	}
}

// page is never written to.
var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Sign in</title>
{{with .Message}}<p role="alert">{{.}}</p>{{end}}
{{with .User}}
<h1>You are {{.UserName}}</h1>
<form method="post" action="/password">
<input type="text" autocomplete="username" value="{{.UserName}}" hidden>
<p><label>Old password<br><input type="password" name="oldPassword" autocomplete="current-password" required></label>
<p><label>New password<br><input type="password" name="newPassword" autocomplete="new-password" required></label>
<p><button>Change the password</button>
</form>
<form method="post" action="/logout"><button>Sign out</button></form>
{{else}}
<h1>Sign in</h1>
<form method="post" action="/login">
<p><label>Name or e-mail address<br><input name="login" autocomplete="username" required autofocus></label>
<p><label>Password<br><input type="password" name="password" autocomplete="current-password" required></label>
<p><button>Sign in</button>
</form>
{{end}}
</html>
`))
