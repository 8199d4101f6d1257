package dump

import (
	"reflect"
	"strconv"

	"github.com/kaname-lb/kaname/internal/config"
)

// kaname prints our own block. Its rules of synchronisation belong to lvs and
// have no tags.
func (p *printer) kaname(root *Node) {
	k := &p.cfg.Kaname
	n := p.block(root, "kaname", nil, k.Where, k)
	n.Ours = true
	p.around = append(p.around, scope{"kaname", k.Where})
	defer func() { p.around = p.around[:len(p.around)-1] }()
	r := k.Sync.Rules
	for _, s := range []struct {
		kw    string
		words []string
	}{
		{"sync_at_once", []string{strconv.FormatBool(r.AtOnce)}},
		{"sync_threshold", []string{number(r.Threshold), number(r.Period)}},
		{"sync_refresh_period", []string{seconds(r.Refresh)}},
		{"sync_retries", []string{number(r.Retries)}},
	} {
		p.add(n, config.Lookup("kaname", s.kw), k.Where, s.words...)
	}
}

func number(v uint32) string { return strconv.FormatUint(uint64(v), 10) }

// shared prints what belongs to no instance: limits and delays of interfaces,
// the TLS client.
func (p *printer) shared(root *Node) {
	c := p.cfg
	if c.SSL != nil {
		p.block(root, "SSL", nil, c.SSL.Where, c.SSL)
	}
	if len(c.LinkDelays) > 0 {
		n := root.add(&Node{Keyword: "interface_up_down_delays", Block: true})
		for _, d := range c.LinkDelays {
			n.add(&Node{Keyword: d.Interface, Words: []string{seconds(d.Down), seconds(d.Up)}})
		}
	}
	if len(c.Linkbeat) > 0 {
		n := root.add(&Node{Keyword: "linkbeat_interfaces", Block: true})
		for _, l := range c.Linkbeat {
			n.add(&Node{Keyword: l.Interface, Words: when(nil, l.Method != "", l.Method)})
		}
	}
	for _, g := range c.GARPGroups {
		p.block(root, "garp_group", nil, g.Where, g)
	}
}

// tracked prints what instances can track, which has to stand before them.
func (p *printer) tracked(root *Node) {
	c := p.cfg
	for _, s := range c.Scripts {
		p.block(root, "vrrp_script", []string{word(s.Name)}, s.Where, s)
	}
	for _, f := range c.TrackFiles {
		p.block(root, "track_file", []string{word(f.Name)}, f.Where, f)
	}
	for _, t := range c.TrackProcesses {
		p.block(root, "vrrp_track_process", []string{word(t.Name)}, t.Where, t)
	}
	for _, b := range c.BFD {
		p.block(root, "bfd_instance", []string{word(b.Name)}, b.Where, b)
	}
}

func (p *printer) statics(root *Node) {
	c := p.cfg
	for _, g := range c.TrackGroups {
		p.block(root, "track_group", []string{word(g.Name)}, g.Where, g)
	}
	lines := func(kw string, n int, line func(int) []string) {
		if n == 0 {
			return
		}
		b := root.add(&Node{Keyword: kw, Block: true})
		for i := range n {
			l := line(i)
			b.add(&Node{Keyword: l[0], Words: l[1:]})
		}
	}
	lines("static_ipaddress", len(c.StaticAddresses), func(i int) []string { return address(&c.StaticAddresses[i]) })
	lines("static_routes", len(c.StaticRoutes), func(i int) []string { return route(&c.StaticRoutes[i]) })
	lines("static_rules", len(c.StaticRules), func(i int) []string { return rule(&c.StaticRules[i]) })
}

// instance prints a vrrp_instance.
func (p *printer) instance(root *Node, in *config.Instance) {
	n := p.block(root, "vrrp_instance", []string{word(in.Name)}, in.Where, in)
	if in.NotRun != "" {
		n.Note = note(n.Note, "not run by kaname: "+in.NotRun)
	}
	if in.IPv6 {
		n.add(&Node{Keyword: "native_ipv6"})
	}
	if in.Auth != config.AuthNone {
		a := n.add(&Node{Keyword: "authentication", Block: true})
		a.add(&Node{Keyword: "auth_type", Words: []string{string(in.Auth)}})
		a.add(&Node{Keyword: "auth_pass", Words: []string{p.secret(in.AuthPass)}})
	}
	if in.AuthHMAC != nil {
		for _, h := range n.Body {
			if h.Keyword != "auth_hmac" {
				continue
			}
			for _, k := range in.AuthHMAC.Keys {
				h.add(&Node{Keyword: "key", Words: []string{strconv.Itoa(k.ID), p.secret(k.Value)}})
			}
		}
	}
}

func note(old, more string) string {
	if old == "" {
		return more
	}
	return old + "; " + more
}

// servers prints the virtual servers, those of a group after the group.
func (p *printer) servers(root *Node) {
	printed := map[string]bool{}
	for _, vs := range p.cfg.VirtualServers {
		words := []string{}
		switch {
		case vs.Group != "":
			words = []string{"group", word(vs.Group)}
			if !printed[vs.Group] {
				printed[vs.Group] = true
				group(root, vs)
			}
		case vs.FWMark != 0:
			words = []string{"fwmark", strconv.FormatUint(uint64(vs.FWMark), 10)}
		default:
			for _, e := range vs.Endpoints {
				words = addrPort(e.Addr.String(), e.Port)
			}
		}
		p.server(root, vs, words)
	}
}

func addrPort(addr string, port uint16) []string {
	if port == 0 {
		return []string{addr}
	}
	return []string{addr, strconv.Itoa(int(port))}
}

func group(root *Node, vs *config.VirtualServer) {
	n := root.add(&Node{Keyword: "virtual_server_group", Words: []string{word(vs.Group)}, Block: true})
	for _, e := range vs.Endpoints {
		if !e.Addr.IsValid() {
			w := []string{strconv.FormatUint(uint64(e.FWMark), 10)}
			n.add(&Node{Keyword: "fwmark", Words: when(w, e.Family != "", e.Family)})
			continue
		}
		w := addrPort(e.Addr.String(), e.Port)
		n.add(&Node{Keyword: w[0], Words: w[1:]})
	}
}

func (p *printer) server(root *Node, vs *config.VirtualServer, words []string) {
	n := p.block(root, "virtual_server", words, vs.Where, vs)
	if vs.NotRun != "" {
		n.Note = note(n.Note, "not run by kaname: "+vs.NotRun)
	}
	p.around = append(p.around, scope{"virtual_server", vs.Where})
	defer func() { p.around = p.around[:len(p.around)-1] }()
	p.schedulerFlags(n, vs)
	if s := vs.Sorry; s != nil {
		n.add(&Node{Keyword: "sorry_server", Words: addrPort(s.Addr.String(), s.Port)})
		n.add(&Node{Keyword: "sorry_server_lvs_method", Words: method(s.Method, s.Tunnel)})
		n.add(&Node{Keyword: "sorry_server_inhibit", Off: !s.Inhibit})
	}
	for _, rs := range vs.RealServers {
		p.realServer(n, rs)
	}
}

// schedulerFlags have to stand behind the scheduler.
func (p *printer) schedulerFlags(n *Node, vs *config.VirtualServer) {
	for _, f := range flagsOf(vs) {
		n.add(&Node{Keyword: f})
	}
}

func (p *printer) realServer(n *Node, rs *config.RealServer) {
	c := p.block(n, "real_server", addrPort(rs.Addr.String(), rs.Port), rs.Where, rs)
	if rs.NotRun != "" {
		c.Note = note(c.Note, "not run by kaname: "+rs.NotRun)
	}
	p.around = append(p.around, scope{"real_server", rs.Where})
	defer func() { p.around = p.around[:len(p.around)-1] }()
	for _, ch := range rs.Checkers {
		p.checker(c, ch)
	}
}

func (p *printer) checker(n *Node, ch *config.Checker) {
	c := p.block(n, string(ch.Kind), nil, ch.Where, ch)
	if ch.NotRun != "" {
		c.Note = note(c.Note, "not run by kaname: "+ch.NotRun)
	}
	p.around = append(p.around, scope{string(ch.Kind), ch.Where})
	defer func() { p.around = p.around[:len(p.around)-1] }()
	if k := config.Lookup(p.path(), "connect_ip"); k != nil && ch.ConnectTo.Addr().IsValid() {
		p.add(c, k, ch.Where, ch.ConnectTo.Addr().String())
		if port := ch.ConnectTo.Port(); port != 0 {
			p.add(c, config.Lookup(p.path(), "connect_port"), ch.Where, strconv.Itoa(int(port)))
		}
	}
	if ch.Kind == config.FileCheck && ch.Track.HasWeight {
		p.add(c, config.Lookup(p.path(), "weight"), ch.Where, reverse(ch.Track.Weight, ch.Track.Reverse)...)
	}
	if k := config.Lookup(p.path(), "user"); k != nil {
		p.setting(c, k, ch.Where, ch, reflect.ValueOf(""))
	}
	for i := range ch.URLs {
		p.block(c, "url", nil, ch.URLs[i].Where, &ch.URLs[i])
	}
}

// add prints a setting that is not a field of its own.
func (p *printer) add(n *Node, k *config.Keyword, at config.Where, words ...string) {
	c := n.add(&Node{Keyword: k.Name, Words: words})
	if p.opt.Origin {
		c.Note = p.origin(k, at)
	}
}
