package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gousers/users"
)

// createUserRequest is the object of POST users.
type createUserRequest struct {
	params     users.CreateUserParams
	display    string // beside params.Name; see Interop
	embed      bool
	extraBytes int // of the values in params.Extra

	emailVerified bool // of an import
}

// createUserMembers is the contract's table, as users.CreateMembers names it,
// with the spelling of public clients beside userName. Never written to.
var createUserMembers = members[createUserRequest]{
	known("userName", func(d *jsonReader, q *createUserRequest) { d.login(&q.params.UserName) }),
	alias("username", "userName", func(d *jsonReader, q *createUserRequest) { d.login(&q.params.UserName) }),
	known("email", func(d *jsonReader, q *createUserRequest) { d.str(&q.params.Email) }),
	known("password", func(d *jsonReader, q *createUserRequest) { d.secret(&q.params.Password) }),
	known("confirmPassword", func(d *jsonReader, q *createUserRequest) { d.secret(&q.params.ConfirmPassword) }),
	known("autoCreatePassword", func(d *jsonReader, q *createUserRequest) { d.flag(&q.params.AutoCreatePassword) }),
	known("sendEmailNotification", func(d *jsonReader, q *createUserRequest) { d.flag(&q.params.SendEmailNotification) }),
	known("allowDashboardAccess", func(d *jsonReader, q *createUserRequest) { d.flag(&q.params.AllowDashboardAccess) }),
	known("dashboardSettings", func(d *jsonReader, q *createUserRequest) { d.dashboardSettings(&q.params.DashboardSettings) }),
	known("creationDate", func(d *jsonReader, q *createUserRequest) { d.date(&q.params.CreationDate) }),
	known("isApproved", func(d *jsonReader, q *createUserRequest) { d.optional(&q.params.IsApproved) }),
	known("isLockedOut", func(d *jsonReader, q *createUserRequest) { d.optional(&q.params.IsLockedOut) }),
	known("name", func(d *jsonReader, q *createUserRequest) { d.str(&q.params.Name) }),
	known("roles", func(d *jsonReader, q *createUserRequest) { d.roles(&q.params.Roles) }),
	known("dateCreated", (*jsonReader).ignoredDate),
	known("dateUpdated", (*jsonReader).ignoredDate),
	known("id", func(d *jsonReader, q *createUserRequest) { d.str(&q.params.ID) }),
	known("embed", (*jsonReader).embed),
}

// createUser answers POST users. A request with faults asks the Service for the
// rest of them and creates nothing.
func (x *exchange) createUser() (answer, error) {
	if err := x.checkQueue(); err != nil {
		return answer{}, err
	}
	d, err := x.receive()
	if err != nil {
		return answer{}, err
	}
	defer d.release()

	var q createUserRequest
	x.h.createUser.read(d, &q)
	q.params.IdempotencyKey = x.idempotencyKey(&d.faults)
	asked := x.query()
	q.embed = asked.embed() || q.embed
	d.faults = append(d.faults, asked.faults...)
	if err := x.readInterop(&q, &d.faults); err != nil {
		return answer{}, err
	}
	if found := d.err(); found != nil {
		return answer{}, refuse(d.broken != nil, found, x.h.svc.CheckCreate(x.r.Context(), x.apiKey, q.params))
	}

	u, err := x.h.svc.Create(x.r.Context(), x.apiKey, q.params)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, users.UserPath(x.base, x.form.ID(u.ID)), x.etag(u), x.form.User(u, x.links, q.embed)}, nil
}

// login reads a user name, which must not be given in both spellings.
func (d *jsonReader) login(to *string) {
	var s string
	d.str(&s)
	switch {
	case s == "":
	case *to == "":
		*to = s
	default:
		d.fault("duplicate_member", "userName and username must not both be given")
	}
}

// optionalLogin is login where an empty name is not absent, in whichever spelling.
func (d *jsonReader) optionalLogin(to **string) {
	if *to != nil {
		d.login(*to)
		return
	}
	d.optionalStr(to)
}

// dashboardSettings takes the bytes of an object as they are. What they must
// be like is the Service's to say.
func (d *jsonReader) dashboardSettings(to *json.RawMessage) {
	if d.is('{', "must be a JSON object") {
		*to = bytes.Clone(d.raw())
	}
}

func (d *jsonReader) ignoredDate(*createUserRequest) {
	var ignored time.Time
	d.date(&ignored)
}

// roles reads references to roles. Those beyond the limit are counted by one
// more than the limit, so that a long list costs no memory.
func (d *jsonReader) roles(to *[]users.RoleRef) {
	d.list(func(i int) {
		if i > users.MaxRoles {
			d.skip()
			return
		}
		*to = append(*to, d.role(i))
	})
}

// role reads a role by name, or an object of which name and id count.
func (d *jsonReader) role(i int) (ref users.RoleRef) {
	at := func() string { return d.at + "/" + strconv.Itoa(i) }
	str := func(member string, to *string) {
		if d.null() {
			return
		}
		if b, ok := d.text(); ok {
			*to = string(b)
		} else {
			d.faults.add(users.FieldError{Pointer: at() + member, Code: "invalid_type", Detail: "must be a string"})
		}
	}

	switch d.json.PeekKind() {
	case '"':
		d.str(&ref.Name)
	case '{':
		d.object(func(name []byte) {
			switch string(name) {
			case "name":
				str("/name", &ref.Name)
			case "id":
				str("/id", &ref.ID)
			default:
				d.skip()
			}
		})
	default:
		d.skip()
		if d.broken == nil {
			d.faults.add(users.FieldError{Pointer: at(), Code: "invalid_type", Detail: "must be an object with a name or an id, or a string"})
		}
	}
	return ref
}

// embed reads what to embed. Of the names that are unknown the first is noted.
func (d *jsonReader) embed(q *createUserRequest) {
	unknown := false
	d.list(func(i int) {
		b, ok := d.text()
		switch {
		case ok && string(b) == embedRoles:
			q.embed = true
		case d.broken == nil && !unknown:
			unknown = true
			d.faults.add(users.FieldError{Pointer: d.at + "/" + strconv.Itoa(i), Code: codeUnknownEmbed, Detail: `must be "roles"`})
		}
	})
}

// idempotencyKey returns the value of the header, empty if there is none. What a
// key must be like is the Service's to say.
func (x *exchange) idempotencyKey(f *faults) string {
	v := x.r.Header[headerIdempotencyKey]
	if len(v) == 0 {
		return ""
	}
	if len(v) > 1 || v[0] == "" {
		f.add(users.FieldError{Code: "invalid_idempotency_key", Detail: "the header Idempotency-Key must occur once and not be empty"})
		return ""
	}
	return v[0]
}
