package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

const (
	setPasswordPath = "/set-password"
	linkDeadline    = 5 * time.Second
	maxLink         = 4 << 10 // bytes of a request that asks about one
)

var (
	//go:embed setpassword.html
	pageHTML []byte
	//go:embed setpassword.css
	pageCSS []byte
	//go:embed setpassword.js
	pageJS []byte
)

// setPasswordPage answers the page to which the link in the mail leads, and
// what it loads. The page is the same for everyone: the token is in the
// fragment of the link, which browsers keep to themselves.
func setPasswordPage() http.Handler {
	files := map[string]struct {
		mediaType string
		content   []byte
	}{
		"":    {"text/html; charset=utf-8", pageHTML},
		"css": {"text/css; charset=utf-8", pageCSS},
		"js":  {"text/javascript; charset=utf-8", pageJS},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := files[r.URL.Query().Get("file")]
		if f.content == nil {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.mediaType)
		// Nothing but this page's own files, talking to nobody but this server,
		// in nobody's frame; and no address of it leaves the browser.
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		w.Write(f.content)
	})
}

// setPasswordLink answers the page's question whose password a link sets:
// {"application","token"} with {"userName"}, or with 404 if the link is dead. A
// live one stays good. Only who holds the token learns anything.
func setPasswordLink(svc *users.Service, store users.Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), linkDeadline)
		defer cancel()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		var link struct{ Application, Token string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLink)).Decode(&link); err != nil {
			http.Error(w, "not a link", http.StatusBadRequest)
			return
		}

		name, err := accountOf(ctx, svc, store, link.Application, password.New(link.Token))
		switch {
		case errors.Is(err, users.ErrBadToken), errors.Is(err, users.ErrNotFound):
			http.Error(w, "a dead link", http.StatusNotFound)
		case err != nil:
			http.Error(w, "ask again later", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(map[string]string{"userName": name})
		}
	})
}

// accountOf returns the name of the user whose password token sets. A dead token
// is [users.ErrBadToken].
func accountOf(ctx context.Context, svc *users.Service, store users.Store, apiKey string, token password.Secret) (string, error) {
	// The token is judged before the password, which is missing: nothing is set.
	if err := svc.SetPassword(ctx, apiKey, token, password.Secret{}); !errors.Is(err, users.ErrValidation) {
		return "", err
	}
	tokens, ok := users.StoreAs[users.TokenStore](store)
	if !ok {
		return "", users.ErrUnsupported
	}

	app, err := svc.Application(ctx, apiKey)
	if err != nil {
		return "", err
	}
	rec, err := tokens.FindToken(ctx, app.ID, sha256.Sum256([]byte(token.Reveal())))
	if err != nil {
		return "", err
	}
	u, err := svc.User(ctx, apiKey, rec.UserID)
	if err != nil {
		return "", err
	}
	return u.UserName, nil
}
