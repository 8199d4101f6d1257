package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/hostnet"
)

// network gathers links, addresses and routes.
func (g *gatherer) network(q lint.Questions) {
	n, err := hostnet.Open()
	if err != nil {
		g.unknown("interfaces", err)
		return
	}
	defer func() { _ = n.Close() }() // only read from
	links, err := n.Links()
	if err != nil {
		g.unknown("interfaces", err)
		return
	}
	ours := map[netip.Prefix]bool{}
	marked, err := n.Leftovers(nil)
	if err != nil {
		g.unknown("whose addresses they are", err)
	}
	for _, m := range marked {
		ours[m.Prefix] = true
	}
	for _, l := range links {
		i := lint.HostInterface{Name: l.Name, Up: l.Up, MTU: l.MTU, MAC: l.MAC.String(), Kind: l.Kind}
		i.Addresses, err = addresses(l.Index, ours)
		if err != nil {
			g.unknown("addresses of "+l.Name, err)
		}
		g.host.Interfaces = append(g.host.Interfaces, i)
	}
	for _, to := range q.Servers {
		g.route(n, to)
	}
}

// addresses returns those of a link in the kernel's order.
func addresses(index int, ours map[netip.Prefix]bool) ([]lint.HostAddress, error) {
	link, err := net.InterfaceByIndex(index)
	if err != nil {
		return nil, err
	}
	list, err := link.Addrs()
	if err != nil {
		return nil, err
	}
	var out []lint.HostAddress
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		bits, _ := n.Mask.Size()
		p := netip.PrefixFrom(ip.Unmap(), bits)
		out = append(out, lint.HostAddress{Prefix: p, Ours: ours[p]})
	}
	return out, nil
}

// route asks the kernel how a real server is reached.
func (g *gatherer) route(n *hostnet.Network, to netip.Addr) {
	r, err := n.Lookup(to)
	switch {
	case err == nil:
		g.host.Routes = append(g.host.Routes, lint.HostRoute{To: to, Via: r.Gateway, Dev: r.Interface, Local: r.Local})
	case errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH):
		g.host.Routes = append(g.host.Routes, lint.HostRoute{To: to})
	default:
		g.unknown("route to "+to.String(), err)
	}
}

// sysctls reads the settings that rules ask about.
func (g *gatherer) sysctls(q lint.Questions) {
	get := func(elements ...string) {
		if v := strings.TrimSpace(g.read(filepath.Join("proc/sys/net", filepath.Join(elements...)))); v != "" {
			g.host.Sysctls["net."+strings.Join(elements, ".")] = v
		}
	}
	get("ipv4", "ip_forward")
	get("ipv4", "conf", "all", "rp_filter")
	get("ipv4", "conf", "all", "arp_ignore")
	for _, i := range q.Interfaces {
		i = filepath.Base(i) // a name that no interface has stays below conf
		get("ipv4", "conf", i, "arp_ignore")
		get("ipv6", "conf", i, "disable_ipv6")
	}
}

// names looks up what the file calls by name.
func (g *gatherer) names(ctx context.Context, q lint.Questions) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, name := range q.Names {
		_, err := net.DefaultResolver.LookupHost(ctx, name)
		dns, isDNS := errors.AsType[*net.DNSError](err)
		switch {
		case err == nil:
			g.host.Resolved[name] = true
		case isDNS && dns.IsNotFound:
			g.host.Resolved[name] = false
		default:
			g.unknown("address of "+name, fmt.Errorf("no answer: %w", err))
		}
	}
}
