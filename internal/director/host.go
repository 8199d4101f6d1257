package director

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/hostnet"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// addressBook is reconcile.Network over hostnet. It knows which addresses are
// this instance's: the mark that hostnet gives is that of all kaname on this
// host. And it keeps what the kernel does not give back (the scope's word, and
// that a label is the interface's name).
type addressBook struct {
	net  *hostnet.Network
	made map[string]desired.Address // by interface and prefix
}

func newAddressBook(n *hostnet.Network) *addressBook {
	return &addressBook{net: n, made: map[string]desired.Address{}}
}

// know takes over what a predecessor put there.
func (b *addressBook) know(addrs []desired.Address) {
	for _, a := range addrs {
		b.made[bookKey(a.Interface, a.Prefix)] = a
	}
}

func bookKey(dev string, p netip.Prefix) string { return dev + " " + p.String() }

// lacks reports whether one of addrs would be new.
func (b *addressBook) lacks(addrs []desired.Address) bool {
	return slices.ContainsFunc(addrs, func(a desired.Address) bool {
		_, made := b.made[bookKey(a.Interface, a.Prefix)]
		return !made
	})
}

// with returns what is there together with addrs, sorted: all that a successor
// may have to remove.
func (b *addressBook) with(addrs []desired.Address) []desired.Address {
	all := maps.Clone(b.made)
	for _, a := range addrs {
		all[bookKey(a.Interface, a.Prefix)] = a
	}
	return slices.SortedFunc(maps.Values(all), desired.Address.Compare)
}

// Addresses returns ours that are on the host.
func (b *addressBook) Addresses() ([]desired.Address, error) {
	hosts, err := hostAddresses(slices.Collect(maps.Values(b.made)))
	if err != nil {
		return nil, err
	}
	// Not what carries the mark alone: kernels before 5.18 keep none.
	have, err := b.net.Leftovers(hosts)
	if err != nil {
		return nil, err
	}
	var out []desired.Address
	for _, a := range have {
		if d, ok := b.made[bookKey(a.Interface, a.Prefix)]; ok {
			out = append(out, d)
		}
	}
	return out, nil
}

// Add puts the address on the host.
func (b *addressBook) Add(a desired.Address) error {
	h, err := hostAddress(a)
	if err != nil {
		return err
	}
	if err := b.net.Add(h); err != nil {
		return err
	}
	b.made[bookKey(a.Interface, a.Prefix)] = a
	return nil
}

// Remove takes it off.
func (b *addressBook) Remove(a desired.Address) error {
	h, err := hostAddress(a)
	if err != nil {
		return err
	}
	if err := b.net.Remove(h); err != nil {
		return err
	}
	delete(b.made, bookKey(a.Interface, a.Prefix))
	return nil
}

// scopes are the words of keepalived and ip(8).
var scopes = map[string]uint8{"": 0, "global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}

func hostAddress(a desired.Address) (hostnet.Address, error) {
	scope, ok := scopes[a.Scope]
	if !ok {
		return hostnet.Address{}, fmt.Errorf("address %s: unknown scope %q", a.Prefix, a.Scope)
	}
	return hostnet.Address{Interface: a.Interface, Prefix: a.Prefix, Label: a.Label, Scope: scope}, nil
}

func hostAddresses(addrs []desired.Address) ([]hostnet.Address, error) {
	var out []hostnet.Address
	for _, a := range addrs {
		h, err := hostAddress(a)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// carrier is reconcile.Dataplane over a dataplane that is there only while
// something is to be balanced: a director that only does VRRP loads nothing.
type carrier struct{ dp *xdp.Dataplane }

func (c *carrier) Set(services []lvs.ServiceSet) error {
	if c.dp == nil {
		return nil
	}
	return c.dp.Set(services)
}

func (c *carrier) SetTimeouts(t lvs.Timeouts) error {
	if c.dp == nil {
		return nil
	}
	return c.dp.SetTimeouts(t)
}

func (c *carrier) SetInterfaces(names []string) error {
	if c.dp == nil {
		return nil
	}
	return c.dp.SetInterfaces(names)
}

// facts are what desired.Compute must know of the host, kept up to date from
// the monitor.
type facts struct {
	links map[string]*link
}

type link struct {
	up       bool
	prefixes []netip.Prefix
}

func (f *facts) at(name string) *link {
	if f.links == nil {
		f.links = map[string]*link{}
	}
	l := f.links[name]
	if l == nil {
		l = &link{}
		f.links[name] = l
	}
	return l
}

// apply takes one change; it reports whether Compute may see a difference.
func (f *facts) apply(c hostnet.Change) bool {
	switch c := c.(type) {
	case hostnet.LinkChange:
		if c.Gone {
			delete(f.links, c.Interface)
			return true
		}
		l := f.at(c.Interface)
		changed := l.up != c.Up
		l.up = c.Up
		return changed
	case hostnet.AddressChange:
		if !c.Added && f.links[c.Interface] == nil {
			return false // it went with its interface
		}
		l := f.at(c.Interface)
		had := slices.Contains(l.prefixes, c.Prefix)
		switch {
		case c.Added && !had:
			l.prefixes = append(l.prefixes, c.Prefix)
		case !c.Added && had:
			l.prefixes = slices.DeleteFunc(l.prefixes, func(p netip.Prefix) bool { return p == c.Prefix })
		}
		return c.Added != had && !c.Marked // ours come and go on the networks that are there
	case hostnet.PrimaryChange, hostnet.Synced:
	}
	return false
}

// host assembles the facts, asking the kernel for the way to each address that
// the configuration names: its routing table may be large, and only these matter.
func (f *facts) host(n *hostnet.Network, cfg *config.Config) desired.Host {
	var h desired.Host
	names := map[int]string{}
	below := map[string]int{}
	if links, err := n.Links(); err == nil { // without it VLANs are taken for what they look like
		for _, l := range links {
			names[l.Index], below[l.Name] = l.Name, l.ParentIndex
		}
	}
	for name, l := range f.links {
		h.Interfaces = append(h.Interfaces, desired.Interface{
			Name: name, Parent: names[below[name]], Prefixes: slices.Clone(l.prefixes),
		})
	}
	slices.SortFunc(h.Interfaces, func(a, b desired.Interface) int { return strings.Compare(a.Name, b.Name) })
	for _, a := range addressesOf(cfg) {
		r, err := n.Lookup(a)
		if err != nil || r.Local {
			continue
		}
		h.Routes = append(h.Routes, desired.Route{Prefix: netip.PrefixFrom(a, a.BitLen()), Interface: r.Interface})
	}
	return h
}

// addressesOf lists the virtual and real addresses of a configuration.
func addressesOf(cfg *config.Config) []netip.Addr {
	seen := map[netip.Addr]bool{}
	var out []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	for _, vs := range cfg.VirtualServers {
		for _, ep := range vs.Endpoints {
			add(ep.Addr)
		}
		for _, rs := range vs.RealServers {
			add(rs.Addr)
		}
		if vs.Sorry != nil {
			add(vs.Sorry.Addr)
		}
	}
	return out
}
