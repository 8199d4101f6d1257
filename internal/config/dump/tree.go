package dump

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// Options say what a dump shows.
type Options struct {
	// Origin adds to each setting where its value comes from.
	Origin bool
	// ShowSecrets prints passwords and keys; stars stand for them otherwise.
	ShowSecrets bool
}

// Tree returns the whole configuration as settings. It must have been loaded
// with config.Options.Origins.
func Tree(c *config.Config, o Options) *Node {
	p := &printer{cfg: c, opt: o}
	root := &Node{Block: true}
	p.settings(root, "", config.Where{}, reflect.ValueOf(&c.Process))
	p.block(root, "global_defs", nil, c.Global.Where, &c.Global)
	p.kaname(root)
	p.shared(root)
	p.tracked(root)
	p.statics(root)
	for _, in := range c.Instances {
		p.instance(root, in)
	}
	for _, g := range c.SyncGroups {
		p.block(root, "vrrp_sync_group", []string{word(g.Name)}, g.Where, g)
	}
	p.servers(root)
	return root
}

type printer struct {
	cfg   *config.Config
	opt   Options
	empty *config.Config // what an empty file gives, once it is needed
	// around are the blocks that the settings being printed stand in, outermost
	// first.
	around []scope
}

// scope is a block: its keyword and where it begins.
type scope struct {
	keyword string
	at      config.Where
}

// block prints a block of keywords from the struct behind v.
func (p *printer) block(n *Node, kw string, words []string, at config.Where, v any) *Node {
	c := n.add(&Node{Keyword: kw, Words: words, Block: true})
	if p.opt.Origin {
		c.Note = cmp.Or(place(at), "not in the file")
	}
	p.around = append(p.around, scope{kw, at})
	p.settings(c, p.path(), at, reflect.ValueOf(v))
	p.around = p.around[:len(p.around)-1]
	return c
}

// path is that of the innermost block.
func (p *printer) path() string {
	var s []string
	for _, b := range p.around {
		s = append(s, b.keyword)
	}
	return strings.Join(s, "/")
}

// settings prints the tagged fields of a struct, and of the untagged structs in
// it, in their order.
func (p *printer) settings(n *Node, path string, at config.Where, ptr reflect.Value) {
	v := ptr.Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		kw := f.Tag.Get("kw")
		switch {
		case kw == "" && f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == v.Type().PkgPath() && f.Name != "Where":
			p.settings(n, path, at, v.Field(i).Addr())
		case kw == "":
		default:
			if k := config.Lookup(path, kw); k != nil {
				p.setting(n, k, at, ptr.Interface(), v.Field(i))
			}
		}
	}
}

// setting prints one field. parent is the struct that it stands in.
func (p *printer) setting(n *Node, k *config.Keyword, at config.Where, parent any, v reflect.Value) {
	if k.Shape != syntax.Plain {
		p.values(n, k, at, v)
		return
	}
	if in, isInstance := parent.(*config.Instance); isInstance && k.Name == "no_accept" && in.Strict && !in.NoAccept && in.Priority != 255 {
		k = config.Lookup("vrrp_instance", "accept") // which strict_mode is without otherwise
		v = reflect.ValueOf(true)
	}
	words, off, ok := p.special(k, parent, v)
	if !ok {
		words, off = p.words(k, v)
	}
	note := p.origin(k, at)
	off = off || note == "default" && strings.HasPrefix(k.Default, "per checker") // there they are
	if k.Standing == config.Never && note == "default" && p.untouched(k, v) {
		return // nobody asked for it, and it means nothing here
	}
	c := n.add(&Node{Keyword: k.Name, Words: words, Off: off, Flag: v.Kind() == reflect.Bool})
	if p.opt.Origin {
		c.Note = note
	}
	if off {
		c.Words = nil
		c.Note = strings.TrimPrefix(c.Note, "default")
	}
}

// untouched reports whether a value is what an empty file gives.
func (p *printer) untouched(k *config.Keyword, v reflect.Value) bool {
	if k.Block != "global_defs" {
		return v.IsZero()
	}
	if p.empty == nil {
		p.empty, _ = config.Build(&syntax.Tree{})
	}
	f, ok := tagged(reflect.ValueOf(&p.empty.Global).Elem(), k.Name)
	return ok && reflect.DeepEqual(f.Interface(), v.Interface())
}

// tagged finds the field of a keyword in a struct and the structs in it.
func tagged(s reflect.Value, kw string) (reflect.Value, bool) {
	for i := range s.NumField() {
		f := s.Type().Field(i)
		if f.Tag.Get("kw") == kw {
			return s.Field(i), true
		}
		if f.Type.Kind() == reflect.Struct && f.Tag.Get("kw") == "" {
			if v, ok := tagged(s.Field(i), kw); ok {
				return v, true
			}
		}
	}
	return reflect.Value{}, false
}

// origin says where the value of a keyword in the block at comes from.
func (p *printer) origin(k *config.Keyword, at config.Where) string {
	names := append([]string{k.Name, k.Same}, oldNames()[k.Path()]...)
	if w := p.written(at, names); w != "" {
		return w
	}
	for i := len(p.around) - 2; i >= 0; i-- {
		if w := p.written(p.around[i].at, inherited(names)); w != "" {
			return fmt.Sprintf("from %s, %s", p.around[i].keyword, w)
		}
	}
	for _, f := range strings.FieldsFunc(k.Default, func(r rune) bool { return r == ' ' || r == ',' }) {
		if config.Lookup("global_defs", f) != nil {
			if w := p.written(p.cfg.Global.Where, []string{f}); w != "" {
				return fmt.Sprintf("from %s, %s", f, w)
			}
		}
	}
	return "default"
}

// oldNames are the other spellings of a keyword, by its path.
var oldNames = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for k := range config.Keywords() {
		if k.Same != "" {
			same := config.Lookup(k.Block, k.Same)
			if same != nil {
				m[same.Path()] = append(m[same.Path()], k.Name)
			}
		}
	}
	return m
})

// inherited are the names under which an enclosing block sets a keyword.
func inherited(names []string) []string {
	if names[0] == "lvs_method" || names[0] == "sorry_server_lvs_method" {
		return []string{"lvs_method", "lb_kind"}
	}
	return names
}

func (p *printer) written(block config.Where, names []string) string {
	for _, name := range names {
		if w, ok := p.cfg.Origins[block][name]; ok && name != "" {
			return place(w)
		}
	}
	return ""
}

// place is FILE:LINE.
func place(w config.Where) string {
	w.Col = 0
	return w.String()
}
