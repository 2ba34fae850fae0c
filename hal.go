package users

import "time"

// Form is one of the two JSON forms of answers. A host that writes handlers of
// its own beside package httpapi shows users and roles as that package does:
//
//	json.NewEncoder(w).Encode(users.HAL.User(u, "/v1/acme", false))
type Form int

// The forms. base, in their methods, is the URL or path of the application
// without a slash at the end, such as "/v1/acme", or Relative.
const (
	Plain Form = iota // application/json: an array of links, each with its relation inside
	HAL               // application/hal+json (draft-kelly-json-hal)

	// Interop, added to one of the others (HAL | Interop), shows what the published
	// clients of this API take for granted: ids as of ShortID; the userName as name,
	// beside it the name as displayName; the items of a list in HAL at item as well; and
	// links to roles below lookups.
	Interop Form = 2
)

// Relative is the base of links that are relative to that of the application, such as
// "users/…": what the published clients put behind it.
const Relative = "."

// IsHAL reports whether f is HAL, with Interop or without.
func (f Form) IsHAL() bool { return f&HAL != 0 }

// MediaType returns the media type of f.
func (f Form) MediaType() string {
	if f.IsHAL() {
		return "application/hal+json"
	}
	return "application/json"
}

// ID returns an id as this form shows it.
func (f Form) ID(id string) string {
	if f&Interop != 0 {
		return ShortID(id)
	}
	return id
}

// RolesPath is where links of this form look for roles, below the base.
func (f Form) RolesPath() string {
	if f&Interop != 0 {
		return "lookups/roles"
	}
	return "roles"
}

// members returns what both forms show of u.
func (f Form) members(u *User) userMembers {
	m := userMembers{
		f.ID(u.ID), u.UserName, u.Email, u.Name, nil, u.IsApproved, u.IsLockedOut, u.CreationDate, u.DateCreated, u.DateUpdated,
	}
	if f&Interop != 0 {
		m.Name, m.DisplayName = u.UserName, &u.Name
	}
	return m
}

// role returns r as this form shows it, but for its links.
func (f Form) role(r Role) Role {
	r.ID = f.ID(r.ID)
	return r
}

// roles returns roles as role does.
func (f Form) roles(roles []Role) []Role {
	if f&Interop == 0 {
		return roles
	}
	shown := make([]Role, len(roles))
	for i, r := range roles {
		shown[i] = f.role(r)
	}
	return shown
}

// User returns u in this form, for a JSON encoder; with embedRoles, with its
// roles in full. Its links name all that can be done to it, whoever asks: what the
// caller may do is said where it tries.
func (f Form) User(u *User, base string, embedRoles bool) any {
	members, roles := f.members(u), f.roles(u.Roles)
	at := userLinks(base, members.ID, f.RolesPath())

	// The encoder would copy a value: both return pointers.
	if f.IsHAL() {
		v := &halUser{userMembers: members, Roles: roleNames(roles), Links: at}
		if embedRoles {
			v.Embed, v.Embedded = []string{"roles"}, &halEmbedded{f.halRoles(roles, base)}
		}
		return v
	}
	v := &plainUser{userMembers: members, Links: []relLink{
		{"self", at.Self}, {"put", at.Put}, {"delete", at.Delete}, {"lock", at.Lock}, {"unlock", at.Unlock},
		{"approve", at.Approve}, {"disapprove", at.Disapprove}, {"roles", at.Roles},
	}}
	if embedRoles {
		v.Embed, v.Roles = []string{"roles"}, f.plainRoles(roles, base)
	} else {
		v.Roles = roleNames(roles)
	}
	return v
}

// Role returns r in this form, for a JSON encoder.
func (f Form) Role(r Role, base string) any {
	r = f.role(r)
	if f.IsHAL() {
		return f.halRole(r, base)
	}
	return f.plainRole(r, base)
}

// List is a page of a list, and what an answer says of it.
type List struct {
	Items []any // users or roles, as User and Role of the same Form return them
	// Page is the number of the page, from 1, and Total how many there are on all
	// pages. With Page 0, a page without a number, neither is shown.
	Page  int
	Total int64
	Limit int // the most items on a page
	// SearchQuery, Sort and Embed are what was asked for; empty: nothing.
	SearchQuery, Sort, Embed string
	// Self is the URL of the page; Previous and Next are those of the pages around
	// it, empty where there is none.
	Self, Previous, Next string
}

// List returns a page in this form, for a JSON encoder.
func (f Form) List(l List) any {
	about := listMembers{
		Page: l.Page, RecordsPerPage: l.Limit, SearchQuery: l.SearchQuery, Sort: l.Sort, Embed: l.Embed,
	}
	if l.Page > 0 {
		about.TotalRecords = &l.Total
	}
	items := l.Items
	if items == nil {
		items = []any{}
	}

	at := halLinks{Self: link{Href: l.Self}, Previous: link{Href: l.Previous}, Next: link{Href: l.Next}}
	if f.IsHAL() {
		v := &halList{listMembers: about, Links: at, Embedded: halItems{items}}
		if f&Interop != 0 {
			v.Item = items
		}
		return v
	}
	v := &plainList{listMembers: about, Item: items, Links: []relLink{{"self", at.Self}}}
	if l.Previous != "" {
		v.Links = append(v.Links, relLink{"previous", at.Previous})
	}
	if l.Next != "" {
		v.Links = append(v.Links, relLink{"next", at.Next})
	}
	return v
}

// UserPath is where the user with this id is found below base, which is the
// URL or path of its application without a slash at the end, or Relative.
func UserPath(base, id string) string {
	base, slash := cutBase(base)
	return base + slash + "users/" + id
}

// RolePath is where the role with this id is found below base.
func RolePath(base, id string) string { return Plain.rolePath(base, id) }

func (f Form) rolePath(base, id string) string {
	base, slash := cutBase(base)
	return base + slash + f.RolesPath() + "/" + id
}

// cutBase returns a base and what is between it and the rest of a link.
func cutBase(base string) (before, slash string) {
	if base == Relative {
		return "", ""
	}
	return base, "/"
}

// userLinks returns the links of a user; roles is where roles are found. All are cut
// from one string.
func userLinks(base, id, roles string) halLinks {
	const users = "users/"
	base, slash := cutBase(base)
	all := base + slash + users + id + "/lock" + base + slash + users + id + "/unlock" +
		base + slash + users + id + "/approve" + base + slash + users + id + "/disapprove" + base + slash + roles
	n := len(base) + len(slash) + len(users) + len(id)
	self := link{Href: all[:n]}
	next := func(more string) link {
		l := link{Href: all[:n+len(more)]}
		all = all[n+len(more):]
		return l
	}
	return halLinks{
		Self: self, Put: self, Delete: self,
		Lock: next("/lock"), Unlock: next("/unlock"), Approve: next("/approve"), Disapprove: next("/disapprove"),
		Roles: link{Href: all},
	}
}

// link is a HAL link object (draft-kelly-json-hal section 5).
type link struct {
	Href      string `json:"href"`
	Templated bool   `json:"templated"`
}

// relLink is a link of the plain form, with the relation inside.
type relLink struct {
	Rel string `json:"rel"`
	link
}

// halLinks are the links of a resource in HAL. Each relation is one object. Those
// that change something bear the name of the method or of what they do, which is
// asked for by PUT.
type halLinks struct {
	Self       link `json:"self"`
	Put        link `json:"put,omitzero"`
	Delete     link `json:"delete,omitzero"`
	Lock       link `json:"lock,omitzero"`
	Unlock     link `json:"unlock,omitzero"`
	Approve    link `json:"approve,omitzero"`
	Disapprove link `json:"disapprove,omitzero"`
	Roles      link `json:"roles,omitzero"`
	Previous   link `json:"previous,omitzero"`
	Next       link `json:"next,omitzero"`
}

// userMembers are the members of a user that both forms show.
type userMembers struct {
	ID           string    `json:"id"`
	UserName     string    `json:"userName"`
	Email        string    `json:"email"`
	Name         string    `json:"name,omitempty"`
	DisplayName  *string   `json:"displayName,omitzero"` // nil: the name is that
	IsApproved   bool      `json:"isApproved"`
	IsLockedOut  bool      `json:"isLockedOut"`
	CreationDate time.Time `json:"creationDate"`
	DateCreated  time.Time `json:"dateCreated"`
	DateUpdated  time.Time `json:"dateUpdated"`
}

type halUser struct {
	userMembers
	Roles    []roleName   `json:"roles"`
	Embed    []string     `json:"embed,omitempty"`
	Links    halLinks     `json:"_links"`
	Embedded *halEmbedded `json:"_embedded,omitempty"`
}

type halEmbedded struct {
	Roles []halRole `json:"roles"`
}

type halRole struct {
	Role
	Links halLinks `json:"_links"`
}

// listMembers are the members of a list that both forms show. TotalRecords is a
// pointer: 0 is shown on a page with a number, and nothing on one without.
type listMembers struct {
	Page           int    `json:"page,omitzero"`
	RecordsPerPage int    `json:"recordsPerPage"`
	TotalRecords   *int64 `json:"totalRecords,omitzero"`
	SearchQuery    string `json:"searchQuery"`
	Sort           string `json:"sort"`
	Embed          string `json:"embed"`
}

type halList struct {
	listMembers
	Item     []any    `json:"item,omitzero"`
	Links    halLinks `json:"_links"`
	Embedded halItems `json:"_embedded"`
}

type halItems struct {
	Item []any `json:"item"`
}

type plainUser struct {
	userMembers
	Roles any       `json:"roles"` // []roleName or, embedded, []plainRole
	Embed []string  `json:"embed,omitempty"`
	Links []relLink `json:"links"`
}

type plainRole struct {
	Role
	Links []relLink `json:"links"`
}

type plainList struct {
	listMembers
	Item  []any     `json:"item"`
	Links []relLink `json:"links"`
}

// roleName is a role in short, as every user shows it.
type roleName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func roleNames(roles []Role) []roleName {
	names := make([]roleName, len(roles))
	for i, r := range roles {
		names[i] = roleName{r.ID, r.Name}
	}
	return names
}

func (f Form) halRole(r Role, base string) halRole {
	at := link{Href: f.rolePath(base, r.ID)}
	return halRole{r, halLinks{Self: at, Put: at, Delete: at}}
}

func (f Form) halRoles(roles []Role, base string) []halRole {
	all := make([]halRole, len(roles))
	for i, r := range roles {
		all[i] = f.halRole(r, base)
	}
	return all
}

func (f Form) plainRole(r Role, base string) plainRole {
	at := link{Href: f.rolePath(base, r.ID)}
	return plainRole{r, []relLink{{"self", at}, {"put", at}, {"delete", at}}}
}

func (f Form) plainRoles(roles []Role, base string) []plainRole {
	all := make([]plainRole, len(roles))
	for i, r := range roles {
		all[i] = f.plainRole(r, base)
	}
	return all
}
