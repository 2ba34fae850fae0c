package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/gousers/users/examples/internal/browser"
)

// do performs actions in the tab.
func do(t *testing.T, tab context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(tab, actions...); err != nil {
		t.Fatal(err)
	}
}

// says waits until the element can be seen and returns its text.
func says(t *testing.T, tab context.Context, selector string) (text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, deadline)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Text(selector, &text, chromedp.ByQuery, chromedp.NodeVisible)); err != nil {
		var page string
		_ = chromedp.Run(tab, chromedp.Text("body", &page, chromedp.ByQuery))
		shoot(t, tab, "fault")
		t.Fatalf("%s did not appear (%v); the page says:\n%s", selector, err, page)
	}
	return text
}

// fill types into both fields and presses the button.
func fill(t *testing.T, tab context.Context, password, confirmation string) {
	t.Helper()
	do(t, tab,
		chromedp.WaitVisible("#password", chromedp.ByQuery),
		chromedp.Evaluate(`document.getElementById("form").reset()`, nil),
		chromedp.SendKeys("#password", password, chromedp.ByQuery),
		chromedp.SendKeys("#confirm", confirmation, chromedp.ByQuery),
		chromedp.Click("#send", chromedp.ByQuery))
}

func TestTheSetPasswordPageWorksInABrowser(t *testing.T) {
	t.Parallel()
	tab := browser.Tab(t, "the page at /set-password in a browser")
	// A fault of a script, or anything that the page's own policy refuses.
	var faults output
	faults.changed = make(chan struct{})
	chromedp.ListenTarget(tab, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			fmt.Fprintln(&faults, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			fmt.Fprintln(&faults, e.Type)
		}
	})
	dir := t.TempDir()
	p := start(t, dir, "-mail", "mail")
	p.admin().send(t, "POST", "/v1/demo/users",
		`{"userName":"jane","email":"jane@example.com","autoCreatePassword":true,"sendEmailNotification":true}`).want(t, 201)
	url := link.FindString(awaitMail(t, filepath.Join(dir, "mail")))
	if url == "" {
		t.Fatal("the mail holds no link")
	}

	do(t, tab, chromedp.EmulateViewport(390, 700), chromedp.Navigate(url), chromedp.WaitVisible("#send", chromedp.ByQuery))
	shoot(t, tab, "form")
	var bar string
	do(t, tab, chromedp.Location(&bar))
	if strings.Contains(bar, "token") || strings.Contains(bar, "demo") {
		t.Errorf("the address bar: got %s, want it without the token", bar)
	}

	var named []string
	do(t, tab, chromedp.Reload())
	says(t, tab, "#send")
	do(t, tab, chromedp.Evaluate(`Array.from(document.querySelectorAll("input[autocomplete=username]"), (i) => i.value)`, &named))
	if !slices.Equal(named, []string{"jane"}) {
		t.Errorf("the account for password managers after a reload: got %q, want jane", named)
	}
	var kept bool
	do(t, tab, chromedp.Evaluate(`localStorage.length + document.cookie.length > 0`, &kept))
	if kept {
		t.Error("the page keeps something beyond the tab")
	}

	const password = "marble kettle 7 orchards"
	fill(t, tab, password, password+"s")
	if got, want := says(t, tab, "#confirm-error"), "The passwords do not match."; got != want {
		t.Errorf("two passwords that differ: got %q, want %q", got, want)
	}
	fill(t, tab, "too short", "too short")
	if got, want := says(t, tab, "#password-error"), "at least 15 characters"; !strings.Contains(got, want) {
		t.Errorf("a short password: got %q, want %q in it", got, want)
	}
	shoot(t, tab, "refused")
	fill(t, tab, password, password)
	if got, want := says(t, tab, "#message.done"), "Your password is set."; !strings.HasPrefix(got, want) {
		t.Errorf("after the password was set: got %q, want %q", got, want)
	}
	shoot(t, tab, "done")
	var hidden bool
	do(t, tab, chromedp.Evaluate(`document.getElementById("form").offsetParent === null`, &hidden))
	if !hidden {
		t.Error("the form is still there")
	}

	var forgotten bool
	do(t, tab, chromedp.Evaluate(`history.state === null`, &forgotten))
	if !forgotten {
		t.Error("the page keeps the token after the password was set")
	}
	do(t, tab, chromedp.Reload())
	if got, want := says(t, tab, "#message.error"), "This link no longer works"; !strings.HasPrefix(got, want) {
		t.Errorf("a reload after the password was set: got %q, want %q", got, want)
	}

	// In the same tab as the good link: what was kept of that must not come back.
	for name, dead := range map[string]string{"used": url, "cut": strings.Split(url, "#")[0], "unknown": strings.Split(url, "=")[0] + "=nobody#token=x"} {
		// From another page: the link's document is the one that is open.
		do(t, tab, chromedp.Navigate("about:blank"), chromedp.Navigate(dead))
		if got, want := says(t, tab, "#message.error"), "This link no longer works"; !strings.HasPrefix(got, want) {
			t.Errorf("a link that is %s: got %q, want %q", name, got, want)
		}
		do(t, tab, chromedp.Evaluate(`document.getElementById("form").offsetParent === null`, &hidden))
		if !hidden {
			t.Errorf("a link that is %s: the form is there, as if it were of use", name)
		}
		shoot(t, tab, name)
	}

	// A link that is used elsewhere while its page is open.
	p.admin().send(t, "POST", "/v1/demo/recover-password", `{"userName":"jane"}`).want(t, 201)
	awaitFiles(t, filepath.Join(dir, "mail"), 2)
	for _, path := range mails(t, filepath.Join(dir, "mail")) {
		if found := link.FindString(readMail(t, path)); found != url {
			url = found
		}
	}
	do(t, tab, chromedp.Navigate(url))
	says(t, tab, "#send")
	p.admin().send(t, "PUT", "/v1/demo/recover-password", fmt.Sprintf(`{"passwordRecoveryToken":%q,"newPassword":%q}`, strings.Split(url, "token=")[1], password+" elsewhere")).want(t, 200)
	fill(t, tab, password+" again", password+" again")
	if got, want := says(t, tab, "#message.error"), "This link no longer works"; !strings.HasPrefix(got, want) {
		t.Errorf("a link that was used elsewhere: got %q, want %q", got, want)
	}

	if got := faults.String(); got != "" {
		t.Errorf("the page's scripts complain: %s", got)
	}
	p.stop(t, syscall.SIGTERM)
}

// shoot keeps a picture of the page, light and dark, in the directory that
// USERS_SCREENSHOTS names, for people to look at.
func shoot(t *testing.T, tab context.Context, name string) {
	t.Helper()
	dir := os.Getenv("USERS_SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		var picture []byte
		do(t, tab,
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.Sleep(100*time.Millisecond), // for the next frame
			chromedp.CaptureScreenshot(&picture))
		if err := os.WriteFile(filepath.Join(dir, name+"-"+scheme+".png"), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
