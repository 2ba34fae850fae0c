package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gousers/users"
)

func applicationEditCases() []testCase {
	const fromVersion = "UpdateApplication replaces the application with a's ID, but for APIKey and DateCreated, " +
		"if the stored version is a.Version, and stores that plus one"
	return []testCase{
		{"ApplicationsListed", withApplicationEditor, applicationsListed,
			"ListApplications returns applications in order of ID: those with an ID greater than p.After, at " +
				"most p.Limit of them (0: all)"},
		{"ApplicationUpdated", withApplicationEditor, applicationUpdated, fromVersion},
		{"ApplicationUpdateStale", withApplicationEditor, applicationUpdateStale,
			"One that does not exist is ErrUnknownApplication, another version ErrStale"},
		{"ApplicationUpdateUnknown", withApplicationEditor, applicationUpdateUnknown,
			"One that does not exist is ErrUnknownApplication"},
		{"RacingApplicationUpdates", withApplicationEditor, racingApplicationUpdates, fromVersion},
	}
}

// listApplications returns a page of applications; a zero page is all of them.
func (p *probe) listApplications(page users.Page) []users.Application {
	all, err := p.applicationEditor.ListApplications(p.ctx, page)
	p.must("ListApplications", err)
	return all
}

// wantApplication notes how a is stored otherwise than it should be, by either key.
func (p *probe) wantApplication(what string, a users.Application) {
	for _, q := range []users.ApplicationQuery{{ID: a.ID}, {APIKey: a.APIKey}} {
		got, err := p.FindApplication(p.ctx, q)
		p.must("FindApplication", err)
		p.wantEqual(what, a, got)
	}
}

// applicationsListed reads page by page, the last page short and the one after it
// empty.
func applicationsListed(p *probe) {
	if got := p.listApplications(users.Page{}); got == nil || len(got) != 0 {
		p.errorf("ListApplications of an empty store: got %#v, want an empty slice", got)
	}
	var want []users.Application
	for i := range 25 {
		a := users.Application{
			ID: p.id(), APIKey: fmt.Sprint("key-", 99-i), Name: wide(i), DateCreated: base, Version: int64(i + 1),
			Disabled: i%2 == 0, RequireApproval: i%3 == 0,
		}
		if i%4 == 0 {
			a.ID = fmt.Sprintf("0190163d-8694-739b-aea5-%012d", 99-i) // not in the order of creation
		}
		p.must("CreateApplication", p.CreateApplication(p.ctx, a))
		want = append(want, a)
	}
	ids := func(all []users.Application) []string {
		return mapped(all, func(a users.Application) string { return a.ID })
	}
	slices.SortFunc(want, func(a, b users.Application) int { return strings.Compare(a.ID, b.ID) })

	p.wantEqual("all applications", want, p.listApplications(users.Page{}))
	page := users.Page{Limit: 10}
	for _, w := range [][]users.Application{want[:10], want[10:20], want[20:], {}} {
		p.wantStrings("a page of applications after "+page.After, ids(p.listApplications(page)), ids(w))
		if len(w) > 0 {
			page.After = w[len(w)-1].ID
		}
	}
	p.wantStrings("the rest of the applications", ids(p.listApplications(users.Page{After: want[20].ID})), ids(want[21:]))
}

// applicationUpdated changes everything that can change, back, and nothing; each
// counts. What belongs to the application stays.
func applicationUpdated(p *probe) {
	a, other := p.app(), p.app()
	n := p.create(p.full(a, p.role(a, "r")))
	was := a
	for _, change := range []func(*users.Application){
		func(a *users.Application) {
			a.Name, a.Disabled, a.RequireApproval = wide(users.MaxApplicationName), true, true
		},
		func(a *users.Application) { a.Disabled = false },
		func(a *users.Application) { a.Name, a.RequireApproval = "", false },
		func(*users.Application) {},
	} {
		change(&a)
		given := a
		given.APIKey, given.DateCreated = other.APIKey, base.AddDate(1, 0, 0) // which stay
		p.must("UpdateApplication", p.applicationEditor.UpdateApplication(p.ctx, given))
		a.Version++
		p.wantApplication("application", a)
	}
	if a.APIKey != was.APIKey || !a.DateCreated.Equal(was.DateCreated) {
		panic("this case changed what stays")
	}
	p.wantApplication("another application", other)
	p.wantStored(n)
}

// applicationUpdateStale writes from versions that are not the stored one.
func applicationUpdateStale(p *probe) {
	a := p.app()
	for _, version := range []int64{0, 2, -1} {
		late := a
		late.Name, late.Disabled, late.Version = "late", true, version
		p.wantErr("UpdateApplication from another version", p.applicationEditor.UpdateApplication(p.ctx, late), users.ErrStale)
		p.wantApplication("application", a)
	}
}

// applicationUpdateUnknown makes no application, and finds none by its APIKey.
func applicationUpdateUnknown(p *probe) {
	a := p.app()
	late := a
	late.ID, late.Name = p.id(), "late"
	p.wantErr("UpdateApplication", p.applicationEditor.UpdateApplication(p.ctx, late), users.ErrUnknownApplication)
	p.wantApplication("application", a)
	_, err := p.FindApplication(p.ctx, users.ApplicationQuery{ID: late.ID})
	p.wantErr("FindApplication", err, users.ErrUnknownApplication)
}

// racingApplicationUpdates: two who read the same version can't both save.
func racingApplicationUpdates(p *probe) {
	a := p.app()
	for range 5 {
		update := func(i int) users.Application {
			late := a
			late.Name = fmt.Sprint("by ", i)
			return late
		}
		errs := p.race(func(i int) error { return p.applicationEditor.UpdateApplication(p.ctx, update(i)) })
		winner := p.wantOneWinner("UpdateApplication", errs, isError(users.ErrStale))
		a = update(winner)
		a.Version++
		p.wantApplication("after the race", a)
	}
}
