package interop

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/gousers/users/memstore"
)

// forms are the forms of answers that the client may be told to ask for. Never written to.
var forms = map[string]bool{"json": false, "hal": true}

func TestThePublishedClientWorksInNode(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "node", err)
	}
	lib := client(t)
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inForms(t, lib, serve(t, open(t), relative, []string{"json", "hal"}))
		})
	}
	t.Run("absolute links", func(t *testing.T) {
		t.Parallel()
		inForms(t, lib, serve(t, memstore.New(), absolute, []string{"json", "hal"}))
	})
}

// inForms makes the checks in both forms, each in an application of that name.
func inForms(t *testing.T, lib string, s *server) {
	t.Helper()
	for form, hal := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			inNode(t, lib, s.target(form, hal))
		})
	}
}

// inNode makes the checks in a process of Node's.
func inNode(t *testing.T, lib string, to target) {
	t.Helper()
	arg, err := json.Marshal(to)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	out, err := exec.CommandContext(ctx, "node", "testdata/node.mjs", lib, string(arg)).Output()
	report(t, strings.Split(strings.TrimSpace(string(out)), "\n"))
	if err != nil {
		var stderr []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			stderr = exit.Stderr
		}
		t.Errorf("node: %v\n%s", err, stderr)
	}
}

// report shows the lines of a script and fails for each FAIL, and where the end is missing.
func report(t *testing.T, lines []string) {
	t.Helper()
	t.Log(strings.Join(lines, "\n"))
	for _, line := range lines {
		if strings.HasPrefix(line, "FAIL ") {
			t.Error(line)
		}
	}
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, " ok, 0 failed") || last == "0 ok, 0 failed" {
		t.Errorf("the script ends with %q, want so many ok, 0 failed", last)
	}
}
