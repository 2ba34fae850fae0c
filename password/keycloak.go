package password

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Keycloak returns the hash of a password credential of Keycloak, in the spelling that
// [Legacy] knows. secretData and credentialData are the JSON texts that a realm's export
// and the table CREDENTIAL have under these names. The algorithms are those that Keycloak
// comes with: pbkdf2 (of SHA-1), pbkdf2-sha256, pbkdf2-sha512, and argon2 of version 24
// and later, of type id or i and version 1.3.
//
// An error wraps [ErrUnknownHash] or [ErrTooCostly] and holds nothing of what was given.
func Keycloak(secretData, credentialData []byte) (Hash, error) {
	var secret struct{ Value, Salt string }
	var credential struct {
		Algorithm            string
		HashIterations       int64
		AdditionalParameters map[string][]string
	}
	// Their errors quote the text.
	if json.Unmarshal(secretData, &secret) != nil || json.Unmarshal(credentialData, &credential) != nil {
		return Hash{}, unknown("malformed JSON")
	}
	salt, key := decodePadded(secret.Salt), decodePadded(secret.Value)
	if salt == nil || key == nil {
		return Hash{}, unknown("malformed base64")
	}
	var scheme string
	switch credential.Algorithm {
	case "pbkdf2", "pbkdf2-sha256", "pbkdf2-sha512":
		scheme = fmt.Sprintf("$%s$i=%d,l=%d", credential.Algorithm, credential.HashIterations, len(key))
	case "argon2":
		more := func(name string) string { return strings.Join(credential.AdditionalParameters[name], ",") }
		if more("version") != "1.3" || more("hashLength") != fmt.Sprint(len(key)) {
			return Hash{}, unknown("argon2 of another version or length")
		}
		scheme = fmt.Sprintf("$argon2%s$v=19$m=%s,t=%d,p=%s",
			more("type"), more("memory"), credential.HashIterations, more("parallelism"))
	default:
		return Hash{}, unknown("an algorithm that Keycloak does not come with")
	}
	b64 := base64.RawStdEncoding
	return checkForeign(fmt.Sprintf("%s$%s$%s", scheme, b64.EncodeToString(salt), b64.EncodeToString(key)))
}
