package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestSecretsAreNowhereButInTheMail goes through everything that the server
// writes: after passwords were set by members, by a link and by a second link,
// and after secrets were sent that are refused.
func TestSecretsAreNowhereButInTheMail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mailDir := t.TempDir() // apart from the rest
	p := start(t, dir, "-mail", mailDir)
	const (
		byMember = "copper lantern 5 meadows"
		refused  = "zzzzzzzzzzzzzzzzzzzzz"
		byLink   = "velvet anchor 6 thistles"
		again    = "marble kettle 7 orchards"
	)
	create := func(name, more string) {
		t.Helper()
		p.admin().send(t, "POST", "/v1/demo/users", fmt.Sprintf(`{"userName":%q,"email":%q%s}`, name, name+"@example.com", more),
			"Idempotency-Key", name).want(t, 201)
	}
	create("witness-of-the-search", fmt.Sprintf(`,"password":%q,"confirmPassword":%[1]q`, byMember))
	create("linked", `,"autoCreatePassword":true,"sendEmailNotification":true`)
	first := link.FindStringSubmatch(awaitMail(t, mailDir))
	if first == nil {
		t.Fatal("the mail holds no link")
	}
	anyone := client{url: p.url, accept: "application/json"}
	set := func(token, password string, status int) {
		t.Helper()
		anyone.send(t, "PUT", "/v1/demo/recover-password",
			fmt.Sprintf(`{"passwordRecoveryToken":%q,"newPassword":%q}`, token, password)).want(t, status)
	}
	set(first[1], refused, 400)
	set(first[1], byLink, 200)
	set(first[1], again, 400)

	anyone.send(t, "POST", "/v1/demo/recover-password", `{"userName":"linked"}`).want(t, 201)
	awaitFiles(t, mailDir, 2)
	var second string
	for _, path := range mails(t, mailDir) {
		if found := link.FindStringSubmatch(readMail(t, path)); found != nil && found[1] != first[1] {
			second = found[1]
		}
	}
	if second == "" {
		t.Fatal("the second mail holds no other link")
	}
	// A secret in the wrong place must not be quoted either.
	anyone.send(t, "PUT", "/v1/demo/recover-password", fmt.Sprintf(`{"passwordRecoveryToken":%q,%q:1}`, second, byLink)).want(t, 400)
	set(second, again, 200)

	search := func(when string) {
		t.Helper()
		texts := map[string][]byte{"standard output": []byte(p.stdout.String()), "standard error": []byte(p.stderr.String())}
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				texts[filepath.Base(path)], err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		seen := false
		for place, text := range texts {
			seen = seen || bytes.Contains(text, []byte("witness-of-the-search"))
			for name, secret := range map[string]string{"the password of a member": byMember, "a refused password": refused, "the password of the first link": byLink,
				"the password of the second link": again, "the first token": first[1], "the second token": second} {
				for _, form := range forms(secret) {
					if bytes.Contains(text, form) {
						t.Errorf("%s: %s is in %s", when, name, place)
					}
				}
			}
		}
		if !seen {
			t.Errorf("%s: the search sees no user name: it would see no secret", when)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "users.db-wal")); err != nil {
		t.Errorf("while the server runs: %v, want a write-ahead log to search", err)
	}
	search("while the server runs")
	p.stop(t, syscall.SIGTERM)
	search("after its end")
}

// forms are the spellings in which a secret could be found.
func forms(secret string) [][]byte {
	all := []string{secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))}
	if raw, err := base64.RawURLEncoding.DecodeString(secret); err == nil { // a token
		all = append(all, string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), secret[:20], secret[20:])
	}
	var forms [][]byte
	for _, s := range slices.Compact(all) {
		forms = append(forms, []byte(s), bytes.ToUpper([]byte(s)))
	}
	return forms
}
