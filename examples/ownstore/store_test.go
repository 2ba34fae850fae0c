package ownstore_test

import (
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/examples/ownstore"
	"github.com/gousers/users/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) users.Store { return ownstore.New() })
}
