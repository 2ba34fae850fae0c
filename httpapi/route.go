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
	pattern        string
	allow          string
	open           bool // needs no caller
	get, post, put func(*exchange) (answer, error)
}

func (res *resource) action(method string) func(*exchange) (answer, error) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return res.get
	case http.MethodPost:
		return res.post
	case http.MethodPut:
		return res.put
	}
	return nil
}

// The resources, under {apiKey}; never written to.
var (
	usersResource   = &resource{pattern: "/{apiKey}/users", allow: "POST, OPTIONS", post: (*exchange).createUser}
	userResource    = &resource{pattern: "/{apiKey}/users/{ref}", allow: "GET, HEAD, OPTIONS", get: (*exchange).readUser}
	rolesResource   = &resource{pattern: "/{apiKey}/roles", allow: "GET, HEAD, POST, OPTIONS", get: (*exchange).listRoles, post: (*exchange).createRole}
	roleResource    = &resource{pattern: "/{apiKey}/roles/{id}", allow: "GET, HEAD, OPTIONS", get: (*exchange).readRole}
	recoverResource = &resource{pattern: "/{apiKey}/recover-password", allow: "POST, PUT, OPTIONS", open: true,
		post: (*exchange).recoverPassword, put: (*exchange).setPassword}
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
	var segs [3]string
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
	switch {
	case n == 2 && segs[1] == "users":
		res = usersResource
	case n == 3 && segs[1] == "users":
		res = userResource
	case n == 2 && segs[1] == "roles":
		res = rolesResource
	case n == 3 && segs[1] == "roles":
		res = roleResource
	case n == 2 && segs[1] == "recover-password":
		res = recoverResource
	}
	return res, segs[0], segs[2]
}

// validSegment reports whether a decoded segment can name anything: no key, id
// or user name is empty, made of dots, or holds a slash or a control character.
func validSegment(s string) bool {
	return s != "" && s != "." && s != ".." && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || unicode.IsControl(r) })
}
