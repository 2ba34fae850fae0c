package sqlstore

import (
	"strconv"
	"strings"
)

// dialect turns the one text of a statement into what a database understands.
type dialect struct {
	Dialect
	prefix, schema string
}

// nowMicros is the database's clock in microseconds since 1970 UTC. Leases are
// judged by nothing else. It is stable within a statement, so that it can bound
// an index (PostgreSQL's clock_timestamp could not).
var nowMicros = map[Dialect]string{
	Postgres: `(extract(epoch FROM statement_timestamp()) * 1000000)::bigint`,
	MySQL:    `TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))`,
	SQLite:   `CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)`,
}

// render replaces what stands in braces:
//
//	{users}      a table, quoted, with prefix and schema
//	{#users_pk}  a constraint or an index, quoted, with prefix
//	{%due}       an index, with prefix and schema: as SQLite makes it, and as all but MySQL drop it
//	{now}        the database's clock
//	{t} {i} {b}  a parameter that is a text, a whole number, a boolean
//	{skipClash}  the end of an INSERT that does nothing where a unique key is taken
//	{share}      a lock that lets a reader see what others have committed
//	{(} {)}      around a part of a UNION; SQLite wants none
//
// and numbers the parameters where the dialect does so.
func (d dialect) render(template string) string {
	var b strings.Builder
	params := 0
	for i := 0; i < len(template); i++ {
		switch c := template[i]; c {
		case '?':
			params++
			b.WriteString(d.param(params))
		case '{':
			end := i + strings.IndexByte(template[i:], '}')
			word := template[i+1 : end]
			if cast, ok := casts[word]; ok {
				params++
				b.WriteString(d.param(params))
				if d.Dialect == Postgres {
					b.WriteString(cast)
				}
			} else {
				b.WriteString(d.word(word))
			}
			i = end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// casts tell PostgreSQL the type of a parameter in a SELECT list.
var casts = map[string]string{"t": "::text", "i": "::bigint", "b": "::boolean"}

func (d dialect) param(n int) string {
	if d.Dialect == Postgres {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

func (d dialect) word(w string) string {
	switch w {
	case "now":
		return nowMicros[d.Dialect]
	case "skipClash":
		if d.Dialect == MySQL {
			// The affected rows of its upsert depend on the host's
			// clientFoundRows: error 1062 tells instead.
			return ""
		}
		return " ON CONFLICT DO NOTHING"
	case "(", ")":
		if d.Dialect == SQLite {
			return ""
		}
		return w
	case "share":
		if d.Dialect == MySQL {
			return " LOCK IN SHARE MODE"
		}
		return ""
	}
	if name, ok := strings.CutPrefix(w, "#"); ok {
		return d.quote(d.prefix + name)
	}
	// Tables and SQLite's indexes have the same name space.
	return d.table(strings.TrimPrefix(w, "%"))
}

func (d dialect) table(name string) string {
	t := d.quote(d.prefix + name)
	if d.schema != "" {
		t = d.quote(d.schema) + "." + t
	}
	return t
}

func (d dialect) quote(name string) string {
	if d.Dialect == MySQL {
		return "`" + name + "`"
	}
	return `"` + name + `"`
}
