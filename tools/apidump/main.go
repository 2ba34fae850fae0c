// Command apidump writes the exported API of the packages of modules, one file
// for each package: the declarations alone, so that a change of the API is seen
// in review and a change of its comments is not.
//
//	go run ./tools/apidump OUT MODULE...
//
// Commands and internal packages are left out. The types come from the
// compiler's export data, the text from this program.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: apidump OUT MODULE...")
	}
	for _, module := range os.Args[2:] {
		if err := dumpModule(os.Args[1], module); err != nil {
			log.Fatalf("apidump: %s: %v", module, err)
		}
	}
}

// listed is a package as go list describes it.
type listed struct {
	ImportPath, Name, Export string
	DepOnly                  bool
}

func (p listed) isPublished() bool {
	return !p.DepOnly && p.Name != "main" && !slices.Contains(strings.Split(p.ImportPath, "/"), "internal")
}

func dumpModule(out, module string) error {
	packages, err := list(module)
	if err != nil {
		return err
	}
	exports := make(map[string]string)
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })

	for _, p := range packages {
		if !p.isPublished() {
			continue
		}
		pkg, err := imp.Import(p.ImportPath)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, p.Name+".txt"), []byte(dump(pkg)), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// list returns the module's packages and all that they import.
func list(module string) ([]listed, error) {
	cmd := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Name,Export,DepOnly", "./...")
	cmd.Dir, cmd.Stderr = module, os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// dump returns the exported declarations of pkg: constants, variables,
// functions, and each type with its methods.
func dump(pkg *types.Package) string {
	d := dumper{pkg: pkg}
	var constants, variables, functions, named []string
	for _, name := range pkg.Scope().Names() { // sorted
		obj := pkg.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch obj := obj.(type) {
		case *types.Const:
			constants = append(constants, fmt.Sprintf("const %s %s = %s\n", name, d.text(obj.Type()), obj.Val().ExactString()))
		case *types.Var:
			variables = append(variables, fmt.Sprintf("var %s %s\n", name, d.text(obj.Type())))
		case *types.Func:
			functions = append(functions, fmt.Sprintf("func %s%s\n", name, d.signature(obj.Type())))
		case *types.TypeName:
			named = append(named, "\n"+d.typeDecl(obj))
		}
	}

	var b strings.Builder
	fmt.Fprintf(&b, "package %s // import %q\n", pkg.Name(), pkg.Path())
	for _, group := range [][]string{constants, variables, functions} {
		if len(group) > 0 {
			b.WriteString("\n" + strings.Join(group, ""))
		}
	}
	b.WriteString(strings.Join(named, ""))
	return b.String()
}

// dumper writes what belongs to one package, and qualifies what does not.
type dumper struct{ pkg *types.Package }

func (d dumper) text(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == d.pkg {
			return ""
		}
		return p.Name()
	})
}

// signature returns a function's type without the word func.
func (d dumper) signature(t types.Type) string { return strings.TrimPrefix(d.text(t), "func") }

func (d dumper) typeDecl(obj *types.TypeName) string {
	if obj.IsAlias() {
		return fmt.Sprintf("type %s = %s\n", obj.Name(), d.text(types.Unalias(obj.Type())))
	}
	t := obj.Type()
	head := "type " + d.text(t) + " "
	switch u := t.Underlying().(type) {
	case *types.Struct:
		lines, others := d.fields(u)
		return head + body("struct", lines, others, "fields") + d.methods(t)
	case *types.Interface:
		if u.IsMethodSet() {
			lines, others := d.interfaceMethods(u)
			return head + body("interface", lines, others, "methods")
		}
		return head + d.text(u) + "\n"
	default:
		return head + d.text(u) + "\n" + d.methods(t)
	}
}

// body writes the lines in braces, and that there are others of the kind.
func body(keyword string, lines []string, others bool, kind string) string {
	if others {
		lines = append(lines, "// unexported "+kind)
	}
	if len(lines) == 0 {
		return keyword + "{}\n"
	}
	return keyword + " {\n\t" + strings.Join(lines, "\n\t") + "\n}\n"
}

// fields returns the fields that other packages can use, in the order of the
// source, with those that an unexported embedded struct lends. others reports
// whether there are more, which forbid unkeyed literals.
func (d dumper) fields(s *types.Struct) (lines []string, others bool) {
	for i := range s.NumFields() {
		f := s.Field(i)
		switch {
		case f.Exported() && f.Embedded():
			lines = append(lines, d.text(f.Type())+d.tag(s, i))
		case f.Exported():
			lines = append(lines, f.Name()+" "+d.text(f.Type())+d.tag(s, i))
		default:
			others = true
			if inner, ok := embedded(f); ok {
				lent, _ := d.fields(inner)
				lines = append(lines, lent...)
			}
		}
	}
	return lines, others
}

func (dumper) tag(s *types.Struct, i int) string {
	if s.Tag(i) == "" {
		return ""
	}
	return " `" + s.Tag(i) + "`"
}

// embedded returns the struct that f embeds, by value or by pointer.
func embedded(f *types.Var) (*types.Struct, bool) {
	if !f.Embedded() {
		return nil, false
	}
	t := f.Type().Underlying()
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem().Underlying()
	}
	s, ok := t.(*types.Struct)
	return s, ok
}

// interfaceMethods returns the methods that other packages can call, those of
// embedded interfaces too. others reports whether there are more, which forbid
// implementations elsewhere.
func (d dumper) interfaceMethods(i *types.Interface) (lines []string, others bool) {
	for m := range i.Methods() {
		if m.Exported() {
			lines = append(lines, m.Name()+d.signature(m.Type()))
		} else {
			others = true
		}
	}
	slices.Sort(lines)
	return lines, others
}

// methods returns the exported methods of t, promoted ones too.
func (d dumper) methods(t types.Type) string {
	var lines []string
	values := types.NewMethodSet(t)
	for m := range types.NewMethodSet(types.NewPointer(t)).Methods() {
		if !m.Obj().Exported() {
			continue
		}
		receiver := "*"
		if values.Lookup(m.Obj().Pkg(), m.Obj().Name()) != nil {
			receiver = ""
		}
		name, _, _ := strings.Cut(d.text(t), "[")
		lines = append(lines, fmt.Sprintf("func (%s%s) %s%s\n", receiver, name, m.Obj().Name(), d.signature(m.Type())))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
