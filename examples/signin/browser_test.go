package main

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gousers/users/examples/internal/browser"
	"github.com/gousers/users/memstore"
)

// submit fills in fields of the form that has the button, and presses it.
func submit(t *testing.T, tab context.Context, form string, fields ...string) (page string) {
	t.Helper()
	form = `form[action="` + form + `"] `
	var do chromedp.Tasks
	for i := 0; i < len(fields); i += 2 {
		do = append(do, chromedp.SendKeys(form+`[name="`+fields[i]+`"]`, fields[i+1], chromedp.ByQuery))
	}
	press := chromedp.Click(form+"button", chromedp.ByQuery)
	do = append(do, chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := chromedp.RunResponse(ctx, press) // waits for the page that comes
		return err
	}), chromedp.Text("body", &page, chromedp.ByQuery))
	if err := chromedp.Run(tab, do...); err != nil {
		t.Fatal(err)
	}
	return page
}

// TestThePageWorksInABrowser also shows that the cookie, which is Secure, is kept over
// HTTP from this machine, and that a browser's own forms are of the same origin.
func TestThePageWorksInABrowser(t *testing.T) {
	t.Parallel()
	tab := browser.Tab(t, "signing in with the page")
	server := httptest.NewServer(newSite(newService(t, memstore.New(), nil)).handler())
	t.Cleanup(server.Close)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		at := strings.Replace(server.URL, "127.0.0.1", host, 1)
		if err := chromedp.Run(tab, chromedp.Navigate(at), chromedp.WaitVisible("button", chromedp.ByQuery)); err != nil {
			t.Fatal(err)
		}
		shoot(t, tab, host+"-form")
		for _, step := range []struct {
			name, form string
			fields     []string
			want       string
		}{
			{"wrong", "/login", []string{"login", "jane", "password", second}, "is wrong"},
			{"signed-in", "/login", []string{"login", "jane", "password", first}, "You are jane"},
			{"refused", "/password", []string{"oldPassword", first, "newPassword", "too short"}, "at least 15 characters"},
			{"changed", "/password", []string{"oldPassword", first, "newPassword", second}, "You are jane"},
			{"back", "/password", []string{"oldPassword", second, "newPassword", first}, "You are jane"},
			{"signed-out", "/logout", nil, "Sign in"},
		} {
			page := submit(t, tab, step.form, step.fields...)
			shoot(t, tab, host+"-"+step.name)
			if !strings.Contains(page, step.want) {
				t.Fatalf("%s, %s: want %q, the page says:\n%s", host, step.name, step.want, page)
			}
		}
	}
}

// shoot keeps a picture of the page in the directory that USERS_SCREENSHOTS names, for
// people to look at.
func shoot(t *testing.T, tab context.Context, name string) {
	t.Helper()
	dir := os.Getenv("USERS_SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	if err := chromedp.Run(tab, chromedp.CaptureScreenshot(&picture)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}
