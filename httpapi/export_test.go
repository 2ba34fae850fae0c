package httpapi

import (
	"net/url"
	"slices"
	"sync"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// KnownMembers returns the names in the tables of the requests, by operation.
func KnownMembers() map[string][]string {
	return map[string][]string{
		"createUser":      createUserMembers.names(),
		"importUsers":     importMembers.names(),
		"updateUser":      updateUserMembers.names(),
		"changePassword":  changePasswordMembers.names(),
		"createRole":      createRoleMembers.names(),
		"updateRole":      updateRoleMembers.names(),
		"recoverPassword": recoverMembers.names(),
		"setPassword":     setPasswordMembers.names(),
	}
}

func (all members[T]) names() (names []string) {
	for _, m := range all {
		names = append(names, m.name)
	}
	return names
}

// Read is what was read of a body.
type Read struct {
	User               users.CreateUserParams
	Embed              bool
	EmailVerified      bool
	Role               users.Role
	Change             users.UserChange
	RoleChange         users.RoleChange
	Tell               bool
	Login              string
	Token, NewPassword password.Secret
	OldPassword        password.Secret
}

// ReadBody reads a body as an operation does, with extra as the additional
// members, and returns what it finds wrong.
func ReadBody(operation, body string, extra ...string) (got Read, found []users.FieldError) {
	d := &jsonReader{pool: new(sync.Pool)}
	defer d.release()
	d.body.WriteString(body)
	d.start()

	switch operation {
	case "createUser", "importUsers":
		more, err := extraMembers(createUserMembers, extra)
		if err != nil {
			panic(err)
		}
		known := createUserMembers
		if operation == "importUsers" {
			known = importMembers
		}
		var q createUserRequest
		slices.Concat(known, more).read(d, &q)
		got.User, got.Embed, got.EmailVerified = q.params, q.embed, q.emailVerified
	case "createRole":
		createRoleMembers.read(d, &got.Role)
	case "updateUser":
		var q updateUserRequest
		updateUserMembers.read(d, &q)
		got.Change = q.change
	case "updateRole":
		updateRoleMembers.read(d, &got.RoleChange)
	case "changePassword":
		var p users.ChangePasswordParams
		changePasswordMembers.read(d, &p)
		got.NewPassword, got.OldPassword, got.Tell = p.NewPassword, p.OldPassword, p.SendEmailNotification
	case "recoverPassword":
		var q recoverRequest
		recoverMembers.read(d, &q)
		got.Login = q.login
	case "setPassword":
		var q setPasswordRequest
		setPasswordMembers.read(d, &q)
		got.Token, got.NewPassword = q.token, q.pw
	}
	if err := d.err(); err != nil {
		found = err.Fields
	}
	return got, found
}

// ParseSort, IfMatch and Fields read one parameter or header.
var (
	ParseSort = parseSort
	IfMatch   = ifMatch
)

func Fields(s string) (fields []string, ok bool) {
	q := query{values: url.Values{"fields": {s}}}
	fields = q.fields(userFields)
	return fields, q.err() == nil
}
