package hostnet

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// mirror is what somebody knows who only hears changes.
type mirror struct {
	Up      map[string]bool
	Primary map[string]netip.Addr
	Addrs   map[string]map[netip.Prefix]bool
}

func newMirror() mirror {
	return mirror{Up: map[string]bool{}, Primary: map[string]netip.Addr{}, Addrs: map[string]map[netip.Prefix]bool{}}
}

func (m mirror) hear(t *rapid.T, changes []Change) {
	for _, c := range changes {
		switch c := c.(type) {
		case LinkChange:
			up, known := m.Up[c.Interface]
			if known && up == c.Up && !c.Gone {
				t.Fatalf("told again: %+v", c)
			}
			m.Up[c.Interface] = c.Up
			if c.Gone {
				if len(m.Addrs[c.Interface]) > 0 || m.Primary[c.Interface].IsValid() {
					t.Fatalf("%s is gone and still has %v, primary %s", c.Interface, m.Addrs[c.Interface], m.Primary[c.Interface])
				}
				delete(m.Up, c.Interface)
				delete(m.Addrs, c.Interface)
				delete(m.Primary, c.Interface)
			}
		case PrimaryChange:
			if m.Primary[c.Interface] == c.Addr {
				t.Fatalf("told again: %+v", c)
			}
			m.Primary[c.Interface] = c.Addr
		case AddressChange:
			if m.Addrs[c.Interface] == nil {
				m.Addrs[c.Interface] = map[netip.Prefix]bool{}
			}
			if m.Addrs[c.Interface][c.Prefix] == c.Added {
				t.Fatalf("told again: %+v", c)
			}
			m.Addrs[c.Interface][c.Prefix] = c.Added
			if !c.Added {
				delete(m.Addrs[c.Interface], c.Prefix)
			}
		}
	}
}

// picture is what the mirror should look like.
func (t *table) picture() mirror {
	m := newMirror()
	for index, l := range t.links {
		m.Up[l.Name] = l.Up
		if p := primary(t.addrs[index], t.virtual); p.IsValid() {
			m.Primary[l.Name] = p
		}
		for _, a := range t.addrs[index] {
			if m.Addrs[l.Name] == nil {
				m.Addrs[l.Name] = map[netip.Prefix]bool{}
			}
			m.Addrs[l.Name][a.prefix] = true
		}
	}
	return m
}

// TestTableTellsEverything: whatever the kernel tells, lost and read again in
// between, who hears the changes knows what the table knows, and is told
// nothing twice.
func TestTableTellsEverything(t *testing.T) {
	link := rapid.Custom(func(t *rapid.T) Link {
		index := rapid.IntRange(1, 4).Draw(t, "index")
		// Names are unique at any time, but come back with another index.
		name := string(rune('a'+index)) + rapid.SampledFrom([]string{"", "'"}).Draw(t, "renamed")
		return Link{Index: index, Name: name, Up: rapid.Bool().Draw(t, "up")}
	})
	addr := rapid.Custom(func(t *rapid.T) ifaddr {
		ip := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 5).Draw(t, "addr"))})
		return ifaddr{
			index:     rapid.IntRange(1, 4).Draw(t, "index"),
			prefix:    netip.PrefixFrom(ip, rapid.SampledFrom([]int{24, 32}).Draw(t, "bits")),
			scope:     rapid.SampledFrom([]uint8{0, 253}).Draw(t, "scope"),
			secondary: rapid.Bool().Draw(t, "secondary"),
			proto:     rapid.SampledFrom([]uint8{0, Protocol}).Draw(t, "proto"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		tab, m := newTable(), newMirror()
		t.Repeat(map[string]func(*rapid.T){
			"set link":     func(t *rapid.T) { m.hear(t, tab.setLink(link.Draw(t, "link"))) },
			"remove link":  func(t *rapid.T) { m.hear(t, tab.removeLink(rapid.IntRange(1, 4).Draw(t, "index"))) },
			"set addr":     func(t *rapid.T) { m.hear(t, tab.setAddr(addr.Draw(t, "addr"))) },
			"remove addr":  func(t *rapid.T) { m.hear(t, tab.removeAddr(addr.Draw(t, "addr"))) },
			"read it anew": func(t *rapid.T) { m.hear(t, dumpInto(t, tab, link, addr)) },
			"set virtual": func(t *rapid.T) {
				m.hear(t, tab.setVirtual(map[netip.Addr]bool{addr.Draw(t, "virtual").prefix.Addr(): true}))
			},
			"": func(t *rapid.T) {
				for k, p := range m.Primary {
					if !p.IsValid() {
						delete(m.Primary, k)
					}
				}
				opts := cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.EquateEmpty()}
				for k, a := range m.Addrs {
					if len(a) == 0 {
						delete(m.Addrs, k)
					}
				}
				if d := cmp.Diff(tab.picture(), m, opts); d != "" {
					t.Fatalf("heard something else than is (-is +heard):\n%s", d)
				}
			},
		})
	})
}

func dumpInto(t *rapid.T, tab *table, link *rapid.Generator[Link], addr *rapid.Generator[ifaddr]) []Change {
	links := rapid.SliceOfNDistinct(link, 0, 4, func(l Link) int { return l.Index }).Draw(t, "links")
	type key struct {
		index  int
		prefix netip.Prefix
	}
	addrs := rapid.SliceOfNDistinct(addr, 0, 6, func(a ifaddr) key { return key{a.index, a.prefix} }).Draw(t, "addrs")
	return tab.replace(links, addrs)
}

// FuzzParse: whatever a message holds, parsing it ends and breaks nothing.
func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 24, 0x80, 0, 1, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 1, 5, 0, 11, 0, 112})
	f.Add([]byte{0, 0, 1, 0, 1, 0, 0, 0, 0x43, 0x10, 1, 0, 0, 0, 0, 0, 7, 0, 3, 0, 'l', 'o', 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		parseLink(b)
		parseAddr(b)
		_, _ = parseRoute(b)
	})
}

func TestParseAddr(t *testing.T) {
	a, ok := parseAddr([]byte{2, 24, 0x81, 0, 7, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 1, 5, 0, 11, 0, 112, 0, 0, 0})
	want := ifaddr{index: 7, prefix: netip.MustParsePrefix("10.0.0.1/24"), secondary: true, proto: Protocol}
	if !ok || a != want {
		t.Errorf("got %+v, %v, want %+v", a, ok, want)
	}
}
