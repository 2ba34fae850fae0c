package migrate

import (
	"context"
	"fmt"
	"regexp"
)

// sign is what the catalog shows once a step was run. The zero value is none:
// the step is run again.
type sign struct {
	absent bool   // it is not there
	kind   string // table, column or index
	table  string // with prefix
	name   string // of the column or index; that of an index with prefix
}

var signs = regexp.MustCompile(`^(no )?(?:(table) (\w+)|(column|index) (\w+)\.(\w+))$`)

func parseSign(text, prefix string) (sign, error) {
	if text == "run again" {
		return sign{}, nil
	}
	m := signs.FindStringSubmatch(text)
	if m == nil {
		return sign{}, fmt.Errorf("got %q, want \"-- done if: \" with [no] table T, [no] column T.C, [no] index T.I, or run again", text)
	}
	g := sign{absent: m[1] != "", kind: m[2] + m[4], table: prefix + m[3] + m[5], name: m[6]}
	if g.kind == "index" {
		g.name = prefix + g.name
	}
	return g, nil
}

func (g sign) String() string {
	text := g.kind + " " + g.table
	if g.absent {
		text = "no " + text
	}
	if g.name != "" {
		text += "." + g.name
	}
	return text
}

// catalog is where each kind of sign is seen.
var catalog = map[string]string{
	"table":  `tables WHERE table_name = ?`,
	"column": `columns WHERE table_name = ? AND column_name = ?`,
	"index":  `statistics WHERE table_name = ? AND index_name = ?`,
}

// seen reports whether the catalog shows g.
func (r *runner) seen(ctx context.Context, g sign) (bool, error) {
	if g == (sign{}) {
		return false, nil
	}
	args := []any{g.table}
	if g.name != "" {
		args = append(args, g.name)
	}
	schema := `DATABASE()`
	if r.db.Schema != "" {
		schema, args = `?`, append(args, r.db.Schema)
	}
	query := `SELECT count(*) FROM information_schema.` + catalog[g.kind] + ` AND table_schema = ` + schema
	var n int
	if err := r.again(ctx, func() error { return r.conn.QueryRowContext(ctx, query, args...).Scan(&n) }); err != nil {
		return false, err
	}
	return n > 0 != g.absent, nil
}

// inSQLite reports whether there is a table or an index of that name.
func (r *runner) inSQLite(ctx context.Context, name string) bool {
	master := "sqlite_master"
	if r.db.Schema != "" {
		master = `"` + r.db.Schema + `".` + master
	}
	var n int
	err := r.conn.QueryRowContext(ctx, `SELECT count(*) FROM `+master+` WHERE name = ? COLLATE NOCASE`, name).Scan(&n)
	return err == nil && n > 0
}
