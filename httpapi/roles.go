package httpapi

import (
	"net/http"

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
		return answer{}, refuse(d.broken != nil, found, x.h.svc.CheckCreateRole(x.r.Context(), x.apiKey, r))
	}

	made, err := x.h.svc.CreateRole(x.r.Context(), x.apiKey, r)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, users.RolePath(x.base, x.form.ID(made.ID)), "", x.form.Role(*made, x.links)}, nil
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
	return answer{status: http.StatusOK, body: x.form.Role(*r, x.links)}, nil
}

// findRolesQuery are the parameters of GET roles that its links repeat. Never
// written to.
var findRolesQuery = []string{"searchQuery", "page", "rpp", "after", "limit", "sort"}

// findRoles answers GET roles, a page at a time: with its number or, where the
// query says after or limit, by what came before.
func (x *exchange) findRoles() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}

	q := x.query()
	p, sort := q.findRoles()
	page := q.paging(users.DefaultPage)
	p.Page, p.Limit = page.page, page.limit
	if page.page == 0 {
		q.exclude("searchQuery", "sort")
	}
	l, next, err := x.roles(page, p)
	if found := q.err(); found != nil {
		return answer{}, refuse(false, found, err)
	}
	if err != nil {
		return answer{}, err
	}

	l.Sort = sort
	q.around(&l, x.list(x.form.RolesPath()), findRolesQuery, next)
	return answer{status: http.StatusOK, body: x.form.List(l)}, nil
}

func (q *query) findRoles() (p users.FindRolesParams, sort string) {
	p.Phrase = q.one("searchQuery")
	p.Order, sort = q.sort()
	return p, sort
}

// roles returns a page of roles, and the cursor of the next one where it has no number.
func (x *exchange) roles(page paging, p users.FindRolesParams) (l users.List, next string, err error) {
	var roles []users.Role
	if page.page == 0 {
		list, err := x.h.svc.Roles(x.r.Context(), x.apiKey, users.Page{After: page.after, Limit: page.limit})
		if err != nil {
			return l, "", err
		}
		roles, next, l.Limit = list.Roles, list.Next, page.limit
	} else {
		found, err := x.h.svc.FindRoles(x.r.Context(), x.apiKey, p)
		if err != nil {
			return l, "", err
		}
		roles, l.Page, l.Limit, l.Total, l.SearchQuery = found.Roles, found.Page, found.Limit, found.Total, p.Phrase
	}

	l.Items = make([]any, len(roles))
	for i, r := range roles {
		l.Items[i] = x.form.Role(r, x.links)
	}
	return l, next, nil
}

// updateRoleMembers are what is read of PUT roles/{id}. What is absent or null stays
// as it is. Never written to.
var updateRoleMembers = members[users.RoleChange]{
	known("name", func(d *jsonReader, c *users.RoleChange) { d.optionalStr(&c.Name) }),
	known("description", func(d *jsonReader, c *users.RoleChange) { d.optionalStr(&c.Description) }),
}

// updateRole answers PUT roles/{id}. A request with faults asks the Service for the
// rest of them and changes nothing.
func (x *exchange) updateRole() (answer, error) {
	d, err := x.receiveOnly()
	if err != nil {
		return answer{}, err
	}
	defer d.release()

	var c users.RoleChange
	updateRoleMembers.read(d, &c)
	if found := d.err(); found != nil {
		return answer{}, refuse(d.broken != nil, found, x.h.svc.CheckUpdateRole(x.r.Context(), x.apiKey, x.ref, c))
	}

	_, err = x.h.svc.UpdateRole(x.r.Context(), x.apiKey, x.ref, c)
	return answer{status: http.StatusNoContent}, err
}

// deleteRole answers DELETE roles/{id}.
func (x *exchange) deleteRole() (answer, error) {
	return answer{status: http.StatusNoContent}, x.h.svc.DeleteRole(x.r.Context(), x.apiKey, x.ref)
}
