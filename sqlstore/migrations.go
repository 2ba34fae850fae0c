package sqlstore

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

//go:embed migrations
var sources embed.FS

// Migration is one version of the schema.
type Migration struct {
	Version int    // from 1, without gaps
	Name    string // short, lower case
	// SQL holds the statements, each to be run by itself and in this order.
	// The last one notes in the table users_migrations what was done, so that
	// Check and Migrate know of it.
	SQL []string
	// Down undoes SQL and loses the data.
	Down []string

	steps []string // SQL without the note
}

var createTable = regexp.MustCompile(`^CREATE TABLE \{(\w+)\}`)

// Migrations gives the schema as data, for hosts with a migration tool of
// their own; see also Goose and GolangMigrate. o is the same as for New.
func Migrations(d Dialect, o *Options) ([]Migration, error) {
	dia, err := newDialect(d, o)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: Migrations: %w", err)
	}
	return dia.migrations(), nil
}

func (d dialect) migrations() []Migration {
	dir := path.Join("migrations", string(d.Dialect))
	files, err := fs.ReadDir(sources, dir)
	if err != nil {
		panic(err) // part of the program
	}
	all := make([]Migration, len(files))
	for i, f := range files {
		text, err := fs.ReadFile(sources, path.Join(dir, f.Name()))
		if err != nil {
			panic(err)
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(f.Name(), ".sql"), "_")
		m := Migration{Version: i + 1, Name: name}
		for step := range strings.SplitSeq(strings.TrimSuffix(string(text), ";\n"), ";\n\n") {
			if table := createTable.FindStringSubmatch(step); table != nil {
				m.Down = append([]string{d.render(`DROP TABLE {` + table[1] + `}`)}, m.Down...)
			}
			m.steps = append(m.steps, d.render(step))
		}
		m.SQL = append(append(m.SQL, m.steps...), d.note(m))
		all[i] = m
	}
	return all
}

// note is the statement that says that every step of m was done.
func (d dialect) note(m Migration) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO {users_migrations} (version, step, started_at, done_at) VALUES `)
	for i := range m.steps {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d, %d, {now}, {now})", m.Version, i+1)
	}
	return d.render(b.String())
}

// Goose gives the migrations in the form of github.com/pressly/goose/v3: one
// file for each version, at the root of the file system.
func Goose(d Dialect, o *Options) (fs.FS, error) {
	all, err := Migrations(d, o)
	if err != nil {
		return nil, err
	}
	rendered := files{}
	for _, m := range all {
		var b strings.Builder
		section := func(direction string, statements []string) {
			b.WriteString("-- +goose " + direction + "\n")
			for _, s := range statements {
				b.WriteString("-- +goose StatementBegin\n" + s + ";\n-- +goose StatementEnd\n")
			}
		}
		section("Up", m.SQL)
		section("Down", m.Down)
		rendered[fmt.Sprintf("%05d_%s.sql", m.Version, m.Name)] = b.String()
	}
	return rendered, nil
}

// GolangMigrate gives the migrations in the form of
// github.com/golang-migrate/migrate/v4 (source/iofs, path "."): one pair of
// files for each statement, so that MySQL needs no multiStatements. The
// version of a file is a thousand times the schema's plus the statement.
func GolangMigrate(d Dialect, o *Options) (fs.FS, error) {
	all, err := Migrations(d, o)
	if err != nil {
		return nil, err
	}
	dia, err := newDialect(d, o)
	if err != nil {
		return nil, err
	}
	rendered := files{}
	for _, m := range all {
		for i, up := range m.SQL {
			name := fmt.Sprintf("%06d_%s", m.Version*1000+i+1, m.Name)
			rendered[name+".up.sql"] = up + ";\n"
			rendered[name+".down.sql"] = dia.undo(m, i) + ";\n"
		}
	}
	return rendered, nil
}

var created = regexp.MustCompile(`^CREATE (TABLE|INDEX) (\S+)`)

// undo is the statement that undoes one of m.SQL.
func (d dialect) undo(m Migration, i int) string {
	if i == len(m.steps) {
		return d.render(`DELETE FROM {users_migrations} WHERE version = ` + strconv.Itoa(m.Version))
	}
	what := created.FindStringSubmatch(m.steps[i])
	if what[1] == "INDEX" && d.schema != "" && d.Dialect == Postgres {
		return "DROP INDEX " + d.quote(d.schema) + "." + what[2]
	}
	return "DROP " + what[1] + " " + what[2]
}

// ErrSchema is what Check answers while the tables are not what this version
// of the package needs.
var ErrSchema = errors.New("sqlstore: the schema is not up to date")
