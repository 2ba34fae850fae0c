package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gousers/users"
	"github.com/gousers/users/sqlstore"
)

var dialects = []sqlstore.Dialect{sqlstore.Postgres, sqlstore.MySQL, sqlstore.SQLite}

// down is a connector to a server that refuses connections.
type down struct{ err error }

func (d down) Connect(context.Context) (driver.Conn, error) { return nil, d.err }
func (d down) Driver() driver.Driver                        { return nil }

func TestNewRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	db := sql.OpenDB(down{})
	defer db.Close()
	for name, c := range map[string]struct {
		db *sql.DB
		d  sqlstore.Dialect
		o  *sqlstore.Options
		ok bool
	}{
		"NilOptions":     {db, sqlstore.SQLite, nil, true},
		"Prefix":         {db, sqlstore.MySQL, &sqlstore.Options{TablePrefix: "app_", Schema: "S1"}, true},
		"LongestPrefix":  {db, sqlstore.Postgres, &sqlstore.Options{TablePrefix: strings.Repeat("a", 31)}, true},
		"NilDB":          {nil, sqlstore.SQLite, nil, false},
		"UnknownDialect": {db, "oracle", nil, false},
		"TooLongPrefix":  {db, sqlstore.Postgres, &sqlstore.Options{TablePrefix: strings.Repeat("a", 32)}, false},
		"DigitFirst":     {db, sqlstore.Postgres, &sqlstore.Options{TablePrefix: "1a"}, false},
		"Quote":          {db, sqlstore.Postgres, &sqlstore.Options{TablePrefix: `a"; DROP TABLE x; --`}, false},
		"Dot":            {db, sqlstore.MySQL, &sqlstore.Options{Schema: "a.b"}, false},
		"LineFeed":       {db, sqlstore.MySQL, &sqlstore.Options{Schema: "a\n"}, false},
	} {
		_, err := sqlstore.New(c.db, c.d, c.o)
		if (err == nil) != c.ok {
			t.Errorf("%s: got error %v, want success: %v", name, err, c.ok)
		}
		if c.db != nil {
			if _, err := sqlstore.Migrations(c.d, c.o); (err == nil) != c.ok {
				t.Errorf("%s: Migrations: got error %v, want success: %v", name, err, c.ok)
			}
		}
	}
}

func TestAServerThatIsDownIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for _, cause := range []error{driver.ErrBadConn, errors.Join(errors.New("dial"), fs.ErrNotExist)} {
			db := sql.OpenDB(down{cause})
			store, err := sqlstore.New(db, d, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = store.CreateUser(t.Context(), &users.NewUser{})
			want := errors.Is(cause, driver.ErrBadConn)
			if errors.Is(err, users.ErrUnavailable) != want || !errors.Is(err, cause) {
				t.Errorf("%s: got %v, want ErrUnavailable: %v, with its cause", d, err, want)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := store.FindUsers(ctx, users.UserQuery{IDs: []string{"x"}}); !errors.Is(err, context.Canceled) || errors.Is(err, users.ErrUnavailable) {
				t.Errorf("%s, canceled: got %v, want context.Canceled", d, err)
			}
			db.Close()
		}
	}
}

func TestMigrationsAreOneStatementAStep(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		all, err := sqlstore.Migrations(d, &sqlstore.Options{TablePrefix: "app_", Schema: "own"})
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range all {
			if m.Version != i+1 || m.Name == "" || len(m.Down) == 0 {
				t.Errorf("%s: got version %d, name %q and %d statements down, want %d, a name, some", d, m.Version, m.Name, len(m.Down), i+1)
			}
			for _, s := range append(m.SQL, m.Down...) {
				if strings.ContainsAny(s, ";{}?") || !strings.Contains(s, "app_") {
					t.Errorf("%s: got %q, want one rendered statement with the prefix", d, s)
				}
			}
		}
	}
}

func TestRenderedMigrationsAreFileSystems(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		goose, err := sqlstore.Goose(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(goose, "00001_users.sql"); err != nil {
			t.Error(err)
		}
		pairs, err := sqlstore.GolangMigrate(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(pairs, "001001_users.up.sql", "001001_users.down.sql"); err != nil {
			t.Error(err)
		}
	}
}

func TestTxFromOutsideOfOnCreateIsNone(t *testing.T) {
	t.Parallel()
	if tx, ok := sqlstore.TxFrom(t.Context()); tx != nil || ok {
		t.Errorf("got %v, %v, want none", tx, ok)
	}
}
