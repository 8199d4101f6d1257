package lint

import (
	"net/netip"
	"slices"

	"github.com/kaname-lb/kaname/internal/config"
)

// instancePair is one virtual router as its two nodes have it.
type instancePair struct{ a, b *config.Instance }

// matchInstances finds which vrrp_instances of two files are one virtual
// router. VRID, family and interface say so; where interfaces have different
// names the virtual addresses do, and so they do where the VRID is wrong.
func matchInstances(a, b *node) []instancePair {
	ways := []func(x, y *config.Instance) bool{
		func(x, y *config.Instance) bool {
			return x.VRID == y.VRID && inet6(x) == inet6(y) && x.Interface == y.Interface
		},
		func(x, y *config.Instance) bool {
			return x.VRID == y.VRID && inet6(x) == inet6(y) && shareAddress(x, y)
		},
		shareAddress,
	}
	var out []instancePair
	done := map[*config.Instance]bool{}
	for _, same := range ways {
		for _, x := range a.Config.Instances {
			i := slices.IndexFunc(b.Config.Instances, func(y *config.Instance) bool { return !done[y] && same(x, y) })
			if i < 0 || done[x] {
				continue
			}
			y := b.Config.Instances[i]
			done[x], done[y] = true, true
			out = append(out, instancePair{x, y})
		}
	}
	return out
}

// inet6 is the family of an instance's adverts.
func inet6(in *config.Instance) bool {
	return in.IPv6 || len(in.Addresses) > 0 && in.Addresses[0].Prefix.Addr().Is6()
}

func shareAddress(x, y *config.Instance) bool {
	return slices.ContainsFunc(x.Addresses, func(a config.Address) bool { return hasAddress(y.Addresses, a.Prefix.Addr()) })
}

func hasAddress(list []config.Address, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(a config.Address) bool { return a.Prefix.Addr() == ip })
}

// partner returns the other node's instance of the same virtual router.
func (c *pairChecker) partner(in *config.Instance) *config.Instance {
	for _, p := range c.instances {
		switch in {
		case p.a:
			return p.b
		case p.b:
			return p.a
		}
	}
	return nil
}

// side is one node's instance of a pair.
type side struct {
	*node
	in *config.Instance
}

// each calls fn for every virtual router that both nodes have.
func (c *pairChecker) each(fn func(a, b side)) {
	for _, p := range c.instances {
		fn(side{c.a, p.a}, side{c.b, p.b})
	}
}

// eachSide calls fn for every virtual router twice, with either node as the
// first.
func (c *pairChecker) eachSide(fn func(s, other side)) {
	c.each(func(a, b side) {
		fn(a, b)
		fn(b, a)
	})
}
