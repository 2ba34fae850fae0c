package storetest

import (
	"strings"

	"github.com/gousers/users"
)

func applicationCases() []testCase {
	return []testCase{
		{"ApplicationComesBack", anyStore, applicationComesBack,
			"FindApplication returns the application with q's ID or, if that is empty, its APIKey"},
		{"ApplicationUnknown", anyStore, applicationUnknown,
			"ErrUnknownApplication if there is none"},
		{"ApplicationTaken", anyStore, applicationTaken,
			`A taken ID or APIKey is a *ConflictError with the members "id" and "apiKey"`},
		{"APIKeysAreBytes", anyStore, apiKeysAreBytes,
			"Keys (ids, apiKeys, NameKey, EmailKey, idempotency keys) are compared byte for byte"},
	}
}

// applicationComesBack stores names at their longest and every flag, and looks
// for them by either key. APIKeys are case-sensitive and appear in URLs; an id
// wins over one.
func applicationComesBack(p *probe) {
	other := p.app()
	for _, a := range []users.Application{
		{
			ID: p.id(), DateCreated: base,
			APIKey: strings.Repeat("~", users.MaxAPIKey), Name: wide(users.MaxApplicationName), Version: 7,
		},
		{ID: p.id(), APIKey: "disabled", Disabled: true, DateCreated: base, Version: 1},
		{ID: "0190163d-8694-739b-aea5-966c26f8ad91", APIKey: "approving", RequireApproval: true, DateCreated: base},
	} {
		p.must("CreateApplication", p.CreateApplication(p.ctx, a))

		for _, q := range []users.ApplicationQuery{
			{ID: a.ID},
			{APIKey: a.APIKey},
			{ID: a.ID, APIKey: other.APIKey}, // the ID counts
		} {
			got, err := p.FindApplication(p.ctx, q)
			p.must("FindApplication", err)
			p.wantEqual("application", a, got)
		}
	}
}

// applicationUnknown also mixes the keys up: an id is no apiKey.
func applicationUnknown(p *probe) {
	a := p.app()
	for _, q := range []users.ApplicationQuery{
		{},
		{ID: p.id()},
		{APIKey: "nobody"},
		{ID: a.APIKey},
		{APIKey: a.ID},
		{ID: p.id(), APIKey: a.APIKey},
	} {
		_, err := p.FindApplication(p.ctx, q)
		p.wantErr("FindApplication", err, users.ErrUnknownApplication)
	}
}

// applicationTaken names every taken member at once: who corrects one and
// tries again must not learn of the next only then.
func applicationTaken(p *probe) {
	a, b := p.app(), p.app()
	for _, c := range []struct {
		id, apiKey string
		members    []string
	}{
		{a.ID, "free", []string{"id"}},
		{p.id(), a.APIKey, []string{"apiKey"}},
		{a.ID, a.APIKey, []string{"id", "apiKey"}},
		{a.ID, b.APIKey, []string{"id", "apiKey"}}, // of two rows
	} {
		late := users.Application{ID: c.id, APIKey: c.apiKey, Name: "late", DateCreated: base}
		p.wantConflict("CreateApplication", p.CreateApplication(p.ctx, late), c.members...)
	}

	for _, want := range []users.Application{a, b} {
		got, err := p.FindApplication(p.ctx, users.ApplicationQuery{ID: want.ID})
		p.must("FindApplication", err)
		p.wantEqual("application after the conflict", want, got)
	}
	_, err := p.FindApplication(p.ctx, users.ApplicationQuery{APIKey: "free"})
	p.wantErr("FindApplication of the one refused", err, users.ErrUnknownApplication)
}

// apiKeysAreBytes stores keys that a case-insensitive collation, or one that
// pads, takes for the same: one application would answer to the key of
// another.
func apiKeysAreBytes(p *probe) {
	keys := []string{"demo", "Demo", "DEMO", "demo.", "demo-", "demo_"}
	for _, k := range keys {
		err := p.CreateApplication(p.ctx, users.Application{ID: p.id(), APIKey: k, DateCreated: base})
		if err != nil {
			p.errorf("CreateApplication %q beside other keys: got error %v, want none", k, err)
		}
	}

	for _, k := range keys {
		got, err := p.FindApplication(p.ctx, users.ApplicationQuery{APIKey: k})
		if err != nil || got.APIKey != k {
			p.errorf("FindApplication %q: got %q and error %v", k, got.APIKey, err)
		}
	}
}
