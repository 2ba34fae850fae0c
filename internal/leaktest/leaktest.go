// Package leaktest finds secrets in texts that must not hold any.
package leaktest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/gousers/users/password"
)

// part is how many characters of a secret's beginning or end are a leak.
const part = 6

// Find reports whether text holds secret, as it is or after
// [password.Normalize], and in which form: plain, quoted, encoded, as the
// numbers of its bytes, or a part of it. It does not look at backslashes, of which
// every layer of quoting adds some. secret must have more than six characters.
func Find(text, secret string) (form string, found bool) {
	text = strings.ReplaceAll(text, `\`, "")
	normal, _ := password.Normalize(password.New(secret))
	for _, s := range []string{secret, string(normal)} {
		for form, leak := range forms(s) {
			if leak = strings.ReplaceAll(leak, `\`, ""); leak != "" && strings.Contains(text, leak) {
				return form, true
			}
		}
	}
	return "", false
}

func forms(s string) map[string]string {
	b, r := []byte(s), []rune(s)
	quoted, _ := json.Marshal(s)
	all := map[string]string{
		"plain":           s,
		"JSON":            strings.Trim(string(quoted), `"`),
		"Go":              strings.Trim(fmt.Sprintf("%q", s), `"`),
		"ASCII":           strings.Trim(fmt.Sprintf("%+q", s), `"`),
		"query":           url.QueryEscape(s),
		"path":            url.PathEscape(s),
		"hex":             hex.EncodeToString(b),
		"HEX":             strings.ToUpper(hex.EncodeToString(b)),
		"base64":          base64.RawStdEncoding.EncodeToString(b),
		"base64 for URLs": base64.RawURLEncoding.EncodeToString(b),
		"bytes":           strings.Trim(fmt.Sprint(b), "[]"),
		"bytes in Go":     strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}"),
	}
	if len(r) > part {
		all["beginning"], all["end"] = string(r[:part]), string(r[len(r)-part:])
	}
	return all
}
