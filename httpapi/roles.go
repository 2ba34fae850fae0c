package httpapi

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/gousers/users"
)

// createRoleMembers are what is read of POST roles. Never written to.
var createRoleMembers = members[users.Role]{
	known("name", func(d *jsonReader, r *users.Role) { d.str(&r.Name) }),
	known("description", func(d *jsonReader, r *users.Role) { d.str(&r.Description) }),
}

// createRole answers POST roles. A request with faults asks the Service for the
// rest of them and creates nothing.
func (x *exchange) createRole() (answer, error) {
	d, err := x.receive()
	if err != nil {
		return answer{}, err
	}
	defer d.release()

	var r users.Role
	createRoleMembers.read(d, &r)
	if found := d.err(); found != nil {
		return answer{}, refuse(d, found, x.h.svc.CheckCreateRole(x.r.Context(), x.apiKey, r))
	}

	made, err := x.h.svc.CreateRole(x.r.Context(), x.apiKey, r)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, users.RolePath(x.base, made.ID), x.form.Role(*made, x.base)}, nil
}

// readRole answers GET roles/{id}.
func (x *exchange) readRole() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}
	r, err := x.h.svc.Role(x.r.Context(), x.apiKey, users.RoleRef{ID: x.ref})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: x.form.Role(*r, x.base)}, nil
}

// listRoles answers GET roles, a page at a time.
func (x *exchange) listRoles() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}

	var f faults
	page := x.page(&f)
	list, err := x.h.svc.Roles(x.r.Context(), x.apiKey, page)
	if err != nil {
		return answer{}, err
	}
	if found := f.err(); found != nil {
		return answer{}, found
	}

	at := x.base + "/roles"
	self, next := at+pageQuery(page), ""
	if list.Next != "" {
		next = at + pageQuery(users.Page{After: list.Next, Limit: page.Limit})
	}
	return answer{status: http.StatusOK, body: x.form.Roles(list.Roles, x.base, self, next)}, nil
}

// page reads ?after=ID&limit=N. Whether they make sense is the Service's to say.
func (x *exchange) page(f *faults) (p users.Page) {
	q := x.query(f)
	p.After = q.Get("after")
	if !q.Has("limit") {
		return p
	}

	n, err := strconv.Atoi(q.Get("limit"))
	if err != nil || n < 1 {
		f.add(users.FieldError{
			Code: "invalid_limit", Limit: users.MaxPage,
			Detail: "limit must be between 1 and " + strconv.Itoa(users.MaxPage),
		})
		return p
	}
	p.Limit = n
	return p
}

// pageQuery returns the query that asks for p.
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
