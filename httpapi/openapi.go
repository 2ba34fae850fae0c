package httpapi

import _ "embed"

//go:embed openapi.json
var openAPI string

// OpenAPI returns a description of the API (OpenAPI 3.1, JSON), for a host to
// publish or to generate clients from. It names every path, method, status and
// member. What it can't know is the host's to add: where the handler has a Prefix
// or a BaseURL, the servers, since the paths of the document begin with the
// application; another security scheme than bearer tokens; the members that
// [Options.ExtraMembers] names. It describes the API without [Interop]. The slice is the caller's own.
func OpenAPI() []byte { return []byte(openAPI) }
