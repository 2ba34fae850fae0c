// Package browser opens pages in a real browser, for tests.
package browser

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Deadline is how long a page may take to do something.
const Deadline = 60 * time.Second

// Tab starts a browser without a window and returns a context for one tab of it. Where
// none is installed it skips the test, and says so loudly with what is not tested; CI
// has one.
func Tab(t testing.TB, what string) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing := "NOT TESTED: no Chromium browser: " + what + " (apt-get install chromium)"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(Deadline),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 4*Deadline)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	return ctx
}
