package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// Authenticator finds out who sent r to the application named by apiKey, and
// what that caller may do there. apiKey comes from the path: it is not known to
// exist, and it authenticates nobody.
//
// It runs for every request but those to recover-password and login, before the body is
// read, which it must leave alone. It is called concurrently. The context of r
// ends at [Options.Timeout] or when the client goes away.
//
// The [users.Caller] that it returns must belong to the application: its APIKey
// must be apiKey. Another one's is refused like a bad token; a caller with an ID or
// permissions but no APIKey is a mistake of the host's, a 500. Errors, also wrapped:
//
//   - [ErrNoCredentials]: 401 with the plain challenge.
//   - [ErrInvalidToken], [users.ErrUnauthenticated], [users.ErrUnknownApplication]:
//     401 with error="invalid_token", the same for all three.
//   - [*users.ForbiddenError], [*users.ValidationError]: 403 and 400 with their
//     sentences, as from a hook; see [users.HookError].
//   - [*users.TooManyRequestsError]: 429 with its Retry-After.
//   - [users.ErrUnavailable] and the errors of a context: 503.
//   - Any other, whatever class it matches: 500.
//
// Credentials that a browser sends by itself, such as cookies, are safe from
// forms of other sites: a body is read only with a Content-Type that such a form
// can't have.
//
// Of the other errors no text reaches the client. The log gets it without the
// credentials of r; see [Options.Logger].
type Authenticator func(r *http.Request, apiKey string) (users.Caller, error)

// What an [Authenticator] returns for a request that it refuses.
var (
	// ErrNoCredentials: the request carries none that were recognized (RFC 6750
	// section 3.1).
	ErrNoCredentials = errors.New("httpapi: no credentials")
	// ErrInvalidToken: they are wrong, expired, revoked, or for another application.
	ErrInvalidToken = errors.New("httpapi: invalid token")
)

var errNoAPIKey = errors.New("httpapi: the Caller has no APIKey: set it to the application that the credentials are for")

// authenticate puts the caller into the request's context.
func (x *exchange) authenticate() error {
	c, err := x.h.auth(x.r, x.apiKey)
	switch {
	case errors.Is(err, ErrNoCredentials), errors.Is(err, ErrInvalidToken):
		return err
	case errors.Is(err, users.ErrUnauthenticated), errors.Is(err, users.ErrUnknownApplication):
		return ErrInvalidToken
	case err != nil:
		return &users.HookError{Hook: "Authenticator", Err: err}
	case c.APIKey == "" && (c.ID != "" || c.Permissions != 0):
		return &users.HookError{Hook: "Authenticator", Err: errNoAPIKey}
	case c.APIKey != x.apiKey:
		return ErrInvalidToken
	}
	x.r = x.r.WithContext(users.WithCaller(x.r.Context(), c))
	return nil
}

// BearerToken is a token and the caller that it identifies. It can be printed:
// Secret shows nothing of itself.
type BearerToken struct {
	// Secret holds at least 128 random bits in the characters of RFC 6750 section
	// 2.1. An empty one matches nothing.
	Secret password.Secret
	// Caller is who presents it; Caller.APIKey names the one application in
	// which the token is good. For two applications there are two BearerTokens,
	// which may have the same Secret.
	Caller users.Caller
}

// BearerTokens returns an [Authenticator] for a fixed set of tokens in the header
// Authorization (RFC 6750 section 2.1). It keeps their SHA-256 only, and the time
// that it takes tells nothing about them. Another scheme is [ErrNoCredentials];
// a token that is unknown, or good in another application, and a header that
// occurs twice are [ErrInvalidToken].
func BearerTokens(tokens ...BearerToken) Authenticator {
	type known struct {
		sum    [sha256.Size]byte
		caller users.Caller
	}
	all := make([]known, len(tokens))
	for i, t := range tokens {
		all[i] = known{sha256.Sum256([]byte(t.Secret.Reveal())), t.Caller}
	}

	return func(r *http.Request, apiKey string) (users.Caller, error) {
		token, err := bearer(r.Header["Authorization"])
		if err != nil {
			return users.Caller{}, err
		}

		sum, at := sha256.Sum256([]byte(token)), -1
		for i := range all {
			same := subtle.ConstantTimeCompare(sum[:], all[i].sum[:]) &
				subtle.ConstantTimeCompare([]byte(apiKey), []byte(all[i].caller.APIKey))
			at = subtle.ConstantTimeSelect(same, i, at)
		}
		if at < 0 {
			return users.Caller{}, ErrInvalidToken
		}
		return all[at].caller, nil
	}
}

// bearer returns the token of the header, which is never empty. Another scheme is
// no credentials (RFC 6750 section 3.1), two headers are bad ones.
func bearer(values []string) (string, error) {
	if len(values) == 0 {
		return "", ErrNoCredentials
	}
	if len(values) > 1 {
		return "", ErrInvalidToken
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoCredentials
	}
	if token = strings.Trim(token, " "); token == "" {
		return "", ErrInvalidToken
	}
	return token, nil
}
