package leaktest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/gousers/users/internal/leaktest"
)

// NFC changes it; JSON, Go and URLs have to escape it.
const secret = "pl\"um O\u0308tter <sings> 7 t\u00fcnes"

func TestSecretIsFoundInEveryForm(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Error(fmt.Sprintf("%q", quoted))
	for _, text := range []string{
		secret, fmt.Sprintf("%q", secret), fmt.Sprintf("%+q", secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
		fmt.Sprint([]byte(secret)), fmt.Sprintf("%#v", []byte(secret)), string(quoted), logged.String(),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
		url.QueryEscape(secret), url.PathEscape(secret), strings.ReplaceAll(secret, "O\u0308", "\u00d6"),
		secret[:6], secret[len(secret)-8:],
	} {
		if _, found := leaktest.Find("x"+text+"x", secret); !found {
			t.Errorf("the secret is not found in %s", text)
		}
	}
	if form, found := leaktest.Find("plum otter sings 7 tunes", secret); found {
		t.Errorf("found as %q in a text without it", form)
	}
}
