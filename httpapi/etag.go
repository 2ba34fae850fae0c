package httpapi

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gousers/users"
)

// errPrecondition: the user has no version that If-Match names.
var errPrecondition = errors.New("httpapi: precondition failed")

// etag names the version of a user in the form of the answer: a strong validator
// differs between representations (RFC 9110 section 8.8.1).
func (x *exchange) etag(u *users.User) string {
	form := "j"
	if x.form.IsHAL() {
		form = "h"
	}
	return `"` + strconv.FormatInt(u.Version, 10) + "." + form + `"`
}

// conditionally runs do with the version that If-Match names, and 0 for any. Of
// several they are tried one after the other in ascending order, as versions go:
// the user has one of them when do says so, whatever is written meanwhile. Where
// do says of each that it is stale, it is errPrecondition: everything else that
// do refuses goes before that (RFC 9110 section 13.2.1).
func (x *exchange) conditionally(do func(ifVersion int64) error) error {
	header, ok := x.r.Header["If-Match"]
	if !ok {
		return do(0)
	}
	versions := ifMatch(strings.Join(header, ","))
	if versions == nil {
		return do(0)
	}

	for _, v := range versions {
		err := do(v)
		if _, fromHost := errors.AsType[*users.HookError](err); fromHost || !errors.Is(err, users.ErrStale) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", errPrecondition, users.ErrStale)
}

const (
	noVersion   = -1 // no user has it
	maxVersions = 20 // of an If-Match, the newest; others are not looked at
)

// ifMatch returns the versions that the tags of an If-Match name (RFC 9110 section
// 13.1.1), in ascending order; nil for "*". Both forms of a version change together,
// so that the tag of either will do. A tag that was never given out, a weak one and
// a header that is malformed match nothing: what they protect is not to be changed.
func ifMatch(header string) (versions []int64) {
	if strings.Trim(header, " \t") == "*" {
		return nil
	}
	for rest := header; ; {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		tag, weak, after, ok := cutTag(rest)
		if !ok {
			return []int64{noVersion}
		}
		if v := versionOf(tag); v > 0 && !weak {
			versions = append(versions, v)
		}
		rest = after
	}

	slices.Sort(versions)
	versions = slices.Compact(versions)
	if len(versions) == 0 {
		return []int64{noVersion}
	}
	return versions[max(0, len(versions)-maxVersions):]
}

// cutTag returns the entity tag (RFC 9110 section 8.8.3) with which s begins, without
// its quotes, and what is behind it: a comma or nothing.
func cutTag(s string) (tag string, weak bool, after string, ok bool) {
	s, weak = strings.CutPrefix(s, "W/")
	s, ok = strings.CutPrefix(s, `"`)
	if !ok {
		return "", false, "", false
	}
	tag, after, ok = strings.Cut(s, `"`)
	if !ok || strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", false, "", false
	}
	after = strings.TrimLeft(after, " \t")
	return tag, weak, after, after == "" || after[0] == ','
}

// versionOf returns the version that etag put into a tag; 0 if it did not make it.
func versionOf(tag string) int64 {
	n, form, _ := strings.Cut(tag, ".")
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil || v < 1 || strconv.FormatInt(v, 10) != n || form != "j" && form != "h" {
		return 0
	}
	return v
}
