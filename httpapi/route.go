package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// resource is what one path names.
type resource struct {
	pattern                string
	allow                  string
	open                   bool                               // needs no caller
	ref                    func(x *exchange, id string) error // looks for what {ref} may name; nil: there is none
	get, post, put, delete func(*exchange) (answer, error)
}

func (res *resource) action(method string) func(*exchange) (answer, error) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return res.get
	case http.MethodPost:
		return res.post
	case http.MethodPut:
		return res.put
	case http.MethodDelete:
		return res.delete
	}
	return nil
}

// The resources, under {apiKey}; never written to.
var (
	usersResource = &resource{pattern: "/{apiKey}/users", allow: "GET, HEAD, POST, OPTIONS",
		get: (*exchange).findUsers, post: (*exchange).createUser}
	userResource = &resource{pattern: "/{apiKey}/users/{ref}", allow: "GET, HEAD, PUT, DELETE, OPTIONS",
		ref: (*exchange).findUser, get: (*exchange).readUser, put: (*exchange).updateUser, delete: (*exchange).deleteUser}
	// A user can have the name import: only POST is another thing.
	importResource = &resource{pattern: "/{apiKey}/users/import", allow: "GET, HEAD, POST, PUT, DELETE, OPTIONS",
		ref: userResource.ref, get: userResource.get, post: (*exchange).importUsers, put: userResource.put, delete: userResource.delete}
	existsResource     = &resource{pattern: "/{apiKey}/users/{ref}/exists", allow: "GET, HEAD, OPTIONS", ref: (*exchange).findUser, get: (*exchange).userExists}
	lockResource       = &resource{pattern: "/{apiKey}/users/{ref}/lock", allow: "PUT, OPTIONS", ref: (*exchange).findUser, put: (*exchange).lockUser}
	unlockResource     = &resource{pattern: "/{apiKey}/users/{ref}/unlock", allow: "PUT, OPTIONS", ref: (*exchange).findUser, put: (*exchange).unlockUser}
	approveResource    = &resource{pattern: "/{apiKey}/users/{ref}/approve", allow: "PUT, OPTIONS", ref: (*exchange).findUser, put: (*exchange).approveUser}
	disapproveResource = &resource{pattern: "/{apiKey}/users/{ref}/disapprove", allow: "PUT, OPTIONS", ref: (*exchange).findUser, put: (*exchange).disapproveUser}
	changeResource     = &resource{pattern: "/{apiKey}/users/{ref}/change-password", allow: "PUT, OPTIONS", ref: (*exchange).findUser, put: (*exchange).changePassword}
	rolesResource      = &resource{pattern: "/{apiKey}/roles", allow: "GET, HEAD, POST, OPTIONS",
		get: (*exchange).findRoles, post: (*exchange).createRole}
	roleResource = &resource{pattern: "/{apiKey}/roles/{id}", allow: "GET, HEAD, PUT, DELETE, OPTIONS",
		ref: (*exchange).findRole, get: (*exchange).readRole, put: (*exchange).updateRole, delete: (*exchange).deleteRole}
	recoverResource = &resource{pattern: "/{apiKey}/recover-password", allow: "POST, PUT, OPTIONS", open: true,
		post: (*exchange).recoverPassword, put: (*exchange).setPassword}
	loginResource = &resource{pattern: "/{apiKey}/login", allow: "POST, OPTIONS", open: true, post: (*exchange).login}
)

// route finds the resource of an escaped path; nil if there is none. It splits
// before it decodes, so that an escaped slash never moves a boundary, and does
// without http.ServeMux, which answers double slashes and dots with a redirect.
func (h *Handler) route(path string) (res *resource, apiKey, ref string) {
	path, ok := strings.CutPrefix(path, h.opts.Prefix+"/")
	if !ok {
		return nil, "", ""
	}
	path = strings.TrimSuffix(path, "/")
	var segs [4]string
	n := 0
	for more := true; more; n++ {
		var seg string
		seg, path, more = strings.Cut(path, "/")
		seg, err := url.PathUnescape(seg)
		if err != nil || n == len(segs) || !validSegment(seg) {
			return nil, "", ""
		}
		segs[n] = seg
	}
	if n < 2 {
		return nil, "", ""
	}

	at, rest := segs[1], segs[2:n]
	if at == "lookups" && n > 2 && segs[2] == "roles" { // where public clients find them
		at, rest = "roles", segs[3:n]
	}
	if len(rest) > 0 {
		ref = rest[0]
	}
	if res = resourceAt(at, rest); res == loginResource && !h.opts.Interop.signsIn() {
		res = nil
	}
	return res, segs[0], ref
}

// resourceAt returns the resource at a path below an application: its first segment
// and the rest.
func resourceAt(first string, rest []string) *resource {
	switch n := len(rest); {
	case first == "users" && n == 0:
		return usersResource
	case first == "users" && n == 1 && rest[0] == "import":
		return importResource
	case first == "users" && n == 1:
		return userResource
	case first == "users" && n == 2:
		return userAction(rest[1])
	case first == "roles" && n == 0:
		return rolesResource
	case first == "roles" && n == 1:
		return roleResource
	case first == "recover-password" && n == 0:
		return recoverResource
	case (first == "login" || first == "Login") && n == 0:
		return loginResource
	}
	return nil
}

// userAction returns what may stand behind users/{ref}.
func userAction(name string) *resource {
	switch name {
	case "exists":
		return existsResource
	case "lock":
		return lockResource
	case "unlock":
		return unlockResource
	case "approve":
		return approveResource
	case "disapprove":
		return disapproveResource
	case "change-password":
		return changeResource
	}
	return nil
}

// validSegment reports whether a decoded segment can name anything: no key, id
// or user name is empty, made of dots, or holds a slash or a control character.
func validSegment(s string) bool {
	return s != "" && s != "." && s != ".." && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || unicode.IsControl(r) })
}
