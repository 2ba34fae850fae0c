package sqlstore

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/gousers/users/internal/migrate"
)

//go:embed migrations
var sources embed.FS

// Migration is one version of the schema.
type Migration struct {
	Version int    // from 1, without gaps
	Name    string // short, lower case
	// SQL holds the statements, each to be run by itself and in this order.
	// The last one notes in the table users_migrations what was done, so that
	// [Store.Check] and [Store.Migrate] know of it.
	SQL []string
	// Down undoes SQL, from the last statement to the first, and loses the data.
	Down []string
}

// Migrations returns the schema as data, for hosts with a migration tool of
// their own; see also [Goose] and [GolangMigrate]. o is the same as for [New].
func Migrations(d Dialect, o *Options) ([]Migration, error) {
	set, err := load(d, o)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: Migrations: %w", err)
	}
	all := make([]Migration, len(set.Versions))
	for i, v := range set.Versions {
		all[i] = Migration{Version: v.Number, Name: v.Name, SQL: v.Up, Down: v.Down}
	}
	return all, nil
}

// Goose returns the migrations in the form of github.com/pressly/goose/v3: one
// file for each version, at the root of the file system.
func Goose(d Dialect, o *Options) (fs.FS, error) {
	set, err := load(d, o)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: Goose: %w", err)
	}
	return set.Goose(), nil
}

// GolangMigrate returns the migrations in the form of
// github.com/golang-migrate/migrate/v4 (source/iofs, path "."): one pair of
// files for each statement, so that MySQL needs no multiStatements. The
// version of a file is a thousand times the schema's plus the statement.
func GolangMigrate(d Dialect, o *Options) (fs.FS, error) {
	set, err := load(d, o)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: GolangMigrate: %w", err)
	}
	return set.GolangMigrate(), nil
}

func load(d Dialect, o *Options) (*migrate.Set, error) {
	dia, err := newDialect(d, o)
	if err != nil {
		return nil, err
	}
	return dia.migrations()
}

// migrations reads the files of the dialect; package migrate says what is in them.
func (d dialect) migrations() (*migrate.Set, error) {
	files, err := fs.Sub(sources, "migrations/"+string(d.Dialect))
	if err != nil {
		return nil, err
	}
	is := func(f fault) func(error) bool {
		return func(err error) bool { return d.classify(err) == f }
	}
	return migrate.Load(files, migrate.Database{
		Dialect: string(d.Dialect),
		Schema:  d.schema,
		Prefix:  d.prefix,
		Render:  d.render,
		Taken:   is(duplicate),
		Aborted: is(aborted),
		Exists:  is(exists),
		Missing: is(missing),
		Unsupported: func(err error) bool {
			f := d.classify(err) // Percona XtraDB Cluster has no number of its own for it
			return f == unsupported || f == otherFault
		},
	})
}

// ErrSchema is returned by [Store.Check] while the tables are not what this
// version of the package needs.
var ErrSchema = errors.New("sqlstore: the schema is not up to date")
