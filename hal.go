package users

import "time"

// Link is a HAL link object (draft-kelly-json-hal section 5).
type Link struct {
	Href      string `json:"href"`
	Templated bool   `json:"templated"`
}

// RelLink is a link of the plain form: the relation stands inside.
type RelLink struct {
	Rel string `json:"rel"`
	Link
}

// HALLinks are the links of a resource in HAL. Each relation is one object.
type HALLinks struct {
	Self  Link  `json:"self"`
	Roles *Link `json:"roles,omitempty"`
	Next  *Link `json:"next,omitempty"`
}

// RoleName is a role in short, as every user shows it.
type RoleName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
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

// UserHAL is a user in application/hal+json.
type UserHAL struct {
	userMembers
	Roles    []RoleName     `json:"roles"`
	Embed    []string       `json:"embed,omitempty"`
	Links    HALLinks       `json:"_links"`
	Embedded *EmbeddedRoles `json:"_embedded,omitempty"`
}

// EmbeddedRoles are the roles that a HAL resource embeds.
type EmbeddedRoles struct {
	Roles []RoleHAL `json:"roles"`
}

// RoleHAL is a role in application/hal+json.
type RoleHAL struct {
	Role
	Links HALLinks `json:"_links"`
}

// RolesHAL is a page of roles in application/hal+json.
type RolesHAL struct {
	Links    HALLinks      `json:"_links"`
	Embedded EmbeddedRoles `json:"_embedded"`
}

// UserPlain is a user in application/json. Roles is []RoleName or, embedded, []RolePlain.
type UserPlain struct {
	userMembers
	Roles any       `json:"roles"`
	Embed []string  `json:"embed,omitempty"`
	Links []RelLink `json:"links"`
}

// RolePlain is a role in application/json.
type RolePlain struct {
	Role
	Links []RelLink `json:"links"`
}

// RolesPlain is a page of roles in application/json.
type RolesPlain struct {
	Roles []RolePlain `json:"roles"`
	Links []RelLink   `json:"links"`
}

// UserPath is where the user with this id is found below base, which is the
// URL or path of its application without a slash at the end.
func UserPath(base, id string) string { return base + "/users/" + id }

// RolePath is where the role with this id is found below base.
func RolePath(base, id string) string { return base + "/roles/" + id }

// HALUser gives u in HAL, with its roles in full where embedRoles asks for them.
// The roles link stands only where there are roles: who sees a user with roles
// may also read these.
func HALUser(u *User, base string, embedRoles bool) UserHAL {
	h := UserHAL{userMembers: members(u), Roles: roleNames(u.Roles), Links: HALLinks{Self: Link{Href: UserPath(base, u.ID)}}}
	if len(u.Roles) > 0 {
		h.Links.Roles = &Link{Href: base + "/roles"}
	}
	if embedRoles {
		h.Embed = []string{"roles"}
		h.Embedded = &EmbeddedRoles{halRoles(u.Roles, base)}
	}
	return h
}

// PlainUser gives u in plain JSON, with its roles in full where embedRoles asks for them.
func PlainUser(u *User, base string, embedRoles bool) UserPlain {
	p := UserPlain{userMembers: members(u), Links: make([]RelLink, 1, 2)}
	p.Links[0] = RelLink{"self", Link{Href: UserPath(base, u.ID)}}
	if len(u.Roles) > 0 {
		p.Links = append(p.Links, RelLink{"roles", Link{Href: base + "/roles"}})
	}
	if embedRoles {
		p.Embed = []string{"roles"}
		p.Roles = plainRoles(u.Roles, base)
	} else {
		p.Roles = roleNames(u.Roles)
	}
	return p
}

// HALRole gives r in HAL.
func HALRole(r Role, base string) RoleHAL {
	return RoleHAL{r, HALLinks{Self: Link{Href: RolePath(base, r.ID)}}}
}

// PlainRole gives r in plain JSON.
func PlainRole(r Role, base string) RolePlain {
	return RolePlain{r, []RelLink{{"self", Link{Href: RolePath(base, r.ID)}}}}
}

// HALRoles gives a page of roles in HAL; self is the URL of the page, next that
// of the one after it or empty.
func HALRoles(roles []Role, base, self, next string) RolesHAL {
	h := RolesHAL{HALLinks{Self: Link{Href: self}}, EmbeddedRoles{halRoles(roles, base)}}
	if next != "" {
		h.Links.Next = &Link{Href: next}
	}
	return h
}

// PlainRoles gives a page of roles in plain JSON; self and next as in [HALRoles].
func PlainRoles(roles []Role, base, self, next string) RolesPlain {
	p := RolesPlain{plainRoles(roles, base), []RelLink{{"self", Link{Href: self}}}}
	if next != "" {
		p.Links = append(p.Links, RelLink{"next", Link{Href: next}})
	}
	return p
}

func members(u *User) userMembers {
	return userMembers{u.ID, u.UserName, u.Email, u.Name, u.IsApproved, u.IsLockedOut, u.CreationDate, u.DateCreated, u.DateUpdated}
}

func roleNames(roles []Role) []RoleName {
	names := make([]RoleName, len(roles))
	for i, r := range roles {
		names[i] = RoleName{r.ID, r.Name}
	}
	return names
}

func halRoles(roles []Role, base string) []RoleHAL {
	out := make([]RoleHAL, len(roles))
	for i, r := range roles {
		out[i] = HALRole(r, base)
	}
	return out
}

func plainRoles(roles []Role, base string) []RolePlain {
	out := make([]RolePlain, len(roles))
	for i, r := range roles {
		out[i] = PlainRole(r, base)
	}
	return out
}
