// Package interop has no code but its tests: they run the client that is published
// for this API, as it is, against a handler with [httpapi.Options.Interop].
// testdata/checks.mjs is what the client must be able to do. It runs in Node and in
// a page of another origin, in both forms of answers.
//
// The client comes by npm, see client_test.go, and is no part of this repository.
package interop
