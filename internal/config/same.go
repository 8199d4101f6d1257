package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Same compares two configurations but for where things are written: positions
// and the names of files do not count, an empty list is as good as none. It
// returns "" when they mean the same, else where the first difference is, as
// "Instances[0] VI_1: Priority". Values are not shown: one may be a secret.
// Settings of the keywords named in without do not count either.
func Same(a, b *Config, without ...string) (difference string) {
	s := sameness{seen: map[[2]uintptr]bool{}, without: without}
	return s.compare("", reflect.ValueOf(a), reflect.ValueOf(b))
}

// sameness is one comparison. seen holds the pairs of pointers that are being
// compared, so that a structure that leads back to itself ends.
type sameness struct {
	seen    map[[2]uintptr]bool
	without []string
}

// positions are the types that say where something is written.
var positions = map[reflect.Type]bool{
	reflect.TypeFor[finding.Place](): true,
	reflect.TypeFor[syntax.Pos]():    true,
}

// isPosition reports whether a type is a position, or a collection of them.
func isPosition(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return positions[t]
}

func (s sameness) compare(path string, a, b reflect.Value) string {
	if isPosition(a.Type()) {
		return ""
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		return s.elem(path, a, b)
	case reflect.Struct:
		return s.fields(path, a, b)
	case reflect.Slice, reflect.Array:
		return s.list(path, a, b)
	case reflect.Map:
		return s.entries(path, a, b)
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return "" // nothing that is asked for
	default:
		if !a.Equal(b) {
			return path
		}
		return ""
	}
}

func (s sameness) elem(path string, a, b reflect.Value) string {
	if a.IsNil() || b.IsNil() {
		if a.IsNil() != b.IsNil() {
			return path
		}
		return ""
	}
	if a.Kind() == reflect.Pointer {
		pair := [2]uintptr{a.Pointer(), b.Pointer()}
		if s.seen[pair] {
			return ""
		}
		s.seen[pair] = true
	} else if a.Elem().Type() != b.Elem().Type() {
		return path
	}
	return s.compare(path, a.Elem(), b.Elem())
}

func (s sameness) fields(path string, a, b reflect.Value) string {
	t := a.Type()
	if closed(t) {
		if !a.Equal(b) {
			return path
		}
		return ""
	}
	if name := nameOf(a); name != "" && path != "" {
		path += " " + name
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if t == reflect.TypeFor[Config]() && f.Name == "Files" || slices.Contains(s.without, f.Tag.Get("kw")) {
			continue
		}
		p := f.Name
		switch {
		case f.Anonymous:
			p = path
		case path != "":
			p = path + ": " + f.Name
		}
		if d := s.compare(p, a.Field(i), b.Field(i)); d != "" {
			return d
		}
	}
	return ""
}

// closed reports whether a struct's value is its package's business: an
// address, a time.
func closed(t reflect.Type) bool {
	for f := range t.Fields() {
		if f.IsExported() {
			return false
		}
	}
	return t.NumField() > 0 && t.Comparable()
}

// nameOf returns what the user calls a block.
func nameOf(v reflect.Value) string {
	if f := v.FieldByName("Name"); f.IsValid() && f.Kind() == reflect.String {
		return f.String()
	}
	return ""
}

func (s sameness) list(path string, a, b reflect.Value) string {
	if a.Len() != b.Len() {
		return fmt.Sprintf("%s: %d and %d of them", path, a.Len(), b.Len())
	}
	for i := range a.Len() {
		if d := s.compare(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i)); d != "" {
			return d
		}
	}
	return ""
}

func (s sameness) entries(path string, a, b reflect.Value) string {
	if a.Len() != b.Len() {
		return fmt.Sprintf("%s: %d and %d of them", path, a.Len(), b.Len())
	}
	for _, k := range a.MapKeys() {
		p := fmt.Sprintf("%s[%v]", path, k)
		v := b.MapIndex(k)
		if !v.IsValid() {
			return p
		}
		if d := s.compare(p, a.MapIndex(k), v); d != "" {
			return d
		}
	}
	return ""
}
