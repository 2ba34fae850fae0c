package storetest_test

import (
	"context"
	"database/sql"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/gousers/users/storetest"
)

// TestEveryClauseIsInTheContract keeps what a failure quotes from drifting away
// from the comments that a store's author reads. Every case fails on a dead store.
func TestEveryClauseIsInTheContract(t *testing.T) {
	t.Parallel()
	contract := comments(t, "../store.go", "../store_outbox.go", "../store_list.go", "../store_edit.go", "../store_batch.go", "tx.go")
	all := breaches(check(dead))
	all = append(all, breaches(storetest.CheckTx(func() (storetest.TxHarness, func(), error) {
		begin := func(context.Context, sql.IsolationLevel) (storetest.Tx, error) {
			end := func() error { return nil }
			return storetest.Tx{Store: dead(), Commit: end, Rollback: end}, nil
		}
		return storetest.TxHarness{Store: dead(), Begin: begin}, nil, nil
	}))...)
	if len(all) < 100 {
		t.Fatalf("got the clauses of %d cases, want all", len(all))
	}

	for _, b := range all {
		rest := contract
		for part := range strings.SplitSeq(b.Clause, "…") {
			at := strings.Index(rest, normalized(part))
			if at < 0 {
				t.Errorf("%s: %q is not in the comments, or not in this order", b.Case, strings.TrimSpace(part))
				break
			}
			rest = rest[at:]
		}
	}
}

// comments returns the comments of files as one line.
func comments(t *testing.T, files ...string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range f.Comments {
			all.WriteString(group.Text() + "\n")
		}
	}
	return normalized(all.String())
}

// normalized leaves out white space, doc links and capitals.
func normalized(s string) string {
	s = strings.NewReplacer("[", "", "]", "").Replace(s)
	return strings.ToLower(strings.Join(strings.Fields(s), " "))
}
