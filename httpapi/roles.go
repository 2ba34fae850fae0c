package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/gousers/users"
)

func (x *exchange) createRole() (answer, error) {
	d, err := x.receive(false)
	if err != nil {
		return answer{}, err
	}
	defer d.release()
	var r users.Role
	d.createRole(&r)
	if found := d.err(); found != nil {
		// This creates nothing: it asks for what stands before faults, and for
		// those of the member that could be read.
		if slices.ContainsFunc(found.Fields, func(f users.FieldError) bool { return f.Pointer == "/name" }) {
			r.Name = ""
		} else {
			r.Description = "\x00"
		}
		_, err := x.h.svc.CreateRole(x.ctx, x.apiKey, r)
		return answer{}, x.refuse(d, found, err)
	}
	made, err := x.h.svc.CreateRole(x.ctx, x.apiKey, r)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, users.RolePath(x.base, made.ID), x.role(*made)}, nil
}

func (x *exchange) readRole() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}
	r, err := x.h.svc.Role(x.ctx, x.apiKey, users.RoleRef{ID: x.ref})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: x.role(*r)}, nil
}

func (x *exchange) role(r users.Role) any {
	if x.format == hal {
		return users.HALRole(r, x.base)
	}
	return users.PlainRole(r, x.base)
}

func (x *exchange) listRoles() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}
	var d decoder
	page := x.page(&d)
	roles, err := x.h.svc.Roles(x.ctx, x.apiKey, page)
	if err != nil {
		return answer{}, err
	}
	if found := d.err(); found != nil {
		return answer{}, found
	}
	self, next := x.base+"/roles"+pageQuery(page), ""
	if n := len(roles); n > 0 && n == cmp.Or(page.Limit, users.DefaultPage) {
		next = x.base + "/roles" + pageQuery(users.Page{After: roles[n-1].ID, Limit: page.Limit})
	}
	if x.format == hal {
		return answer{status: http.StatusOK, body: users.HALRoles(roles, x.base, self, next)}, nil
	}
	return answer{status: http.StatusOK, body: users.PlainRoles(roles, x.base, self, next)}, nil
}

// page reads ?after=ID&limit=N. Whether they make sense is the Service's to say.
func (x *exchange) page(d *decoder) (p users.Page) {
	q := x.query(d)
	p.After = q.Get("after")
	if q.Has("limit") {
		var err error
		if p.Limit, err = strconv.Atoi(q.Get("limit")); err != nil || p.Limit < 1 {
			d.fault("", "invalid_limit", "limit must be between 1 and "+strconv.Itoa(users.MaxPage))
			p.Limit = 0
		}
	}
	return p
}

// pageQuery gives the query that asks for p.
func pageQuery(p users.Page) string {
	q := url.Values{}
	if p.After != "" {
		q.Set("after", p.After)
	}
	if p.Limit != 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
