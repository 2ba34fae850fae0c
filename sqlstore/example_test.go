package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/gousers/users"
	"github.com/gousers/users/sqlstore"
)

// openDB stands for sql.Open with the host's driver.
func openDB() *sql.DB { return sql.OpenDB(down{errors.New("no server")}) }

func ExampleNew() {
	db := openDB()
	defer db.Close()

	store, err := sqlstore.New(db, sqlstore.Postgres, &sqlstore.Options{TablePrefix: "app_"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := users.New(store, nil); err != nil {
		log.Fatal(err)
	}

	_, err = sqlstore.New(db, "oracle", nil)
	fmt.Println(err)
	// Output: sqlstore: New: unknown dialect "oracle"
}

// A user and a row of the host's own are committed together.
func ExampleStore_WithTx() {
	var (
		db    *sql.DB
		store *sqlstore.Store
		svc   *users.Service
	)
	signUp := func(ctx context.Context, p users.CreateUserParams) error {
		prepared, err := svc.Prepare(ctx, "demo", p) // checks and hashes, without a connection
		if err != nil {
			return err
		}

		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		u, err := svc.InTx(store.WithTx(tx)).CreatePrepared(ctx, prepared)
		if err != nil {
			return err // ErrRetryTx: repeat from BeginTx, with the same prepared
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO accounts (user_id) VALUES ($1)`, u.ID); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = signUp
}

// OnCreate writes in the transaction that creates the user.
func ExampleTxFrom() {
	options := users.Options{
		OnCreate: func(ctx context.Context, e users.CreateEvent) error {
			tx, ok := sqlstore.TxFrom(ctx)
			if !ok {
				return errors.New("the store is no sqlstore")
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO accounts (user_id) VALUES ($1)`, e.User.ID)
			return err
		},
	}
	_ = options
}
