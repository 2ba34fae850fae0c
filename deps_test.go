package users_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/gousers/users"

// dependencies are the modules that the root module may require directly, and
// the files or directories (with a slash at the end) that may import them.
var dependencies = map[string][]string{
	"github.com/go-playground/validator/v10": {"validate.go"},
	"github.com/oklog/ulid/v2":               {"id.go"},
	"golang.org/x/crypto":                    {"password/"},
	"golang.org/x/net":                       {"normalize.go"},
	"golang.org/x/text":                      {"normalize.go", "password/"},
	"github.com/go-json-experiment/json":     {"validate.go", "httpapi/"},
}

// arrows are the packages of the root module and what they may import of it.
var arrows = map[string][]string{
	".":                {"password"},
	"password":         {},
	"internal/migrate": {},
	"memstore":         {".", "password"},
	"sqlstore":         {".", "password", "internal/migrate"},
	"httpapi":          {".", "password"},
	"outbox":           {".", "password"},
	"storetest":        {".", "password"},

	"internal/leaktest":  {"password"},
	"internal/storefake": {"."},
	"internal/worktime":  {},
	"tools/apidump":      {},
}

// homes are parts of the standard library that belong to certain packages.
var homes = map[string][]string{
	"net/http":     {"httpapi"},
	"database/sql": {"sqlstore", "internal/migrate", "storetest"},
	"testing":      {"storetest"},
	"unsafe":       {"internal/worktime"}, // for a call of the system, in tests alone
	"C":            {},
}

// source is one Go file of the root module.
type source struct {
	path, dir string // with slashes, from the root; dir of the root is "."
	test      bool
	syntax    *ast.File
}

func (s source) imports() []string {
	var all []string
	for _, spec := range s.syntax.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		all = append(all, p)
	}
	return all
}

// own returns the directory of a package of this module, and whether it is one.
func own(importPath string) (dir string, ok bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// rootSources parses every Go file of the root module; nested modules keep their own rules.
func rootSources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		slashed := filepath.ToSlash(name)
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(name, "go.mod"))
			if name != "." && (nested == nil || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(slashed) != ".go" {
			return nil
		}
		syntax, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{slashed, path.Dir(slashed), strings.HasSuffix(slashed, "_test.go"), syntax})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d Go files were found: the test runs in the wrong place", len(all))
	}
	return all
}

// TestRootModuleRequiresOnlyWhatTheDesignNames keeps a host's build small: each
// dependency here is one that every host takes over.
func TestRootModuleRequiresOnlyWhatTheDesignNames(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var direct []string
	block := ""
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == ")":
			block = ""
		case len(fields) == 2 && fields[1] == "(":
			block = fields[0]
		default:
			verb := block
			if verb == "" {
				verb, fields = fields[0], fields[1:]
			}
			if verb == "require" && !strings.Contains(line, "// indirect") {
				direct = append(direct, fields[0])
			}
			if verb == "replace" || verb == "exclude" {
				t.Errorf("go.mod has %q: it does not count for hosts, so they would build something else than what is tested", strings.TrimSpace(line))
			}
		}
	}
	for _, m := range direct {
		if dependencies[m] == nil {
			t.Errorf("go.mod requires %s: every host would have to take it over; put what needs it into a module of its own", m)
		}
	}
	for m := range dependencies {
		if !slices.Contains(direct, m) {
			t.Errorf("go.mod does not require %s directly, which this test says the module is built on", m)
		}
	}
}

// TestEachDependencyHasOneHome keeps a library replaceable: what is imported in
// one place can be changed in one place.
func TestEachDependencyHasOneHome(t *testing.T) {
	t.Parallel()
	for _, f := range rootSources(t) {
		if f.test {
			continue
		}
		for _, imp := range f.imports() {
			if _, ours := own(imp); ours || isStandard(imp) {
				continue
			}
			homes, found := []string(nil), false
			for module, h := range dependencies {
				if imp == module || strings.HasPrefix(imp, module+"/") {
					homes, found = h, true
				}
			}
			switch {
			case !found:
				t.Errorf("%s imports %s, which is no dependency of the root module", f.path, imp)
			case !slices.ContainsFunc(homes, func(h string) bool { return f.path == h || strings.HasSuffix(h, "/") && strings.HasPrefix(f.path, h) }):
				t.Errorf("%s imports %s, whose home is %v: all of it is there, so that it can be replaced there", f.path, imp, homes)
			}
			if strings.HasPrefix(imp, "golang.org/x/net/") && imp != "golang.org/x/net/idna" {
				t.Errorf("%s imports %s: of x/net only idna is used", f.path, imp)
			}
		}
	}
}

// TestImportsPointAtTheRoot keeps policy in one place: packages depend on the
// root, the root on none but the leaf, and none on its sibling. What is internal
// knows of none of them.
func TestImportsPointAtTheRoot(t *testing.T) {
	t.Parallel()
	for _, f := range rootSources(t) {
		allowed, known := arrows[f.dir]
		if !known && !f.test {
			t.Errorf("%s: the package %s is not in the table of this test; say there what it may import", f.path, f.dir)
		}
		if f.test || !known {
			continue
		}
		for _, imp := range f.imports() {
			if dir, ours := own(imp); ours && !slices.Contains(allowed, dir) {
				t.Errorf("%s imports %s; %s may import %v: everything points at the root, and the root at password alone", f.path, imp, f.dir, allowed)
			}
			if home, limited := homes[imp]; limited && !slices.Contains(home, f.dir) {
				t.Errorf("%s imports %s, which belongs to %v: the rest stays free of it", f.path, imp, home)
			}
		}
	}
}

// TestTestsNeedNothingButTheStandardLibrary keeps the root go.mod free of
// libraries that only tests use: a host would see them there.
func TestTestsNeedNothingButTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, f := range rootSources(t) {
		if !f.test {
			continue
		}
		for _, imp := range f.imports() {
			if _, ours := own(imp); !ours && !isStandard(imp) {
				t.Errorf("%s imports %s: tests of the root module use the standard library alone", f.path, imp)
			}
		}
	}
}

// TestPackagesHaveNoState keeps two services in one process apart, and tests
// parallel: nothing is registered at start-up and nothing global changes.
func TestPackagesHaveNoState(t *testing.T) {
	t.Parallel()
	globals := make(map[string]map[string]bool) // by directory
	sources := slices.DeleteFunc(rootSources(t), func(f source) bool { return f.test })
	for _, f := range sources {
		if globals[f.dir] == nil {
			globals[f.dir] = make(map[string]bool)
		}
		for _, decl := range f.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s has a func init: importing a package must do nothing", f.path)
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					v := spec.(*ast.ValueSpec)
					for _, name := range v.Names {
						if name.Name != "_" {
							globals[f.dir][name.Name] = true
						}
					}
					if sel := mutableType(v); sel != "" {
						t.Errorf("%s: the package variable %s holds a %s, which is made to change", f.path, v.Names[0], sel)
					}
				}
			}
		}
	}
	for _, f := range sources {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			var targets []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					targets = n.Lhs
				}
			case *ast.IncDecStmt:
				targets = []ast.Expr{n.X}
			}
			for _, e := range targets {
				if name := rootIdent(e); globals[f.dir][name] {
					t.Errorf("%s assigns to %s, a package variable of %s (or to a local one that hides it: rename that)", f.path, name, f.dir)
				}
			}
			return true
		})
	}
}

// mutableType names the type of a package variable if it is of package sync or sync/atomic.
func mutableType(v *ast.ValueSpec) (name string) {
	for _, e := range append([]ast.Expr{v.Type}, v.Values...) {
		if e == nil {
			continue
		}
		ast.Inspect(e, func(n ast.Node) bool {
			if _, isFunc := n.(*ast.FuncLit); isFunc {
				return false
			}
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && (pkg.Name == "sync" && !strings.HasPrefix(sel.Sel.Name, "OnceValue") || pkg.Name == "atomic") {
					name = pkg.Name + "." + sel.Sel.Name
				}
			}
			return true
		})
	}
	return name
}

// rootIdent is x in x, x.f, x[i], *x and any mixture of these.
func rootIdent(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}

// TestNestedModulesBuildOnThisTree keeps the nested modules at the code they
// are tested with, and their go directive at the root's.
func TestNestedModulesBuildOnThisTree(t *testing.T) {
	t.Parallel()
	want := goDirective(t, "go.mod")
	found := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if d.Name() != "go.mod" || name == "go.mod" {
			return nil
		}
		found++
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if got := goDirective(t, name); got != want {
			t.Errorf("%s: got go %s, want go %s as in the root", name, got, want)
		}
		rel, err := filepath.Rel(filepath.Dir(name), ".")
		if err != nil {
			return err
		}
		if line := "replace " + modulePath + " => " + filepath.ToSlash(rel); !slices.Contains(strings.Split(string(text), "\n"), line) {
			t.Errorf("%s: no line %q, without which it is tested against another state than this tree's", name, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("no nested module was found: the test runs in the wrong place")
	}
}

func goDirective(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "go "); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("%s has no go directive", file)
	return ""
}
