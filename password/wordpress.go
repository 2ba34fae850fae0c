package password

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"strings"
)

const wordPressPrefix = "$wp"

// parseWordPress reads a hash of WordPress 6.8 and later, which is bcrypt of
// base64(HMAC-SHA384("wp-sha384", password)), the password trimmed.
func parseWordPress(s string) (foreign, error) {
	f, err := bcryptUpTo(maxWordPressBcryptCost, strings.TrimPrefix(s, wordPressPrefix))
	if err != nil {
		return foreign{}, err
	}
	return foreign{memory: f.memory, matches: func(pw []byte) bool {
		return slices.ContainsFunc(distinct(phpTrim(pw), phpTrim(slashed(pw))), func(pw []byte) bool {
			mac := hmac.New(sha512.New384, []byte("wp-sha384"))
			mac.Write(pw)
			return f.matches(base64.StdEncoding.AppendEncode(nil, mac.Sum(nil)))
		})
	}}, nil
}

// wordPressForms returns what WordPress before 6.8 may have hashed for pw: its forms for
// signing in and for profiles pass on what wp_magic_quotes made of it, and
// wp_hash_password trims that (wp-includes/load.php, wp-includes/pluggable.php).
func wordPressForms(pw []byte) [][]byte {
	s := slashed(pw)
	return distinct(pw, phpTrim(pw), s, phpTrim(s))
}

// phpBBForms returns what phpBB may have hashed for pw: what came from a form was escaped
// for HTML first (set_var in includes/functions.php, and type_cast_helper after it).
func phpBBForms(pw []byte) [][]byte {
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(string(pw))
	return distinct(pw, []byte(escaped))
}

// distinct returns the forms without repetitions: each costs a verification.
func distinct(forms ...[]byte) [][]byte {
	var all [][]byte
	for _, form := range forms {
		if !slices.ContainsFunc(all, func(other []byte) bool { return bytes.Equal(form, other) }) {
			all = append(all, form)
		}
	}
	return all
}

// phpTrim is PHP's trim.
func phpTrim(b []byte) []byte { return bytes.Trim(b, " \t\n\r\x00\v") }

// slashed is PHP's addslashes.
func slashed(b []byte) []byte {
	return []byte(strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, "\x00", `\0`).Replace(string(b)))
}
