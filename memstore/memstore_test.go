package memstore_test

import (
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/storetest"
)

func TestMemstoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) users.Store { return memstore.New() })
}
