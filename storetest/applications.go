package storetest

import (
	"strings"

	"github.com/gousers/users"
)

func applicationCases() []testCase {
	return []testCase{
		{"ApplicationComesBack", "FindApplication gives the application with q's ID or, if that is empty, its APIKey", 0, applicationComesBack},
		{"ApplicationUnknown", "ErrUnknownApplication if there is none", 0, applicationUnknown},
		{"ApplicationTaken", `a taken ID or APIKey is a *ConflictError with the members "id" and "apiKey"`, 0, applicationTaken},
		{"APIKeysAreBytes", "apiKeys are compared byte for byte", 0, apiKeysAreBytes},
	}
}

func applicationComesBack(p *probe) {
	other := p.app()
	for _, a := range []users.Application{
		{ID: p.id(), APIKey: strings.Repeat("~", users.MaxAPIKey), Name: wide(users.MaxApplicationName), DateCreated: base},
		{ID: p.id(), APIKey: "disabled", Disabled: true, DateCreated: base},
		{ID: "0190163d-8694-739b-aea5-966c26f8ad91", APIKey: "approving", RequireApproval: true, DateCreated: base},
	} {
		p.must("CreateApplication", p.CreateApplication(p.ctx, a))
		for _, q := range []users.ApplicationQuery{{ID: a.ID}, {APIKey: a.APIKey}, {ID: a.ID, APIKey: other.APIKey}} {
			got, err := p.FindApplication(p.ctx, q)
			p.must("FindApplication", err)
			p.same("application", a, got)
		}
	}
}

func applicationUnknown(p *probe) {
	a := p.app()
	for _, q := range []users.ApplicationQuery{{}, {ID: p.id()}, {APIKey: "nobody"}, {ID: a.APIKey}, {APIKey: a.ID}, {ID: p.id(), APIKey: a.APIKey}} {
		_, err := p.FindApplication(p.ctx, q)
		p.is("FindApplication", err, users.ErrUnknownApplication)
	}
}

func applicationTaken(p *probe) {
	a, b := p.app(), p.app()
	for _, c := range []struct {
		id, apiKey string
		members    []string
	}{
		{a.ID, "free", []string{"id"}},
		{p.id(), a.APIKey, []string{"apiKey"}},
		{a.ID, a.APIKey, []string{"id", "apiKey"}},
		{a.ID, b.APIKey, []string{"id", "apiKey"}},
	} {
		err := p.CreateApplication(p.ctx, users.Application{ID: c.id, APIKey: c.apiKey, Name: "late", DateCreated: base})
		p.conflicts("CreateApplication", err, c.members...)
	}
	for _, want := range []users.Application{a, b} {
		got, err := p.FindApplication(p.ctx, users.ApplicationQuery{ID: want.ID})
		p.must("FindApplication", err)
		p.same("application after the clash", want, got)
	}
	_, err := p.FindApplication(p.ctx, users.ApplicationQuery{APIKey: "free"})
	p.is("FindApplication of what clashed", err, users.ErrUnknownApplication)
}

func apiKeysAreBytes(p *probe) {
	keys := []string{"demo", "Demo", "DEMO", "demo.", "demo-", "demo_"}
	for _, k := range keys {
		if err := p.CreateApplication(p.ctx, users.Application{ID: p.id(), APIKey: k, DateCreated: base}); err != nil {
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
