package main

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/gousers/users"
)

// maker makes what is missing, if the flags ask for it.
type maker struct {
	svc    *users.Service
	apiKey string
	roles  map[string]bool // nil: none is made; true: it is there, false: it can't be made
	dryRun bool
	err    error // that ended the rows
}

func newMaker(ctx context.Context, svc *users.Service, cfg *config) (*maker, error) {
	m := &maker{svc: svc, apiKey: cfg.application, dryRun: cfg.dryRun}
	if cfg.make {
		m.roles = make(map[string]bool)
	}
	if cfg.make && !cfg.dryRun {
		_, err := svc.CreateApplication(ctx, users.Application{APIKey: cfg.application, Name: cfg.application})
		if err != nil && !errors.Is(err, users.ErrConflict) {
			return nil, err
		}
	}
	_, err := svc.Application(ctx, cfg.application)
	if errors.Is(err, users.ErrUnknownApplication) {
		err = errors.New("there is no such application; -make makes it, but not with -dry-run")
	}
	return m, err
}

// make makes the roles of rows. A dry run leaves them out where they are missing.
func (m *maker) make(ctx context.Context, rows iter.Seq2[users.ImportUser, error]) iter.Seq2[users.ImportUser, error] {
	if m.roles == nil {
		return rows
	}
	return func(yield func(users.ImportUser, error) bool) {
		for u, err := range rows {
			if err == nil && len(u.Roles) <= users.MaxRoles {
				u.Roles = slices.DeleteFunc(u.Roles, func(r users.RoleRef) bool {
					return r.ID == "" && r.Name != "" && !m.role(ctx, r.Name) && m.dryRun
				})
			}
			if m.err != nil || !yield(u, err) {
				return
			}
		}
	}
}

// role reports whether the role is there now. One that can't be made is refused with its row.
func (m *maker) role(ctx context.Context, name string) bool {
	there, known := m.roles[name]
	if known || m.err != nil {
		return there
	}
	var err error
	if m.dryRun {
		_, err = m.svc.Role(ctx, m.apiKey, users.RoleRef{Name: name})
	} else {
		_, err = m.svc.CreateRole(ctx, m.apiKey, users.Role{Name: name})
	}
	switch {
	case err == nil, errors.Is(err, users.ErrConflict):
		there = true
	case errors.Is(err, users.ErrNotFound), errors.Is(err, users.ErrValidation):
	default:
		m.err = err
	}
	m.roles[name] = there
	return there
}
