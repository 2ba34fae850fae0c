package main

import (
	_ "embed"
	"net/http"
)

const setPasswordPath = "/set-password"

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
