package migrate_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gousers/users/internal/migrate"
)

const (
	first = "CREATE TABLE {users_migrations} (version INTEGER);\n-- down: DROP TABLE {users_migrations}\n"

	// firstMySQL and next say how to see that their steps were run.
	firstMySQL = "CREATE TABLE {users_migrations} (version INTEGER);\n-- done if: table users_migrations\n-- down: DROP TABLE {users_migrations}\n"
	next       = `ALTER TABLE {users}
	ADD COLUMN nickname VARBINARY(64),
	ADD KEY {#users_nickname} (nickname);
-- done if: column users.nickname
-- down: ALTER TABLE {users} DROP COLUMN nickname

ALTER TABLE {users} MODIFY name VARBINARY(99);
-- done if: run again
-- down: ALTER TABLE {users} MODIFY name VARBINARY(9)

DROP TABLE {leftovers};
-- done if: no table leftovers
-- down: CREATE TABLE {leftovers} (id INTEGER)
`
)

var word = regexp.MustCompile(`\{[#%]?(\w+)\}`)

func load(dialect string, texts map[string]string) (*migrate.Set, error) {
	files := fstest.MapFS{}
	for name, text := range texts {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return migrate.Load(files, migrate.Database{
		Dialect: dialect,
		Prefix:  "app_",
		Render: func(template string) string {
			return word.ReplaceAllString(strings.ReplaceAll(template, "{now}", "7"), "app_$1")
		},
	})
}

func TestLoadRefusesAStepThatIsNotWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dialect string
		second  string
		want    string // in the error
	}{
		"NoDown":            {"postgres", "ALTER TABLE {users} ADD COLUMN a TEXT;\n", "step 1: no line \"-- down: \""},
		"NoDownOfTheFirst":  {"postgres", "DROP TABLE {old};\n\nDROP TABLE {new};\n-- down: CREATE TABLE {new} (id INTEGER)\n", "step 1: more than one statement"},
		"NoDownOfTheSecond": {"postgres", "DROP TABLE {old};\n-- down: CREATE TABLE {old} (id INTEGER)\n\nDROP TABLE {new};\n", "step 2: no line"},
		"EmptyDown":         {"postgres", "DROP TABLE {old};\n-- down: \n", "step 1"},
		"MisspelledDown":    {"postgres", "DROP TABLE {old};\n-- Down: CREATE TABLE {old} (id INTEGER)\n", "step 1: no line"},
		"TwoDowns":          {"postgres", "DROP TABLE {old};\n-- down: SELECT 1\n-- down: SELECT 2\n", "step 2"},
		"DownOfTwo":         {"postgres", "DROP TABLE {old};\n-- down: SELECT 1; SELECT 2\n", "step 1"},
		"NoSemicolon":       {"postgres", "DROP TABLE {old}\n-- down: SELECT 1\n", "step 1: a statement must end"},
		"Empty":             {"postgres", "\n", "step 1: no line"},
		"SignOfNoUse":       {"sqlite", "DROP TABLE {old};\n-- done if: no table a\n-- down: SELECT 1\n", "step 1"},
		"NoSign":            {"mysql", "DROP TABLE {old};\n-- down: SELECT 1\n", "step 1"},
		"TwoSigns":          {"mysql", "DROP TABLE {old};\n-- done if: no table a\n-- done if: run again\n-- down: SELECT 1\n", "step 1"},
		"SignOnly":          {"mysql", next + "-- done if: run again\n", "step 4: no line"},
		"UnknownSign":       {"mysql", "DROP TABLE {old};\n-- done if: no view a\n-- down: SELECT 1\n", "no view a"},
		"SignWithoutColumn": {"mysql", "DROP TABLE {old};\n-- done if: column a\n-- down: SELECT 1\n", "column a"},
		"SignWithMore":      {"mysql", "DROP TABLE {old};\n-- done if: table a.b\n-- down: SELECT 1\n", "table a.b"},
		"BracesOfALiteral":  {"postgres", "ALTER TABLE {users} ADD COLUMN a TEXT DEFAULT '{}';\n-- down: SELECT 1\n", "step 1: got {}"},
		"JSONOfALiteral":    {"postgres", "ALTER TABLE {users} ADD COLUMN a TEXT DEFAULT '{\"a\": 1}';\n-- down: SELECT 1\n", "step 1: got {"},
		"OpenBrace":         {"mysql", "ALTER TABLE {users} ADD COLUMN a TEXT DEFAULT '{';\n-- done if: column users.a\n-- down: SELECT 1\n", "step 1: got {"},
		"LoneCloseBrace":    {"sqlite", "ALTER TABLE {users} ADD COLUMN a TEXT DEFAULT '}';\n-- down: SELECT 1\n", "step 1: got }"},
		"QuestionMark":      {"postgres", "ALTER TABLE {users} ADD COLUMN a TEXT DEFAULT '?';\n-- down: SELECT 1\n", "step 1: got ?"},
		"QuestionMarkDown":  {"postgres", "DROP TABLE {old};\n-- down: CREATE TABLE {old} (a TEXT DEFAULT '?')\n", "step 1: got ?"},
		"BraceDown":         {"postgres", "DROP TABLE {old};\n-- down: CREATE TABLE {old} (a TEXT DEFAULT '{}')\n", "step 1: got {}"},
		"Parameter":         {"postgres", "UPDATE {users} SET a = {t};\n-- down: SELECT 1\n", "step 1: got {t}"},
		"SignOfInjection":   {"mysql", "DROP TABLE {old};\n-- done if: table a' OR '1\n-- down: SELECT 1\n", "done if"},
	} {
		one := first
		if c.dialect == "mysql" {
			one = firstMySQL
		}
		_, err := load(c.dialect, map[string]string{"0001_first.sql": one, "0002_second.sql": c.second})
		if err == nil || !strings.Contains(err.Error(), "0002_second.sql: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with the file and %q", name, err, c.want)
		}
	}
}

func TestLoadRefusesFilesOutOfOrder(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string]map[string]string{
		"None":         {},
		"Gap":          {"0001_first.sql": first, "0003_third.sql": first},
		"Twice":        {"0001_first.sql": first, "0001_second.sql": first},
		"FromZero":     {"0000_first.sql": first},
		"NoName":       {"0001.sql": first},
		"Other":        {"0001_first.sql": first, "README.md": "read me"},
		"NoJournal":    {"0001_first.sql": "CREATE TABLE {users} (id INTEGER);\n-- down: DROP TABLE {users}\n"},
		"JournalLater": {"0001_first.sql": "CREATE TABLE {users} (id INTEGER);\n-- down: DROP TABLE {users}\n\n" + first},
	} {
		if _, err := load("postgres", texts); err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
	}
}

func TestDownUndoesUpFromTheLastStatementToTheFirst(t *testing.T) {
	t.Parallel()
	set, err := load("mysql", map[string]string{"0001_first.sql": firstMySQL, "0002_second.sql": next})
	if err != nil {
		t.Fatal(err)
	}
	want := migrate.Version{
		Number: 2,
		Name:   "second",
		Up: []string{
			"ALTER TABLE app_users\n\tADD COLUMN nickname VARBINARY(64),\n\tADD KEY app_users_nickname (nickname)",
			"ALTER TABLE app_users MODIFY name VARBINARY(99)",
			"DROP TABLE app_leftovers",
			"INSERT INTO app_users_migrations (version, step, started_at, done_at) VALUES (2, 1, 7, 7), (2, 2, 7, 7), (2, 3, 7, 7)",
		},
		Down: []string{
			"DELETE FROM app_users_migrations WHERE version = 2",
			"CREATE TABLE app_leftovers (id INTEGER)",
			"ALTER TABLE app_users MODIFY name VARBINARY(9)",
			"ALTER TABLE app_users DROP COLUMN nickname",
		},
	}
	got := set.Versions[1]
	if got.Number != want.Number || got.Name != want.Name || !slices.Equal(got.Up, want.Up) || !slices.Equal(got.Down, want.Down) {
		t.Errorf("got version %+v, want %+v", got, want)
	}

	goose, err := fs.ReadFile(set.Goose(), "00002_second.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, down, _ := strings.Cut(string(goose), "-- +goose Down\n")
	for i := range want.Up {
		last := len(want.Up) - 1 - i
		pair := [2]string{}
		for j, direction := range []string{"up", "down"} {
			text, err := fs.ReadFile(set.GolangMigrate(), fmt.Sprintf("%06d_second.%s.sql", 2001+i, direction))
			if err != nil {
				t.Fatal(err)
			}
			pair[j] = string(text)
		}
		if pair != [2]string{want.Up[i] + ";\n", want.Down[last] + ";\n"} {
			t.Errorf("golang-migrate: got %q, want statement %d and what undoes it", pair, i+1)
		}
		if !strings.Contains(up, want.Up[i]+";\n") || !strings.Contains(down, want.Down[i]+";\n") {
			t.Errorf("goose: got %s, want every statement up and down", goose)
		}
	}
}
