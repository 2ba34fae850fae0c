package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"
)

const sample = `package sample

type base struct {
	Lent   int
	secret int
}

func (base) Value()    {}
func (*base) Pointer() {}
func (base) hidden()   {}

// Store embeds.
type Store struct {
	*base // by pointer
	Name string ` + "`json:\"name\"`" + `
	own  int
}

// Plain has nothing to hide.
type Plain struct{ A, B int }

func (p Plain) Sum() int { return p.A + p.B }

type closer interface{ Close() error }

type Sealed interface {
	closer
	Open(name string) (ok bool)
	sealed()
}

type Pair[K comparable, V any] struct {
	Key   K
	Value V
}

func (p *Pair[K, V]) Swap(other Pair[K, V]) {}

type Number interface{ ~int | ~float64 }
type Kind string
type Same = Kind
type Empty struct{}

const (
	KindA Kind = "a"
	limit      = 3
	Limit      = 2 * limit
)

var (
	ErrX error
	errY error
)

func Max[T Number](a, b T) T { return a }
func helper()                {}
`

const want = `package sample // import "example.com/sample"

const KindA Kind = "a"
const Limit untyped int = 6

var ErrX error

func Max[T Number](a T, b T) T

type Empty struct{}

type Kind string

type Number interface{~int | ~float64}

type Pair[K comparable, V any] struct {
	Key K
	Value V
}
func (*Pair) Swap(other Pair[K, V])

type Plain struct {
	A int
	B int
}
func (Plain) Sum() int

type Same = Kind

type Sealed interface {
	Close() error
	Open(name string) (ok bool)
	// unexported methods
}

type Store struct {
	Lent int
	Name string ` + "`json:\"name\"`" + `
	// unexported fields
}
func (Store) Pointer()
func (Store) Value()
`

func TestDumpTellsAllThatOtherPackagesCanUse(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "sample.go", sample, 0)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := new(types.Config).Check("example.com/sample", fset, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := dump(pkg); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
