package migrate

import (
	"fmt"
	"io/fs"
	"strings"
)

// Goose returns the set in the form of github.com/pressly/goose/v3: one file
// for each version.
func (s *Set) Goose() fs.FS {
	rendered := files{}
	for _, v := range s.Versions {
		var b strings.Builder
		section := func(direction string, statements []string) {
			b.WriteString("-- +goose " + direction + "\n")
			for _, text := range statements {
				b.WriteString("-- +goose StatementBegin\n" + text + ";\n-- +goose StatementEnd\n")
			}
		}
		section("Up", v.Up)
		section("Down", v.Down)
		rendered[fmt.Sprintf("%05d_%s.sql", v.Number, v.Name)] = b.String()
	}
	return rendered
}

// GolangMigrate returns the set in the form of
// github.com/golang-migrate/migrate/v4: one pair of files for each statement,
// numbered a thousand times the version plus the statement.
func (s *Set) GolangMigrate() fs.FS {
	rendered := files{}
	for _, v := range s.Versions {
		for i, up := range v.Up {
			name := fmt.Sprintf("%06d_%s", v.Number*1000+i+1, v.Name)
			rendered[name+".up.sql"] = up + ";\n"
			rendered[name+".down.sql"] = v.Down[len(v.Down)-1-i] + ";\n"
		}
	}
	return rendered
}
