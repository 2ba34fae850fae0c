// Package migrate reads the versions of a schema from files and brings a
// database up to them.
//
// A file is one version: 0001_name.sql, 0002_name.sql and so on. It is a list
// of steps, each one statement with what belongs to it on the lines below:
//
//	ALTER TABLE {users} ADD COLUMN nickname VARBINARY(64), ADD KEY {#users_nickname} (nickname);
//	-- done if: column users.nickname
//	-- down: ALTER TABLE {users} DROP COLUMN nickname
//
// The line "down" is the statement that undoes the step. No step goes without.
//
// Braces stand for a name of the database's: {users} is a table, {#users_nickname}
// and {%users_nickname} are indexes (Database.Render tells them apart). There are no
// parameters. Other braces and question marks have no place in a step, nor in a
// literal of it.
//
// On PostgreSQL and SQLite one transaction holds all steps. On MySQL and MariaDB
// DDL is its own transaction, so a process can be killed between a statement
// and its entry in the journal. Each step there, and only there, has a line
// "done if": the sign by which the next process sees that the statement was run:
//
//	table T, column T.C, index T.I           it is there
//	no table T, no column T.C, no index T.I  it is not there
//	run again                                there is no such sign: running the statement twice is harmless
//
// The names are without prefix. One sign is enough for an ALTER TABLE with many
// clauses: InnoDB does all of it or nothing. A DROP TABLE of many tables is not
// like that: it takes a step for each.
//
// A file that breaks these rules is an error of [Load].
package migrate

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Database is what the package has to know of one.
type Database struct {
	Dialect string // "postgres", "mysql" or "sqlite"
	Schema  string // qualifies the tables; empty: none
	Prefix  string // stands before the name of every table and index
	// Render returns the SQL of a template, with {users} for a table, {now}
	// for the database's clock and ? for a parameter.
	Render func(template string) string
	// Taken reports whether err is that a unique key is taken.
	Taken func(err error) bool
	// Aborted reports whether err is that the database undid a statement, which
	// may succeed when it is repeated.
	Aborted func(err error) bool
	// Exists reports whether err is that a statement's table, column or index is
	// there already.
	Exists func(err error) bool
	// Missing reports whether err is that a statement's table or column is not there.
	Missing func(err error) bool
	// Unsupported reports whether err is that the server refuses a statement which
	// not every server knows.
	Unsupported func(err error) bool
}

// WayOut is what helps where the host has something of a name that Migrate needs.
const WayOut = "choose other names by Options.TablePrefix, or another place by Options.Schema"

// implicitCommit reports whether DDL is its own transaction.
func (db Database) implicitCommit() bool { return db.Dialect == "mysql" }

// Set is a schema as statements for one database.
type Set struct {
	Versions []Version
	db       Database
}

// Version is one version of the schema.
type Version struct {
	Number int // from 1, without gaps
	Name   string
	Steps  []Step
	// Up holds the statements of the steps, and one that notes them in the journal.
	Up []string
	// Down holds what undoes Up: its first statement the last of Up, and so on.
	Down []string
}

// Step is one statement and the one that undoes it.
type Step struct {
	Up, Down string
	makes    string // the table or index that Up creates, with prefix; empty: none
	done     sign
}

// The lines below a statement.
const (
	doneLine = "-- done if: "
	downLine = "-- down: "
)

// journal is how the first version begins: with the table that holds what was done.
const journal = "CREATE TABLE {users_migrations}"

var creates = regexp.MustCompile(`^CREATE (?:UNIQUE )?(?:TABLE|INDEX) \{[#%]?(\w+)\}`)

var fileName = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.sql$`)

// Load reads all files at the root of files.
func Load(files fs.FS, db Database) (*Set, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	s := &Set{db: db}
	for i, entry := range entries {
		text, err := fs.ReadFile(files, entry.Name())
		if err != nil {
			return nil, fmt.Errorf("migrate: %w", err)
		}
		v, err := s.version(i+1, entry.Name(), string(text))
		if err != nil {
			return nil, fmt.Errorf("migrate: %s: %w", entry.Name(), err)
		}
		s.Versions = append(s.Versions, v)
	}
	if len(s.Versions) == 0 {
		return nil, errors.New("migrate: no files")
	}
	return s, nil
}

func (s *Set) version(number int, file, text string) (Version, error) {
	name := fileName.FindStringSubmatch(file)
	if name == nil || name[1] != fmt.Sprintf("%04d", number) {
		return Version{}, fmt.Errorf("want the name %04d_….sql", number)
	}
	if number == 1 && !strings.HasPrefix(text, journal) {
		return Version{}, fmt.Errorf("want %q first", journal)
	}
	steps, err := s.parse(text)
	if err != nil {
		return Version{}, fmt.Errorf("step %d: %w", len(steps)+1, err)
	}

	v := Version{Number: number, Name: name[2], Steps: steps}
	for _, step := range steps {
		v.Up = append(v.Up, step.Up)
		v.Down = append(v.Down, step.Down)
	}
	v.Up = append(v.Up, s.note(v))
	v.Down = append(v.Down, s.db.Render(fmt.Sprintf(`DELETE FROM {users_migrations} WHERE version = %d`, number)))
	slices.Reverse(v.Down)
	return v, nil
}

// parse returns the steps of a file; with an error, those before it.
func (s *Set) parse(text string) (steps []Step, err error) {
	var doneIf string
	var statement strings.Builder
	for line := range strings.Lines(text) {
		line := strings.TrimRight(line, "\r\n")
		if after, ok := strings.CutPrefix(line, doneLine); ok && doneIf == "" {
			doneIf = after
			continue
		}
		down, ok := strings.CutPrefix(line, downLine)
		if !ok {
			statement.WriteString(line + "\n")
			continue
		}

		step, err := s.step(statement.String(), doneIf, down)
		if err != nil {
			return steps, err
		}
		steps = append(steps, step)
		doneIf = ""
		statement.Reset()
	}
	if len(steps) == 0 || doneIf != "" || strings.TrimSpace(statement.String()) != "" {
		return steps, fmt.Errorf("no line %q", downLine)
	}
	return steps, nil
}

func (s *Set) step(up, doneIf, down string) (step Step, err error) {
	up, ok := strings.CutSuffix(strings.TrimSpace(up), ";")
	switch {
	case !ok:
		return Step{}, errors.New("a statement must end with a semicolon")
	case strings.Contains(up, ";"):
		return Step{}, errors.New("more than one statement: each needs a line \"-- down: \" of its own")
	case strings.TrimSpace(down) == "" || strings.Contains(down, ";"):
		return Step{}, errors.New("\"-- down: \" needs one statement, without a semicolon")
	}
	if odd := notAName.FindString(names.ReplaceAllString(up+"\n"+down, "")); odd != "" {
		return Step{}, fmt.Errorf("got %s: braces are for names, and nothing is a parameter", odd)
	}
	if s.db.implicitCommit() {
		if step.done, err = parseSign(doneIf, s.db.Prefix); err != nil {
			return Step{}, err
		}
	} else if doneIf != "" {
		return Step{}, errors.New("\"-- done if: \" is of no use where a transaction holds all steps")
	}
	if m := creates.FindStringSubmatch(up); m != nil {
		step.makes = s.db.Prefix + m[1]
	}
	step.Up, step.Down = s.db.Render(up), s.db.Render(down)
	return step, nil
}

// What Render replaces: names, and what must not be in a step.
var (
	names    = regexp.MustCompile(`\{[#%]?\w{2,}\}`) // a single letter is a parameter
	notAName = regexp.MustCompile(`\{[^{}\n]*\}?|[}?]`)
)

// note is the statement that says that every step of v was done.
func (s *Set) note(v Version) string {
	rows := make([]string, len(v.Steps))
	for i := range v.Steps {
		rows[i] = fmt.Sprintf("(%d, %d, {now}, {now})", v.Number, i+1)
	}
	return s.db.Render(`INSERT INTO {users_migrations} (version, step, started_at, done_at) VALUES ` + strings.Join(rows, ", "))
}
