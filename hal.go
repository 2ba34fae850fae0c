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
// roles in full. There is a link to the roles only where there are roles: who sees
// a user with roles may also read these.
func (f Form) User(u *User, base string, embedRoles bool) any {
	members := userMembers{
		u.ID, u.UserName, u.Email, u.Name, u.IsApproved, u.IsLockedOut, u.CreationDate, u.DateCreated, u.DateUpdated,
	}
	self := link{Href: UserPath(base, u.ID)}
	roles := link{Href: base + "/roles"}

	// The encoder would copy a value: both return pointers.
	if f == HAL {
		v := &halUser{userMembers: members, Roles: roleNames(u.Roles), Links: halLinks{Self: self}}
		if len(u.Roles) > 0 {
			v.Links.Roles = &roles
		}
		if embedRoles {
			v.Embed, v.Embedded = []string{"roles"}, &halEmbedded{halRoles(u.Roles, base)}
		}
		return v
	}
	v := &plainUser{userMembers: members, Links: make([]relLink, 1, 2)}
	v.Links[0] = relLink{"self", self}
	if len(u.Roles) > 0 {
		v.Links = append(v.Links, relLink{"roles", roles})
	}
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

// Roles returns a page of roles in this form, for a JSON encoder. self is the
// URL of the page, next that of the one after it or empty.
func (f Form) Roles(roles []Role, base, self, next string) any {
	if f == HAL {
		v := halRolePage{halLinks{Self: link{Href: self}}, halEmbedded{halRoles(roles, base)}}
		if next != "" {
			v.Links.Next = &link{Href: next}
		}
		return v
	}
	v := plainRolePage{plainRoles(roles, base), []relLink{{"self", link{Href: self}}}}
	if next != "" {
		v.Links = append(v.Links, relLink{"next", link{Href: next}})
	}
	return v
}

// UserPath is where the user with this id is found below base, which is the
// URL or path of its application without a slash at the end.
func UserPath(base, id string) string { return base + "/users/" + id }

// RolePath is where the role with this id is found below base.
func RolePath(base, id string) string { return base + "/roles/" + id }

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

// halLinks are the links of a resource in HAL. Each relation is one object.
type halLinks struct {
	Self  link  `json:"self"`
	Roles *link `json:"roles,omitempty"`
	Next  *link `json:"next,omitempty"`
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

type halRolePage struct {
	Links    halLinks    `json:"_links"`
	Embedded halEmbedded `json:"_embedded"`
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

type plainRolePage struct {
	Roles []plainRole `json:"roles"`
	Links []relLink   `json:"links"`
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
	return halRole{r, halLinks{Self: link{Href: RolePath(base, r.ID)}}}
}

func halRoles(roles []Role, base string) []halRole {
	all := make([]halRole, len(roles))
	for i, r := range roles {
		all[i] = newHALRole(r, base)
	}
	return all
}

func newPlainRole(r Role, base string) plainRole {
	return plainRole{r, []relLink{{"self", link{Href: RolePath(base, r.ID)}}}}
}

func plainRoles(roles []Role, base string) []plainRole {
	all := make([]plainRole, len(roles))
	for i, r := range roles {
		all[i] = newPlainRole(r, base)
	}
	return all
}
