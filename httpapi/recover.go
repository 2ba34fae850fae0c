package httpapi

import (
	"net/http"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// done is the body where there is nothing to say: clients that always parse
// JSON get an object.
type done struct{}

// recoverRequest is the object of POST recover-password.
type recoverRequest struct{ login string }

// recoverMembers are what is read of it. Never written to.
var recoverMembers = members[recoverRequest]{
	known("userName", func(d *jsonReader, q *recoverRequest) { d.login(&q.login) }),
	alias("username", "userName", func(d *jsonReader, q *recoverRequest) { d.login(&q.login) }),
}

// recoverPassword answers POST recover-password: it starts a message to the
// user, if there is one. The answer is the same, and takes the same time, if
// there is none.
func (x *exchange) recoverPassword() (answer, error) {
	d, err := x.receive()
	if err != nil {
		return answer{}, err
	}
	defer d.release()

	var q recoverRequest
	recoverMembers.read(d, &q)
	if found := d.err(); found != nil {
		return answer{}, found
	}
	if q.login == "" {
		return answer{}, required("userName")
	}

	if err := x.h.svc.RecoverPassword(x.r.Context(), x.apiKey, q.login); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: done{}}, nil
}

// setPasswordRequest is the object of PUT recover-password.
type setPasswordRequest struct {
	token, pw password.Secret
}

// setPasswordMembers are what is read of it. Never written to.
var setPasswordMembers = members[setPasswordRequest]{
	known("passwordRecoveryToken", func(d *jsonReader, q *setPasswordRequest) { d.secret(&q.token) }),
	known("newPassword", func(d *jsonReader, q *setPasswordRequest) { d.secret(&q.pw) }),
}

// setPassword answers PUT recover-password: it redeems a one-time token. Anybody
// may send one, so a full hashing queue shows only behind a good token, where
// the Service meets it.
func (x *exchange) setPassword() (answer, error) {
	d, err := x.receive()
	if err != nil {
		return answer{}, err
	}
	defer d.release()

	var q setPasswordRequest
	setPasswordMembers.read(d, &q)
	if found := d.err(); found != nil {
		return answer{}, found
	}
	var noToken, noPassword *users.ValidationError
	if q.token.IsZero() {
		noToken = required("passwordRecoveryToken")
	}
	if q.pw.IsZero() {
		noPassword = required("newPassword")
	}
	if err := users.JoinValidation(noToken, noPassword); err != nil {
		return answer{}, err
	}

	if err := x.h.svc.SetPassword(x.r.Context(), x.apiKey, q.token, q.pw); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: done{}}, nil
}
