package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEveryRuleHasAPage wants a page for every rule that the parser, the builder
// and the rules here can report, and no page of a rule that nothing reports. The
// names are read from the sources.
func TestEveryRuleHasAPage(t *testing.T) {
	names := map[string]token.Position{}
	for _, dir := range []string{"..", "../syntax", "."} {
		sourceRules(t, dir, names)
	}
	if len(names) < 100 {
		t.Fatalf("only %d rules found: the search is broken", len(names))
	}
	for name, at := range names {
		if p := Explain(name); p == nil {
			t.Errorf("no page for %s, reported at %s", name, at)
		}
	}
	for p := range Pages() {
		if _, ok := names[p.Rule]; !ok {
			t.Errorf("page %s explains %s, which nothing reports", p.ID, p.Rule)
		}
	}
}

// source is a package whose rule names are searched.
type source struct {
	t     *testing.T
	fset  *token.FileSet
	names map[string]token.Position
	// params says for each function with a parameter that is called rule where
	// it stands.
	params map[string]int
}

// sourceRules collects the rule names of the package in dir: the literals that
// are passed as a parameter called rule, assigned to a variable or field called
// rule, or stand first in a table of rules.
func sourceRules(t *testing.T, dir string, names map[string]token.Position) {
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no sources: %v", dir, err)
	}
	s := &source{t: t, fset: token.NewFileSet(), names: names, params: map[string]int{}}
	var parsed []*ast.File
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(s.fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	for _, f := range parsed {
		ast.Inspect(f, s.functions)
	}
	for _, f := range parsed {
		ast.Inspect(f, s.uses)
	}
}

// functions notes which functions, methods and closures take a rule's name.
func (s *source) functions(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		s.function(n.Name, n.Type)
	case *ast.AssignStmt:
		for i, right := range n.Rhs {
			if f, ok := right.(*ast.FuncLit); ok {
				s.function(n.Lhs[i].(*ast.Ident), f.Type)
			}
		}
	}
	return true
}

func (s *source) function(name *ast.Ident, f *ast.FuncType) {
	i := 0
	for _, p := range f.Params.List {
		for _, n := range p.Names {
			if n.Name == "rule" {
				if old, ok := s.params[name.Name]; ok && old != i {
					s.t.Errorf("%s: two functions %s take the rule at different places; give one another name", s.fset.Position(name.Pos()), name.Name)
				}
				s.params[name.Name] = i
			}
			i++
		}
	}
}

func (s *source) uses(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		if i, ok := s.params[called(n)]; ok && i < len(n.Args) {
			s.name(n.Args[i])
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if isRule(left) && i < len(n.Rhs) {
				s.name(n.Rhs[i])
			}
		}
	case *ast.KeyValueExpr:
		if isRule(n.Key) {
			s.name(n.Value)
		}
	case *ast.CompositeLit:
		s.table(n)
	}
	return true
}

// table reads []rule{{"name", …}, …}.
func (s *source) table(n *ast.CompositeLit) {
	list, ok := n.Type.(*ast.ArrayType)
	if !ok {
		return
	}
	elem, ok := list.Elt.(*ast.Ident)
	if !ok || !strings.HasSuffix(strings.ToLower(elem.Name), "rule") {
		return
	}
	for _, e := range n.Elts {
		row, ok := e.(*ast.CompositeLit)
		if !ok || len(row.Elts) == 0 {
			continue
		}
		first := row.Elts[0]
		if kv, ok := first.(*ast.KeyValueExpr); ok {
			first = kv.Value
		}
		s.name(first)
	}
}

// name notes a rule's name. What is no literal must be a variable or field that
// is called rule too, so that its literals are seen elsewhere.
func (s *source) name(e ast.Expr) {
	at := s.fset.Position(e.Pos())
	switch e := e.(type) {
	case *ast.BasicLit:
		name, err := strconv.Unquote(e.Value)
		if err != nil || name == "" {
			s.t.Errorf("%s: %s is no rule's name", at, e.Value)
		}
		s.names[name] = at
	case *ast.Ident, *ast.SelectorExpr:
		if !isRule(e) {
			s.t.Errorf("%s: the rule's name is not seen in the source: call the variable rule", at)
		}
	default:
		s.t.Errorf("%s: the rule's name is not seen in the source", at)
	}
}

// isRule reports whether e is a variable or field called rule, or the name of
// one.
func isRule(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return strings.EqualFold(e.Name, "rule")
	case *ast.SelectorExpr:
		return strings.EqualFold(e.Sel.Name, "rule") || e.Sel.Name == "name"
	}
	return false
}

func called(n *ast.CallExpr) string {
	switch f := n.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
