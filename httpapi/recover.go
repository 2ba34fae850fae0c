package httpapi

import (
	"net/http"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// done is the body where there is nothing to say: clients that always parse
// JSON get an object.
type done struct{}

// recoverPassword starts a message to the user, if there is one. The answer is
// the same, and takes the same time, if there is none.
func (x *exchange) recoverPassword() (answer, error) {
	d, err := x.receive(false)
	if err != nil {
		return answer{}, err
	}
	defer d.release()
	var login string
	d.recoverPassword(&login)
	if found := d.err(); found != nil {
		return answer{}, found
	}
	if login == "" {
		return answer{}, required("/userName")
	}
	if err := x.h.svc.RecoverPassword(x.ctx, x.apiKey, login); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: done{}}, nil
}

// setPassword redeems a one-time token.
func (x *exchange) setPassword() (answer, error) {
	d, err := x.receive(true)
	if err != nil {
		return answer{}, err
	}
	defer d.release()
	var token string
	var pw password.Text
	d.setPassword(&token, &pw)
	if found := d.err(); found != nil {
		return answer{}, found
	}
	var absent *users.ValidationError
	if token == "" {
		absent = required("/passwordRecoveryToken")
	}
	if pw.IsZero() {
		absent = users.MergeFaults(absent, required("/newPassword"))
	}
	if absent != nil {
		return answer{}, absent
	}
	if err := x.h.svc.SetPassword(x.ctx, x.apiKey, token, pw); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: done{}}, nil
}

func required(pointer string) *users.ValidationError {
	return invalid(pointer, "required", "is required")
}
