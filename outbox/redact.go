package outbox

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gousers/users"
)

const (
	// maxErrorBytes is the limit of NotificationRecord.LastError.
	maxErrorBytes = 512
	// maxErrorRead bounds what is looked at: an error may quote a whole message.
	maxErrorRead = 8 << 10
	// fragment is the shortest run of a secret that is taken out. What is left
	// of a token of 43 characters is useless.
	fragment = 8
	removed  = "[removed]"
)

// redactError returns the text of err as it may be stored and logged: see redact.
// err is from code that was given n.
func redactError(err error, n users.Notification) (text string) {
	// The methods of a host's error can panic too: on a nil pointer, for example.
	defer func() {
		if recover() != nil {
			text = "an error that cannot be read"
		}
	}()

	token, url := n.Token.Reveal(), n.URL.Reveal()
	secrets := []string{token}
	if !strings.Contains(url, token) { // the host made another token of it
		secrets = append(secrets, url)
	}
	return redact(err.Error(), secrets...)
}

// redact returns text without any longer run of the secrets, wherever it quotes
// or cuts them, without control characters (PostgreSQL refuses NUL), and as valid
// UTF-8 of at most 512 bytes.
func redact(text string, secrets ...string) string {
	if len(text) > maxErrorRead {
		text = text[:maxErrorRead]
	}
	text = removeRuns(text, secrets)
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))

	if len(text) <= maxErrorBytes {
		return text
	}
	cut := maxErrorBytes
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}

// removeRuns replaces every stretch of text that is made of runs of a secret.
func removeRuns(text string, secrets []string) string {
	runs := make(map[string]bool)
	for _, s := range secrets {
		for i := range len(s) - fragment + 1 {
			runs[s[i:i+fragment]] = true
		}
	}
	if len(runs) == 0 {
		return text
	}

	secret := make([]bool, len(text))
	for i := range len(text) - fragment + 1 {
		if runs[text[i:i+fragment]] {
			for j := range fragment {
				secret[i+j] = true
			}
		}
	}

	var b strings.Builder
	for i := range len(text) {
		switch {
		case !secret[i]:
			b.WriteByte(text[i])
		case i == 0 || !secret[i-1]:
			b.WriteString(removed)
		}
	}
	return b.String()
}
