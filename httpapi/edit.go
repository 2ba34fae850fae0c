package httpapi

import (
	"errors"
	"net/http"

	"github.com/gousers/users"
)

// updateUserRequest is the object of PUT users/{ref}.
type updateUserRequest struct {
	change  users.UserChange
	display *string // beside change.Name; see Interop
}

// updateUserMembers are what is read of PUT users/{ref}. What is absent or null
// stays as it is, and what a user shows beside them (id, dates, links) is skipped,
// so that a whole user can be sent back. Never written to.
var updateUserMembers = members[updateUserRequest]{
	known("userName", func(d *jsonReader, q *updateUserRequest) { d.optionalLogin(&q.change.UserName) }),
	alias("username", "userName", func(d *jsonReader, q *updateUserRequest) { d.optionalLogin(&q.change.UserName) }),
	known("email", func(d *jsonReader, q *updateUserRequest) { d.optionalStr(&q.change.Email) }),
	known("allowDashboardAccess", func(d *jsonReader, q *updateUserRequest) { d.optional(&q.change.AllowDashboardAccess) }),
	known("dashboardSettings", func(d *jsonReader, q *updateUserRequest) { d.dashboardSettings(&q.change.DashboardSettings) }),
	known("isApproved", func(d *jsonReader, q *updateUserRequest) { d.optional(&q.change.IsApproved) }),
	known("isLockedOut", func(d *jsonReader, q *updateUserRequest) { d.optional(&q.change.IsLockedOut) }),
	known("name", func(d *jsonReader, q *updateUserRequest) { d.optionalStr(&q.change.Name) }),
	known("roles", func(d *jsonReader, q *updateUserRequest) {
		roles := []users.RoleRef{}
		d.roles(&roles)
		q.change.Roles = &roles
	}),
}

// updateUser answers PUT users/{ref}. A request with faults asks the Service for
// the rest of them and changes nothing.
func (x *exchange) updateUser() (answer, error) {
	d, err := x.receiveOnly()
	if err != nil {
		return answer{}, err
	}
	defer d.release()

	var q updateUserRequest
	x.h.updateUser.read(d, &q)
	if err := x.readInteropChange(&q, &d.faults); err != nil {
		return answer{}, err
	}
	c := q.change
	if found := d.err(); found != nil {
		return answer{}, refuse(d.broken != nil, found, x.h.svc.CheckUpdateUser(x.r.Context(), x.apiKey, x.ref, c))
	}

	var u *users.User
	err = x.conditionally(func(ifVersion int64) (err error) {
		c.IfVersion = ifVersion
		u, err = x.h.svc.UpdateUser(x.r.Context(), x.apiKey, x.ref, c)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent, etag: x.etag(u)}, nil
}

// deleteUser answers DELETE users/{ref}.
func (x *exchange) deleteUser() (answer, error) {
	err := x.conditionally(func(ifVersion int64) error {
		return x.h.svc.DeleteUser(x.r.Context(), x.apiKey, x.ref, ifVersion)
	})
	return answer{status: http.StatusNoContent}, err
}

func (x *exchange) lockUser() (answer, error) {
	return x.setStatus(users.Status{IsLockedOut: new(true)})
}

func (x *exchange) unlockUser() (answer, error) {
	return x.setStatus(users.Status{IsLockedOut: new(false)})
}

func (x *exchange) approveUser() (answer, error) {
	return x.setStatus(users.Status{IsApproved: new(true)})
}

func (x *exchange) disapproveUser() (answer, error) {
	return x.setStatus(users.Status{IsApproved: new(false)})
}

// setStatus answers PUT users/{ref}/lock and the like. The path says it all: the
// body is not looked at, for clients send a whole user, {} or nothing.
func (x *exchange) setStatus(s users.Status) (answer, error) {
	err := x.conditionally(func(ifVersion int64) error {
		s.IfVersion = ifVersion
		_, err := x.h.svc.SetStatus(x.r.Context(), x.apiKey, x.ref, s)
		return err
	})
	return answer{status: http.StatusNoContent}, err
}

// changePasswordMembers are what is read of PUT users/{ref}/change-password, with
// both spellings of public clients for the notification. Never written to.
var changePasswordMembers = members[users.ChangePasswordParams]{
	known("newPassword", func(d *jsonReader, p *users.ChangePasswordParams) { d.secret(&p.NewPassword) }),
	known("oldPassword", func(d *jsonReader, p *users.ChangePasswordParams) { d.secret(&p.OldPassword) }),
	known("sendMailNotification", (*jsonReader).tellOfChange),
	known("sendEmailNotification", (*jsonReader).tellOfChange),
}

func (d *jsonReader) tellOfChange(p *users.ChangePasswordParams) {
	tell, _ := d.boolean()
	p.SendEmailNotification = p.SendEmailNotification || tell
}

// changePassword answers PUT users/{ref}/change-password. A wrong old password is
// a fault of the request and no 401: at that a client would drop its own credentials.
func (x *exchange) changePassword() (answer, error) {
	d, err := x.receive()
	if err != nil {
		return answer{}, err
	}
	defer d.release()

	var p users.ChangePasswordParams
	changePasswordMembers.read(d, &p)
	if found := d.err(); found != nil {
		return answer{}, refuse(d.broken != nil, found, x.h.svc.CheckChangePassword(x.r.Context(), x.apiKey, x.ref, p))
	}

	err = x.conditionally(func(ifVersion int64) error {
		p.IfVersion = ifVersion
		return x.h.svc.ChangePassword(x.r.Context(), x.apiKey, x.ref, p)
	})
	switch {
	case errors.Is(err, users.ErrBadCredentials):
		return answer{}, invalid("/oldPassword", "wrong_password", "is not the password of this user")
	case err != nil:
		return answer{}, err
	}
	x.form = users.Plain // true is no object, which HAL is
	return answer{status: http.StatusOK, body: true}, nil
}
