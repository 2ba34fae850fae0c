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

// render replaces what is in braces:
//
//	{users}      a table, quoted, with prefix and schema
//	{#users_pk}  a constraint or an index, quoted, with prefix
//	{%due}       an index, with prefix and schema: as SQLite makes it, and as all but MySQL drop it
//	{now}        the database's clock
//	{t} {i} {b}  a parameter that is a text, an integer, a boolean: PostgreSQL
//	             can't infer its type in a SELECT list
//	{or nothing} the end of an INSERT that writes nothing where a unique key is
//	             taken; see runner.insert
//	{share}      a lock that lets a reader see what others have committed
//	{keep}       a lock that keeps the rows that are read from being deleted until the
//	             transaction ends
//	{using x}    behind a table: no other index than x; PostgreSQL knows nothing like it
//	{locking x}  the same on MySQL alone, which locks what it reads to write, and reads
//	             more in the index that it would take
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

	case "or nothing":
		switch d.Dialect {
		case Postgres:
			return "ON CONFLICT DO NOTHING RETURNING 1"
		case SQLite:
			return "ON CONFLICT DO NOTHING"
		}
		return ""

	case "share":
		if d.Dialect == MySQL {
			return " LOCK IN SHARE MODE"
		}
		return ""

	case "keep":
		switch d.Dialect {
		case Postgres:
			return " FOR KEY SHARE"
		case MySQL:
			return " LOCK IN SHARE MODE"
		}
		return "" // one writer at a time
	}
	if name, ok := strings.CutPrefix(w, "using "); ok {
		if d.Dialect == SQLite {
			return " INDEXED BY " + d.quote(d.prefix+name)
		}
		return d.word("locking " + name)
	}
	if name, ok := strings.CutPrefix(w, "locking "); ok {
		if d.Dialect == MySQL {
			return " FORCE INDEX (" + d.quote(d.prefix+name) + ")"
		}
		return ""
	}
	if name, ok := strings.CutPrefix(w, "#"); ok {
		return d.quote(d.prefix + name)
	}
	// Tables and SQLite's indexes share a name space.
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

// unionAll joins the rows of SELECTs. Each needs parentheses if it locks, and
// SQLite knows neither.
func (d dialect) unionAll(selects ...string) string {
	if d.Dialect == SQLite {
		return strings.Join(selects, " UNION ALL ")
	}
	return "(" + strings.Join(selects, ") UNION ALL (") + ")"
}

// params returns n parameters for an IN (…).
func params(n int) string { return listOf("?", n) }

// listOf returns item n times, with commas between.
func listOf(item string, n int) string {
	return strings.TrimSuffix(strings.Repeat(item+", ", n), ", ")
}

// appendStrings adds values to the arguments of a statement.
func appendStrings(args []any, values []string) []any {
	for _, v := range values {
		args = append(args, v)
	}
	return args
}

// nullable returns NULL for an empty s.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// limit is the bound of a LIMIT that is always there; n is 0 for no bound.
func limit(n int) int64 {
	if n <= 0 {
		return 1<<63 - 1
	}
	return int64(n)
}

// text returns the statement of a template, rendered once. It is for constants;
// templates with lists in them, of which there is no end, go to listText.
func (s *shared) text(template string) string {
	if text, ok := s.texts.Load(template); ok {
		return text.(string)
	}
	text := s.render(template)
	s.constants.Store(text, true)
	s.texts.Store(template, text)
	return text
}

// listText is text for a template with lists in it, the longest of n values. With
// one, as most have, it is a constant.
func (s *shared) listText(template string, n int) string {
	if n <= 1 {
		return s.text(template)
	}
	return s.render(template)
}

// isConstant reports whether text returned this statement.
func (s *shared) isConstant(text string) bool {
	_, ok := s.constants.Load(text)
	return ok
}
