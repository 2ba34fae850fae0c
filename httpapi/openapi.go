package httpapi

import _ "embed"

//go:embed openapi.json
var openAPI string

// OpenAPI gives a description of the API (OpenAPI 3.1, JSON), for a host to
// publish or to generate clients from. It names every path, method, status and
// member. Where the handler has a Prefix or a BaseURL, add it as servers: the
// paths of the document begin with the application.
func OpenAPI() []byte { return []byte(openAPI) }
