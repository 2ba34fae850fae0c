package users

import "time"

// Form is one of the two JSON forms of answers. A host that writes handlers of
// its own beside package httpapi shows users and roles as that package does:
//
//	json.NewEncoder(w).Encode(users.HAL.User(u, "/v1/acme", false))
type Form int

// The forms. base, in their methods, is the URL or path of the application
// without a slash at the end, such as "/v1/acme".
const (
	Plain Form = iota // application/json: an array of links, each with its relation inside
	HAL               // application/hal+json (draft-kelly-json-hal)
)

// MediaType returns the media type of f.
func (f Form) MediaType() string {
	if f == HAL {
		return "application/hal+json"
	}
	return "application/json"
}

// User returns u in this form, for a JSON encoder; with embedRoles, with its
// roles in full. Its links name all that can be done to it, whoever asks: what the
// caller may do is said where it tries.
func (f Form) User(u *User, base string, embedRoles bool) any {
	members := userMembers{
		u.ID, u.UserName, u.Email, u.Name, u.IsApproved, u.IsLockedOut, u.CreationDate, u.DateCreated, u.DateUpdated,
	}
	at := userLinks(base, u.ID)

	// The encoder would copy a value: both return pointers.
	if f == HAL {
		v := &halUser{userMembers: members, Roles: roleNames(u.Roles), Links: at}
		if embedRoles {
			v.Embed, v.Embedded = []string{"roles"}, &halEmbedded{halRoles(u.Roles, base)}
		}
		return v
	}
	v := &plainUser{userMembers: members, Links: []relLink{
		{"self", at.Self}, {"put", at.Put}, {"delete", at.Delete}, {"lock", at.Lock}, {"unlock", at.Unlock},
		{"approve", at.Approve}, {"disapprove", at.Disapprove}, {"roles", at.Roles},
	}}
	if embedRoles {
		v.Embed, v.Roles = []string{"roles"}, plainRoles(u.Roles, base)
	} else {
		v.Roles = roleNames(u.Roles)
	}
	return v
}

// Role returns r in this form, for a JSON encoder.
func (f Form) Role(r Role, base string) any {
	if f == HAL {
		return newHALRole(r, base)
	}
	return newPlainRole(r, base)
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
	if f == HAL {
		return &halList{listMembers: about, Links: at, Embedded: halItems{items}}
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
// URL or path of its application without a slash at the end.
func UserPath(base, id string) string { return base + "/users/" + id }

// RolePath is where the role with this id is found below base.
func RolePath(base, id string) string { return base + "/roles/" + id }

// userLinks returns the links of a user. All are cut from one string.
func userLinks(base, id string) halLinks {
	const users = "/users/"
	all := base + users + id + "/lock" + base + users + id + "/unlock" +
		base + users + id + "/approve" + base + users + id + "/disapprove" + base + "/roles"
	n := len(base) + len(users) + len(id)
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

func newHALRole(r Role, base string) halRole {
	at := link{Href: RolePath(base, r.ID)}
	return halRole{r, halLinks{Self: at, Put: at, Delete: at}}
}

func halRoles(roles []Role, base string) []halRole {
	all := make([]halRole, len(roles))
	for i, r := range roles {
		all[i] = newHALRole(r, base)
	}
	return all
}

func newPlainRole(r Role, base string) plainRole {
	at := link{Href: RolePath(base, r.ID)}
	return plainRole{r, []relLink{{"self", at}, {"put", at}, {"delete", at}}}
}

func plainRoles(roles []Role, base string) []plainRole {
	all := make([]plainRole, len(roles))
	for i, r := range roles {
		all[i] = newPlainRole(r, base)
	}
	return all
}
