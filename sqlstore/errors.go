package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/gousers/users"
)

// fault is what an error of a driver means to the store.
type fault int

const (
	otherFault  fault = iota
	duplicate         // a unique key is taken
	aborted           // rolled back by the database; the same again may succeed
	badConn           // the connection was bad before the statement was sent, says the driver
	refused           // by a limit, before anything was done; the same again may succeed
	unavailable       // the database can't be reached or has no time or room; the outcome may be unknown
	unsupported       // this server does not know the statement
	exists            // DDL: the table, column or index is there already
	missing           // the table or column is not there
)

var (
	// errNotWritten: an INSERT wrote no row, because one that it needs is missing
	// or a unique key is taken. Which of them it does not say: see explainConflict and add.
	errNotWritten = errors.New("sqlstore: not written")
	// errVanished: what was in the way can't be seen (anymore). Try again.
	errVanished = errors.New("sqlstore: a unique key is taken by a row that can't be seen")
	// errDeadRecord: an idempotency record that may be replaced is in the way,
	// and MySQL wants that done in a transaction that begins with it.
	errDeadRecord = errors.New("sqlstore: a dead idempotency record is in the way")
	// errCommit: a connection was lost at COMMIT; what became of it is unknown.
	errCommit = errors.New("sqlstore: the outcome of the commit is unknown")
)

func isNotWritten(err error) bool { return errors.Is(err, errNotWritten) }

// classify looks for the numbers of the dialect's drivers in the whole tree of
// err. It never decides by text what is a conflict: a user name can look like
// any message.
//
// It does not look into what the host's code returned while the transaction was
// alive: another database has the same numbers. There ErrRetryTx asks for a retry,
// as that of a TxStore does.
func (d Dialect) classify(err error) (f fault) {
	host, ok := errors.AsType[*onCreateError](err)
	switch {
	case err == nil:
		return otherFault
	case ok && host.txAlive && errors.Is(host.err, users.ErrRetryTx):
		return aborted
	case ok && host.txAlive:
		return otherFault
	case errors.Is(err, errCommit):
		return unavailable
	case errors.Is(err, errVanished), errors.Is(err, errDeadRecord):
		return aborted
	}

	walk(err, func(err error) bool {
		switch d {
		case Postgres:
			f = postgresFault(err)
		case MySQL:
			f = mysqlFault(err)
		case SQLite:
			f = sqliteFault(err)
		}
		return f == otherFault
	})
	switch {
	case f != otherFault:
		return f
	case errors.Is(err, driver.ErrBadConn):
		return badConn
	case lost(err):
		return unavailable
	}
	return otherFault
}

// walk visits the tree of err until visit is false.
func walk(err error, visit func(error) bool) bool {
	if err == nil {
		return true
	}
	if !visit(err) {
		return false
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if !walk(inner, visit) {
				return false
			}
		}
	}
	return true
}

func lost(err error) bool {
	// Not net.Error: a busy SQLite and a done context have its methods too.
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return true
	case errors.As(err, &op), errors.As(err, &dns):
		return true
	}
	// pgx found the connection dead before it sent the statement.
	var unsent interface{ SafeToRetry() bool }
	if errors.As(err, &unsent) && unsent.SafeToRetry() {
		return true
	}
	// Two that have neither type nor number: go-sql-driver's ErrInvalidConn
	// (lost in the middle of a statement) and database/sql after Close.
	return !walk(err, func(err error) bool {
		s := err.Error()
		return s != "invalid connection" && s != "sql: database is closed"
	})
}

// postgresFault: pgx and lib/pq have the method SQLState. The codes are those of
// the PostgreSQL documentation, appendix A.
func postgresFault(err error) fault {
	e, ok := err.(interface{ SQLState() string })
	if !ok {
		return otherFault
	}
	switch s := e.SQLState(); {
	case s == "23505":
		return duplicate
	case s == "40001", s == "40P01":
		return aborted
	case s == "53300", s == "55P03": // connections, lock_timeout
		return refused
	case strings.HasPrefix(s, "08"), strings.HasPrefix(s, "57P0"),
		strings.HasPrefix(s, "53"), strings.HasPrefix(s, "58"), // no disk space, no memory; errors of the system
		s == "25006",                             // a standby, after a failover
		s == "57014", s == "25P03", s == "25P04", // timeouts of a statement, an idle transaction, a transaction
		s == "40003": // it doesn't know the outcome
		return unavailable
	case s == "42P07", s == "42701", s == "42710":
		return exists
	case s == "42P01", s == "42703":
		return missing
	}
	return otherFault
}

// mysqlFault: go-sql-driver's error has a field Number. The numbers are those of
// the MySQL Server Error Message Reference and of MariaDB's Error Codes.
func mysqlFault(err error) fault {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() != reflect.Struct {
		return otherFault
	}
	n := v.FieldByName("Number")
	if !n.IsValid() || !n.CanUint() {
		return otherFault
	}
	switch n.Uint() {
	case 1062, 1586:
		return duplicate
	case 1205, 1213,
		1020, // innodb_snapshot_isolation of MariaDB 11.6
		3101: // certification in a MySQL group
		return aborted
	case 1040, 1203, // connections: of all, of a user
		1317, // the statement was interrupted
		3572: // NOWAIT
		return refused
	case 1226, // of a user per hour
		1047, 1053, 1927, 2006, 2013, 3169, 4031, // outside of the quorum, shut down, killed, gone
		1158, 1159, 1160, 1161, // the network
		1290, 1792, 1836, // read-only: the server, the session, after a failover
		1969, 3024, // out of time
		3, 20, 28, 1021, 1026, 1030, 1114, // no space on the disk, or an error of it
		5, 1037, 1038, 1041, 1206, // no memory
		1180, 3100: // COMMIT failed
		return unavailable
	case 1050, 1060, 1061:
		return exists
	case 1054, 1146:
		return missing
	case 1064, 1235:
		return unsupported
	}
	return otherFault
}

// sqliteFault: modernc has Code() int, mattn a field ExtendedCode, ncruces a
// method ExtendedCode() of a type of its own, or is that type. The codes are those
// of https://sqlite.org/rescode.html.
func sqliteFault(err error) fault {
	code, ok := sqliteCode(err)
	if !ok {
		return otherFault
	}
	switch code {
	case 2067, 1555: // CONSTRAINT_UNIQUE, CONSTRAINT_PRIMARYKEY
		return duplicate
	case 262: // LOCKED_SHAREDCACHE
		return aborted
	}
	switch code & 0xff {
	case 5: // BUSY, BUSY_SNAPSHOT (517), BUSY_RECOVERY
		return aborted
	case 7, 8, 9, 10, 13, 14, 15: // NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL
		return unavailable
	case 1: // ERROR: of the statement
		return missing
	}
	return otherFault
}

func sqliteCode(err error) (code uint64, ok bool) {
	if e, ok := err.(interface{ Code() int }); ok {
		return uint64(e.Code()), true
	}
	v := reflect.ValueOf(err)
	if m := v.MethodByName("ExtendedCode"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
		return uintOf(m.Call(nil)[0])
	}
	if k := v.Kind(); k == reflect.Uint8 || k == reflect.Uint16 { // ncruces again: the bare code
		return v.Uint(), true
	}
	if v = reflect.Indirect(v); v.Kind() == reflect.Struct {
		extended, ok := uintOf(v.FieldByName("ExtendedCode"))
		if ok && extended == 0 { // mattn leaves it 0 where there is no more to say
			return uintOf(v.FieldByName("Code"))
		}
		return extended, ok
	}
	return 0, false
}

func uintOf(v reflect.Value) (uint64, bool) {
	switch {
	case v.IsValid() && v.CanUint():
		return v.Uint(), true
	case v.IsValid() && v.CanInt():
		return uint64(v.Int()), true
	}
	return 0, false
}

// isAnswer reports whether err is an answer of the contract: it is valid even if
// the context is done in the meantime.
func isAnswer(err error) bool {
	for _, class := range []error{
		users.ErrConflict, users.ErrNotFound, users.ErrUnknownApplication, users.ErrIdempotencyKeyUsed,
		users.ErrStale, users.ErrUnknownRole, users.ErrBadToken, ErrSchema,
	} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// translate turns an error of a driver into one that callers of the store know.
func (b *backend) translate(ctx context.Context, err error) error {
	switch f := b.classify(err); {
	case err == nil || isAnswer(err):
		return err
	case ctxErr(ctx) != nil:
		// Asked first: some drivers report a canceled query by a number of their own.
		return fmt.Errorf("sqlstore: %w: %w", ctxErr(ctx), err)
	case f == aborted && b.tx != nil:
		return fmt.Errorf("sqlstore: %w: %w", users.ErrRetryTx, err)
	case f == aborted, f == refused, f == badConn, f == unavailable:
		return fmt.Errorf("sqlstore: %w: %w", users.ErrUnavailable, err)
	}
	return fmt.Errorf("sqlstore: %w", err)
}

// ctxErr is ctx.Err, and true to the deadline: a socket that has the same one
// can report it before the context's timer does.
func ctxErr(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}
