package httpapi

import (
	"errors"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gousers/users"
)

// findUsersQuery are the parameters of GET users that its links repeat. Never
// written to.
var findUsersQuery = []string{
	"searchQuery", "userIds", "roleIds", "roleNames", "isApproved", "isLocked",
	"page", "rpp", "after", "limit", "sort", "embed", "fields",
}

// findUsers answers GET users, a page at a time. A query with faults asks the
// Service for the rest of them and looks for nobody.
func (x *exchange) findUsers() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}

	q := x.query()
	p, sort := q.findUsers()
	x.readFind(&p)
	embed, fields := q.embed(), q.fields(x.h.userFields)
	if found := q.err(); found != nil {
		return answer{}, refuse(false, found, x.h.svc.CheckFindUsers(x.r.Context(), x.apiKey, p))
	}
	page, err := x.h.svc.FindUsers(x.r.Context(), x.apiKey, p)
	if err != nil {
		return answer{}, err
	}

	l := users.List{
		Items: make([]any, len(page.Users)), Page: page.Page, Total: page.Total, Limit: page.Limit,
		SearchQuery: p.Phrase, Sort: sort,
	}
	if embed {
		l.Embed = embedRoles
	}
	for i := range page.Users {
		l.Items[i] = x.user(&page.Users[i], embed, fields)
	}
	q.around(&l, x.list("users"), findUsersQuery, page.Next)
	return answer{status: http.StatusOK, body: x.form.List(l)}, nil
}

// findUsers reads whom a client looks for, and in which order it said so.
func (q *query) findUsers() (p users.FindUsersParams, sort string) {
	p.Phrase = q.one("searchQuery")
	p.IDs = q.list("userIds")
	for _, id := range q.list("roleIds") {
		p.Roles = append(p.Roles, users.RoleRef{ID: id})
	}
	for _, name := range q.list("roleNames") {
		p.Roles = append(p.Roles, users.RoleRef{Name: name})
	}
	p.IsApproved, p.IsLockedOut = q.flag("isApproved"), q.flag("isLocked")
	p.Order, sort = q.sort()

	page := q.paging(users.DefaultFoundPage)
	p.Page, p.Limit, p.After = page.page, page.limit, page.after
	return p, sort
}

// readUser answers GET users/{ref}.
func (x *exchange) readUser() (answer, error) {
	if err := x.checkAccept(); err != nil {
		return answer{}, err
	}

	q := x.query()
	embed, fields := q.embed(), q.fields(x.h.userFields)
	u, err := x.h.svc.User(x.r.Context(), x.apiKey, x.ref)
	if err != nil {
		return answer{}, err
	}
	if found := q.err(); found != nil {
		return answer{}, found
	}
	return answer{status: http.StatusOK, etag: x.etag(u), body: x.user(u, embed, fields)}, nil
}

// userExists answers GET users/{ref}/exists.
func (x *exchange) userExists() (answer, error) {
	ok, err := x.h.svc.Exists(x.r.Context(), x.apiKey, x.ref)
	if err == nil && !ok {
		err = users.ErrNotFound
	}
	return answer{status: http.StatusNoContent}, err
}

// user returns u in the form of the answer; of its members, with fields only those.
// The id and the links stay: without them the rest is of no use. So does what is
// asked for by embed.
func (x *exchange) user(u *users.User, embed bool, fields []string) any {
	body := x.form.User(u, x.links, embed)
	if fields == nil {
		return body
	}

	// A 500 as of send.
	raw, err := json.Marshal(body)
	var all map[string]jsontext.Value
	if err := errors.Join(err, json.Unmarshal(raw, &all)); err != nil {
		panic(err)
	}
	for name := range all {
		switch name {
		case "id", "links", "_links", "embed", "_embedded":
		case "roles":
			if !slices.Contains(fields, name) && (!embed || x.form.IsHAL()) {
				delete(all, name)
			}
		default:
			if !slices.Contains(fields, name) {
				delete(all, name)
			}
		}
	}
	return all
}
