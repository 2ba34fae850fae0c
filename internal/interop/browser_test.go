package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
)

const deadline = 60 * time.Second // for anything that takes milliseconds on an idle machine

// browser starts a browser without a window and returns a context for one tab of it.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "Chromium browser", err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(deadline),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	return ctx
}

// pages serves the page and returns its origin, which is one of its own.
func pages(t *testing.T, lib string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("testdata")))
	mux.Handle("/lib/", http.StripPrefix("/lib/", http.FileServer(http.Dir(lib))))
	listening := httptest.NewServer(mux)
	t.Cleanup(listening.Close)
	return listening.URL
}

// inPage opens the page in the tab and returns the lines of a function that it has.
func inPage(t *testing.T, tab context.Context, origin, function string, args ...any) (lines []string) {
	t.Helper()
	all, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	err = chromedp.Run(tab,
		chromedp.Navigate(origin+"/page.html"),
		chromedp.Evaluate(fmt.Sprintf("%s(...%s)", function, all), &lines, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
			return p.WithAwaitPromise(true)
		}))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestThePublishedClientWorksInAPageOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	lib := client(t)
	tab := browser(t)
	origin, stranger := pages(t, lib), pages(t, lib)
	keys := []string{"json-jquery", "json-fetch", "hal-jquery", "hal-fetch"}
	s := serve(t, memstore.New(), relative, keys, "https://app.example.com", origin)

	for form, hal := range forms {
		for _, adapter := range []string{"jquery", "fetch"} {
			key := form + "-" + adapter
			t.Run(key, func(t *testing.T) {
				report(t, inPage(t, tab, origin, "checks", s.target(key, hal), adapter))
			})
			t.Run("an origin that is not named/"+key, func(t *testing.T) {
				user := map[string]string{"userName": "stranger", "email": "stranger@example.com", "password": "violet harbour 47 crumpets", "confirmPassword": "violet harbour 47 crumpets"}
				report(t, inPage(t, tab, stranger, "shutOut", s.target(key, hal), adapter, user))
				wantNobody(t, s, key, "stranger")
			})
		}
	}
}

// wantNobody wants no such user: what the browser refuses must not even be sent.
func wantNobody(t *testing.T, s *server, apiKey, name string) {
	t.Helper()
	ctx := users.WithCaller(t.Context(), users.Caller{ID: "test", APIKey: apiKey, Permissions: users.AllPermissions})
	exists, err := s.svc.Exists(ctx, apiKey, name)
	if err != nil {
		t.Fatal(err)
	}
	if exists {
		t.Errorf("a page of an origin that is not named created %s", name)
	}
}
