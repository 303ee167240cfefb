package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/moss-sandbox/moss/tests/harness"
)

const module = "github.com/moss-sandbox/moss"

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// sourceFile is one parsed Go file of the repository.
type sourceFile struct {
	path   string // from the repository's top
	folder string
	test   bool
	ast    *ast.File
	set    *token.FileSet
}

func (f sourceFile) imports() []string {
	var paths []string
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

func (f sourceFile) at(pos token.Pos) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(pos).Line)
}

// sources parses every Go file of the repository, under any build tag.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	root, set := top(t), token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || p != root && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(set, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		files = append(files, sourceFile{rel, path.Dir(rel), strings.HasSuffix(p, "_test.go"), parsed, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func top(t testing.TB) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// A newcomer reads doc.go first: it says what the package holds, what it refuses, and which process it runs in.
func TestEveryPackageHasADocumentation(t *testing.T) {
	documented, packages := map[string]bool{}, map[string]bool{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		packages[f.folder] = true
		if doc := f.ast.Doc; doc != nil && len(doc.Text()) > 80 && (path.Base(f.path) == "doc.go" || f.path == "main.go") {
			documented[f.folder] = true
		}
	}
	for folder := range packages {
		if !documented[folder] {
			t.Errorf("%s: no doc.go with a package comment", folder)
		}
	}
}

// A package is one noun. These names are drawers.
func TestNoPackageIsADrawer(t *testing.T) {
	drawers := regexp.MustCompile(`^(util|utils|common|helper|helpers|misc|base|shared)$`)
	for _, f := range sources(t) {
		if drawers.MatchString(f.ast.Name.Name) {
			t.Errorf("%s: package %s says nothing about what it holds", f.path, f.ast.Name.Name)
		}
	}
}

// Start-up time is paid by every command and every re-executed role, so nothing happens before main but what must.
func TestNoInit(t *testing.T) {
	allowed := map[string]string{ // folder: reason
		"userns/spawn/portable/early": "a re-executed binary runs its list before package os raises limits and opens descriptors",
		"internal/prefault":           "most of the heap that it lays into a huge page is taken by other packages' initialisation and by main",
	}
	for _, f := range sources(t) {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && fn.Recv == nil && fn.Name.Name == "init" && allowed[f.folder] == "" {
				t.Errorf("%s: init()", f.at(fn.Pos()))
			}
		}
	}
}

// Only main ends the process: elsewhere an exit skips what others have deferred.
func TestOnlyMainExits(t *testing.T) {
	for _, f := range sources(t) {
		if f.ast.Name.Name == "main" || f.test || strings.HasSuffix(f.folder, "test") { // suites that run as a TestMain
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isName(s.X, "os") && s.Sel.Name == "Exit" {
				t.Errorf("%s: os.Exit outside main", f.at(s.Pos()))
			}
			return true
		})
	}
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// Libraries do not log and do not print: what the user reads comes from the command line's writer, which quotes foreign text.
func TestLibrariesAreSilent(t *testing.T) {
	prints := regexp.MustCompile(`^(Print|Printf|Println)$`)
	for _, f := range sources(t) {
		if f.ast.Name.Name == "main" || f.test || within(f.folder, "tests") || strings.HasSuffix(f.folder, "test") { // conformance suites print
			continue
		}
		for _, p := range f.imports() {
			if p == "log" {
				t.Errorf("%s imports log", f.path)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isName(s.X, "fmt") && prints.MatchString(s.Sel.Name) {
				t.Errorf("%s: fmt.%s", f.at(s.Pos()), s.Sel.Name)
			}
			return true
		})
	}
}

// A promise without an issue is forgotten.
func TestEveryTODOHasAnIssue(t *testing.T) {
	promise := regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	withIssue := regexp.MustCompile(`\b(TODO|FIXME|XXX)\(#\d+\)`)
	for _, f := range sources(t) {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				if promise.MatchString(c.Text) && !withIssue.MatchString(c.Text) && f.folder != "tests/rules" {
					t.Errorf("%s: %s", f.at(c.Pos()), c.Text)
				}
			}
		}
	}
}
