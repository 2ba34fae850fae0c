package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// accessToken is the answer to a login (RFC 6749 section 5.1).
type accessToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in,omitzero"`
}

// errGrant is a login that is refused; see grantError.
var errGrant = errors.New("httpapi: login refused")

// grantError is a login that is refused, and why (RFC 6749 section 5.2).
type grantError struct{ code, description string }

func (e *grantError) Error() string        { return errGrant.Error() + ": " + e.code }
func (e *grantError) Is(target error) bool { return target == errGrant }

var errNoToken = errors.New("httpapi: the AccessToken has no Secret, or ExpiresIn is negative")

// login answers POST login. A full hashing queue shows only where the Service meets it:
// anybody may ask.
func (x *exchange) login() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}
	x.form = users.Plain // a token is no resource, which HAL has
	name, pw, err := x.loginForm()
	if err != nil {
		return answer{}, err
	}

	u, err := x.h.svc.Authenticate(x.r.Context(), x.apiKey, name, pw)
	if err != nil {
		return answer{}, refusedLogin(err)
	}
	t, err := x.h.opts.Interop.SignIn(x.r.Context(), x.apiKey, *u)
	if err == nil && (t.Secret.IsZero() || t.ExpiresIn < 0) {
		err = errNoToken
	}
	if err != nil {
		return answer{}, &users.HookError{Hook: "SignIn", Err: err}
	}
	x.set("Pragma", "no-cache") // RFC 6749 section 5.1
	return answer{status: http.StatusCreated, body: accessToken{
		AccessToken: t.Secret.Reveal(), TokenType: "bearer", ExpiresIn: int64(t.ExpiresIn / time.Second),
	}}, nil
}

// refusedLogin makes a refusal of the user a refusal of the grant. The three look the
// same to programs; what people read differs once the password was right.
func refusedLogin(err error) error {
	switch c := classify(err); c.err {
	case users.ErrBadCredentials, users.ErrLockedOut, users.ErrNotApproved:
		return &grantError{"invalid_grant", c.detail}
	}
	return err
}

// loginForm reads the form of a login (RFC 6749 section 4.3.2).
func (x *exchange) loginForm() (name string, pw password.Secret, err error) {
	if err := x.checkCoding(); err != nil {
		return "", pw, err
	}
	if types := x.r.Header["Content-Type"]; len(types) != 1 || !isType(types[0], typeForm) {
		x.w.Header().Set("Accept", typeForm)
		return "", pw, errFormType
	}
	d, err := x.readBody()
	if err != nil {
		return "", pw, err
	}
	defer d.release()

	form, err := url.ParseQuery(d.body.String())
	if err != nil {
		return "", pw, &grantError{"invalid_request", "the form is not well-formed"}
	}
	given := func(member string) bool { return len(form[member]) == 1 && form[member][0] != "" }
	switch {
	case !given("grant_type"):
		err = notGiven("grant_type")
	case form.Get("grant_type") != "password":
		err = &grantError{"unsupported_grant_type", "grant_type must be password"}
	case !given("username"):
		err = notGiven("username")
	case !given("password"):
		err = notGiven("password")
	}
	if err != nil {
		return "", pw, err
	}
	return form.Get("username"), password.New(form.Get("password")), nil
}

func notGiven(member string) error {
	return &grantError{"invalid_request", member + " must be given, once"}
}
