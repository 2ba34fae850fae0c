// Package sqlstore keeps users in PostgreSQL, MySQL, MariaDB or SQLite through
// [database/sql]. It imports no driver: the host opens the [*sql.DB] with the one
// it likes (pgx/stdlib, lib/pq, go-sql-driver/mysql, modernc.org/sqlite,
// ncruces/go-sqlite3 and mattn/go-sqlite3 are tested).
//
//	store, err := sqlstore.New(db, sqlstore.Postgres, nil)
//	err = store.Migrate(ctx) // or by the host's own migration tool, see Migrations
//	svc, err := users.New(store, nil)
//
// Inside a transaction of the host's own:
//
//	prepared, err := svc.Prepare(ctx, "demo", params) // no connection is held for the hash
//	tx, err := db.BeginTx(ctx, nil)
//	u, err := svc.InTx(store.WithTx(tx)).CreatePrepared(ctx, prepared)
//	// … the host's own rows …
//	err = tx.Commit()
//
// # What it relies on
//
// Unique indexes judge what is taken, and what must happen together is one
// statement or one transaction, in Read Committed on PostgreSQL. No promise rests
// on SELECT … FOR UPDATE, which locks one node only on a Galera cluster, or on
// the affected rows of an upsert, which Citus and MySQL count in ways of their
// own. Keys are bytes in every table, whatever the database's collation. There
// are no foreign keys: they would turn conflicts into aborted transactions. What is added
// for a user or a role locks that row, so that a deletion takes it too; on a cluster, where
// a lock is one node's, what another node adds meanwhile is left over, and nobody sees it.
//
// A list of users is read in one snapshot. [Store.Purge] deletes what deleted roles left.
//
// # What it leaves alone
//
// The [Store] never closes the host's [*sql.DB], changes no session setting, and
// prepares nothing for good unless [Options.PrepareStatements] says so. It needs
// no special DSN: parseTime, multiStatements, clientFoundRows, autocommit, the
// collation and the character set of a MySQL connection make no difference. For
// SQLite a busy_timeout, WAL and synchronous=FULL are advisable; the Store's own
// writes queue for one connection at a time and take the write lock first.
package sqlstore
