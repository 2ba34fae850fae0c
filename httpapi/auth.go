package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"

	"github.com/gousers/users"
)

// What Options.Authenticate answers for a request that it refuses.
var (
	// ErrNoCredentials: the request carries none that were understood.
	ErrNoCredentials = errors.New("httpapi: no credentials")
	// ErrInvalidToken: they are wrong, expired, revoked, or for another application.
	ErrInvalidToken = errors.New("httpapi: invalid token")
)

// authError marks an error of Authenticate that is no refusal: whatever its
// class, it is the host's fault and not the client's.
type authError struct{ error }

func (e authError) Unwrap() error { return e.error }

func (x *exchange) authenticate() error {
	c, err := x.h.opts.Authenticate(x.r, x.apiKey)
	switch {
	case errors.Is(err, ErrNoCredentials), errors.Is(err, ErrInvalidToken):
		return err
	case errors.Is(err, users.ErrUnauthenticated), errors.Is(err, users.ErrUnknownApplication):
		return ErrInvalidToken
	case err != nil:
		return authError{err}
	case c.APIKey != x.apiKey:
		return ErrInvalidToken
	}
	x.ctx = users.WithCaller(x.ctx, c)
	return nil
}

// Token is a bearer token and whom it stands for.
type Token struct {
	// Token is a secret of at least 128 random bits in the characters of RFC
	// 6750 section 2.1. An empty one matches nothing.
	Token string
	// Caller is who presents it; Caller.APIKey names the one application in
	// which it is good.
	Caller users.Caller
}

// BearerTokens gives an Authenticate for a fixed set of tokens in the header
// Authorization (RFC 6750 section 2.1). The time it takes tells nothing about
// the tokens. The tokens are kept as SHA-256 only.
func BearerTokens(tokens ...Token) func(*http.Request, string) (users.Caller, error) {
	type known struct {
		sum    [sha256.Size]byte
		caller users.Caller
	}
	all := make([]known, 0, len(tokens))
	for _, t := range tokens {
		if t.Token != "" {
			all = append(all, known{sha256.Sum256([]byte(t.Token)), t.Caller})
		}
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

// bearer gives the token of the header. Another scheme is no credentials (RFC
// 6750 section 3.1), two headers are bad ones.
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
