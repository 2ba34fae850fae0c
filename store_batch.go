package users

import "context"

// MaxBatch is how many users [BatchStore.CreateUsers] takes at most.
const MaxBatch = 1000

// BatchStore is the capability of a [Store] to create many users in one transaction. A
// wrapper that watches CreateUser watches this too, or an import passes it by.
type BatchStore interface {
	// CreateUsers creates those of ns that can be created, in one transaction, and returns
	// what became of each, in the order of ns: nil if it is stored as CreateUser stores it;
	// a *ConflictError that names every member in conflict if a user that was there, or an
	// earlier one of ns that is stored, has a key of it; ErrNotFound if a role of it does
	// not exist. One that can't be created leaves nothing and harms no other. A conflict
	// with the row of an earlier attempt of the Store's own (same ID) is success.
	//
	// An error beside them is of all: nothing was stored if the Store knows that the
	// transaction was rolled back, as with CreateUser. An application that does not exist
	// is ErrUnknownApplication. A Store that keeps no outbox returns ErrUnsupported for
	// ns with Notifications.
	//
	// ns are of one application, at most MaxBatch, and none has an Idempotency record or
	// OnCreate. It never changes them.
	CreateUsers(ctx context.Context, ns []*NewUser) (outcomes []error, err error)
}
