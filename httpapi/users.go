package httpapi

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gousers/users"
)

// createUserRequest is the object of POST users.
type createUserRequest struct {
	params     users.CreateUserParams
	embed      bool
	extraBytes int // of the values in params.Extra
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
	known("dashboardSettings", (*jsonReader).dashboardSettings),
	known("creationDate", func(d *jsonReader, q *createUserRequest) { d.date(&q.params.CreationDate) }),
	known("isApproved", func(d *jsonReader, q *createUserRequest) { d.optional(&q.params.IsApproved) }),
	known("isLockedOut", func(d *jsonReader, q *createUserRequest) { d.optional(&q.params.IsLockedOut) }),
	known("name", func(d *jsonReader, q *createUserRequest) { d.str(&q.params.Name) }),
	known("roles", (*jsonReader).roles),
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
	q.embed = x.embedQuery(&d.faults) || q.embed
	if found := d.err(); found != nil {
		return answer{}, refuse(d, found, x.h.svc.CheckCreate(x.r.Context(), x.apiKey, q.params))
	}

	u, err := x.h.svc.Create(x.r.Context(), x.apiKey, q.params)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, users.UserPath(x.base, u.ID), x.form.User(u, x.base, q.embed)}, nil
}

// readUser answers GET users/{ref}.
func (x *exchange) readUser() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}

	var f faults
	embed := x.embedQuery(&f)
	u, err := x.h.svc.User(x.r.Context(), x.apiKey, x.ref)
	if err != nil {
		return answer{}, err
	}
	if found := f.err(); found != nil {
		return answer{}, found
	}
	return answer{status: http.StatusOK, body: x.form.User(u, x.base, embed)}, nil
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

// dashboardSettings takes the bytes of an object as they are. What they must
// be like is the Service's to say.
func (d *jsonReader) dashboardSettings(q *createUserRequest) {
	if d.is('{', "must be a JSON object") {
		q.params.DashboardSettings = bytes.Clone(d.raw())
	}
}

func (d *jsonReader) ignoredDate(*createUserRequest) {
	var ignored time.Time
	d.date(&ignored)
}

// roles reads references to roles. Those beyond the limit are counted by one
// more than the limit, so that a long list costs no memory.
func (d *jsonReader) roles(q *createUserRequest) {
	d.list(func(i int) {
		if i > users.MaxRoles {
			d.skip()
			return
		}
		q.params.Roles = append(q.params.Roles, d.role(i))
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

const (
	embedRoles       = "roles"
	codeUnknownEmbed = "unknown_embed"
)

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

// embedQuery reads ?embed=roles, repeated or with commas, and notes other names once.
func (x *exchange) embedQuery(f *faults) (embed bool) {
	unknown := false
	for _, v := range x.query(f)["embed"] {
		for name := range strings.SplitSeq(v, ",") {
			switch name {
			case "":
			case embedRoles:
				embed = true
			default:
				unknown = true
			}
		}
	}
	if unknown {
		f.add(users.FieldError{Code: codeUnknownEmbed, Detail: `the query parameter embed must be "roles"`})
	}
	return embed
}

func (x *exchange) query(f *faults) url.Values {
	if x.r.URL.RawQuery == "" {
		return nil
	}
	q, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		f.add(users.FieldError{Code: "invalid_query", Detail: "the query is not well-formed"})
	}
	return q
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
