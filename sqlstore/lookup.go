package sqlstore

import "slices"

// maxList is the most values in one statement.
const maxList = 500

// keys are values wanted in a column.
type keys struct {
	column string
	values []string
}

// batch is one statement of a look-up by many keys.
type batch struct {
	text string
	args []any
}

// byKeys returns the statements that find rows of an application by lists of
// keys: a look-up by index for each list (an OR would scan the application),
// joined by UNION ALL, no more than maxList values at a time. A row that has two
// of the keys is found twice.
func (b *backend) byKeys(selectFrom, applicationID string, wanted ...keys) (batches []batch) {
	var selects []string
	var args []any
	longest := 0
	flush := func() {
		if len(selects) > 0 {
			batches = append(batches, batch{b.listText(b.unionAll(selects...), longest), args})
		}
		selects, args, longest = nil, nil, 0
	}

	for _, w := range wanted {
		for values := range slices.Chunk(w.values, maxList) {
			if len(args)+len(values) > maxList {
				flush()
			}
			longest = max(longest, len(values))
			selects = append(selects, selectFrom+` WHERE application_id = ? AND `+w.column+` IN (`+params(len(values))+`)`+b.lockClause())
			args = appendStrings(append(args, applicationID), values)
		}
	}
	flush()
	return batches
}

// lockClause is what a SELECT in the host's transaction ends with, once a row of
// another transaction was in the way there: a plain read of MySQL's does not see
// it, for it keeps to its snapshot.
func (b *backend) lockClause() string {
	if b.conflicted != nil && b.conflicted.Load() {
		return "{share}"
	}
	return ""
}
