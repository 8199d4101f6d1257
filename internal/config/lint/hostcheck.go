package lint

import (
	"net/netip"
	"slices"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// CheckHost runs the rules that need the host that the configuration is for. An
// Error is what keeps the daemon from starting there. Findings are in file
// order; what could not be looked at comes last.
func CheckHost(cfg *config.Config, tree *syntax.Tree, host Host) []finding.Finding {
	c := &hostChecker{checker: checker{cfg: cfg, tree: tree}, host: host, routes: map[netip.Addr]HostRoute{}}
	for _, r := range host.Routes {
		c.routes[r.To] = r
	}
	for _, r := range hostRules {
		c.apply(r.name, r.severity, func() { r.check(c) })
	}
	return config.Present(c.findings, tree.Files)
}

// hostRule is one trap that only the host shows. pages/ has a page for each.
type hostRule struct {
	name     string
	severity finding.Severity
	check    func(*hostChecker)
}

var hostRules = slices.Concat(hostNetworkRules, hostScriptRules, hostServiceRules, hostDaemonRules)

// hostChecker is what a rule about the host looks at and reports to.
type hostChecker struct {
	checker
	host   Host
	routes map[netip.Addr]HostRoute // of host, by destination
}

// iface returns a link, nil when the host has none of the name.
func (c *hostChecker) iface(name string) *HostInterface {
	i := slices.IndexFunc(c.host.Interfaces, func(i HostInterface) bool { return i.Name == name })
	if i < 0 {
		return nil
	}
	return &c.host.Interfaces[i]
}

func (c *hostChecker) file(path string) (HostFile, bool) {
	i := slices.IndexFunc(c.host.Files, func(f HostFile) bool { return f.Path == path })
	if i < 0 {
		return HostFile{}, false
	}
	return c.host.Files[i], true
}

// virtual calls fn for each virtual address of each instance.
func (c *hostChecker) virtual(fn func(in *config.Instance, a config.Address)) {
	for _, in := range c.cfg.Instances {
		for _, list := range [][]config.Address{in.Addresses, in.Excluded} {
			for _, a := range list {
				fn(in, a)
			}
		}
	}
}

// running reports whether a speaker of VRRP runs, which puts addresses on and
// takes them away.
func (c *hostChecker) running() bool { return len(c.host.Processes) > 0 }
