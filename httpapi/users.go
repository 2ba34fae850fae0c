package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

func (x *exchange) createUser() (answer, error) {
	d, err := x.receive(true)
	if err != nil {
		return answer{}, err
	}
	defer d.release()
	var p users.CreateUserParams
	var embed bool
	d.createUser(&p, &embed)
	var ok bool
	if p.IdempotencyKey, ok = idempotencyKey(x.r.Header); !ok {
		d.fault("", "invalid_idempotency_key", "the header Idempotency-Key must stand once and not be empty")
	}
	embed = x.embedQuery(d) || embed
	if found := d.err(); found != nil {
		return answer{}, x.refuse(d, found, x.h.svc.CheckCreate(x.ctx, x.apiKey, p))
	}
	u, err := x.h.svc.Create(x.ctx, x.apiKey, p)
	if err != nil {
		return answer{}, err
	}
	self, body := x.user(u, embed)
	return answer{http.StatusCreated, self, body}, nil
}

func (x *exchange) readUser() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}
	var d decoder
	embed := x.embedQuery(&d)
	u, err := x.h.svc.User(x.ctx, x.apiKey, x.ref)
	if err != nil {
		return answer{}, err
	}
	if found := d.err(); found != nil {
		return answer{}, found
	}
	_, body := x.user(u, embed)
	return answer{status: http.StatusOK, body: body}, nil
}

// user gives u in the form of the answer, and where it is found.
func (x *exchange) user(u *users.User, embed bool) (self string, body any) {
	if x.format == hal {
		v := users.HALUser(u, x.base, embed)
		return v.Links.Self.Href, &v // the encoder would copy a value
	}
	v := users.PlainUser(u, x.base, embed)
	return v.Links[0].Href, &v
}

// receive does what comes before a body is understood, cheapest first. hashes
// says that a hash lies ahead: a full queue refuses before the body is read.
func (x *exchange) receive(hashes bool) (*decoder, error) {
	if hashes {
		if wait, busy := x.h.svc.Busy(x.apiKey); busy {
			return nil, errors.Join(users.ErrOverloaded, &password.OverloadedError{RetryAfter: wait})
		}
	}
	if err := x.checkMedia(); err != nil {
		return nil, err
	}
	return x.readBody()
}

// refuse answers a request whose body has faults. found is what decoding found,
// judged what the Service says of the rest: a refusal of the caller as a whole
// stands before both, faults of other members beside them.
func (x *exchange) refuse(d *decoder, found *users.ValidationError, judged error) error {
	var forbidden *users.ForbiddenError
	var faults *users.ValidationError
	switch {
	case judged == nil:
	case errors.As(judged, &faults):
		if d.broken == nil { // else members may stand in what was not read
			return users.MergeFaults(found, faults)
		}
	case errors.As(judged, &forbidden) && len(forbidden.Members) > 0:
	case d.broken != nil && classify(judged).status == http.StatusInternalServerError:
		// A hook may fail on members that were not read.
	default:
		return judged
	}
	return users.MergeFaults(found)
}

// embedQuery reads ?embed=roles, repeated or with commas, and notes other names.
func (x *exchange) embedQuery(d *decoder) (embed bool) {
	for _, v := range x.query(d)["embed"] {
		for name := range strings.SplitSeq(v, ",") {
			if name == embedRoles {
				embed = true
			} else if name != "" && !slices.ContainsFunc(d.faults, func(f users.FieldError) bool { return f.Code == "unknown_embed" }) {
				d.fault("", "unknown_embed", `the query parameter embed must be "roles"`)
			}
		}
	}
	return embed
}

func (x *exchange) query(d *decoder) url.Values {
	if x.r.URL.RawQuery == "" {
		return nil
	}
	q, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		d.fault("", "invalid_query", "the query is not well-formed")
	}
	return q
}
