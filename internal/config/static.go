package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// static builds the blocks at root that stand beside the instances: what is
// always there, and how links and announcements are treated.
func (b *builder) static(l *line) bool {
	switch l.kw {
	case "track_group":
		b.trackGroup(l)
	case "garp_group":
		b.garpGroup(l)
	case "static_ipaddress":
		b.staticAddresses(l)
	case "static_routes":
		b.routes(l, &b.cfg.StaticRoutes, true)
	case "static_rules":
		b.policyRules(l, &b.cfg.StaticRules, true)
	case "interface_up_down_delays":
		l.values(func(l *line) { b.linkDelay(l) })
	case "linkbeat_interfaces":
		l.values(func(l *line) { b.linkbeat(l) })
	default:
		return false
	}
	return true
}

// trackGroup builds a track_group.
func (b *builder) trackGroup(l *line) {
	name, ok := l.name()
	if !ok {
		return
	}
	g := &TrackGroup{Where: l.st.Pos().Place(), Name: name}
	var first syntax.Pos
	var at map[string]Where
	l.each(g, func(l *line) bool {
		at = l.onceMembers(&g.Members, &first, at)
		if len(g.Members) == 0 {
			l.warn("empty-list", "the block group names no instance", "group { VI_1 }")
		}
		return true
	})
	if i := slices.IndexFunc(b.cfg.TrackGroups, func(o *TrackGroup) bool { return o.Name == name }); i >= 0 {
		l.warn("duplicate-name", fmt.Sprintf("track_group %s is defined again; the first one, at %s, stays and this block is ignored", name, b.cfg.TrackGroups[i].Where), "give it another name")
		return
	}
	b.groupMembers[g] = at
	b.cfg.TrackGroups = append(b.cfg.TrackGroups, g)
}

// quietly warns about what keepalived -t has no message for.
func (b *builder) quietly(rule string, at Where, what, fix string) {
	b.warnAt(rule, at, what, fix)
	b.exits(exitNone)
}

// finishTrackGroups drops members that do not exist and groups without any.
func (b *builder) finishTrackGroups() {
	b.cfg.TrackGroups = slices.DeleteFunc(b.cfg.TrackGroups, func(g *TrackGroup) bool {
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool {
			unknown := b.byName[m] == nil
			if at := b.groupMembers[g][m]; unknown {
				b.quietly("track-group-member", at, fmt.Sprintf("track_group %s: there is no vrrp_instance %s; it is ignored", g.Name, m), "the name of a vrrp_instance")
			}
			return unknown
		})
		if len(g.Members) == 0 {
			b.quietly("track-group-empty", g.Where, fmt.Sprintf("track_group %s has no members and is left out", g.Name), "group { INSTANCE }")
		}
		return len(g.Members) == 0
	})
}

// staticAddresses reads static_ipaddress.
func (b *builder) staticAddresses(l *line) {
	l.values(func(l *line) {
		a, ok := b.vip(l, &Address{Dev: b.cfg.Global.DefaultInterface}, true)
		if !ok {
			return
		}
		if a.TrackGroup != "" && !slices.ContainsFunc(b.cfg.TrackGroups, func(g *TrackGroup) bool { return g.Name == a.TrackGroup }) {
			b.warn("unknown-group-name", l.after("track_group"), fmt.Sprintf("there is no track_group %s above this line; it is ignored", a.TrackGroup), "track_group "+a.TrackGroup+" { group { … } } above")
			a.TrackGroup = ""
		}
		b.cfg.StaticAddresses = append(b.cfg.StaticAddresses, a)
	})
}

// after returns where the word behind an option of the line stands, or the
// line.
func (l *line) after(option string) syntax.Pos {
	for i, w := range l.st.Words[:len(l.st.Words)-1] {
		if w.Text == option {
			return l.st.Words[i+1].Pos
		}
	}
	return l.st.Pos()
}

// garpGroup builds a garp_group. An interface is in one group only.
func (b *builder) garpGroup(l *line) {
	g := &GARPGroup{Where: l.st.Pos().Place()}
	given := false
	l.each(g, func(l *line) bool {
		switch l.kw {
		case "interface":
			b.garpMember(l, g)
		case "interfaces":
			n := len(g.Interfaces)
			l.values(func(l *line) {
				for l.left() > 0 {
					b.garpMember(l, g)
				}
			})
			if len(g.Interfaces) == n {
				l.warn("empty-list", "the block interfaces adds no interface", "interfaces { eth0 }")
			}
		default:
			given = true
			return false
		}
		return true
	})
	if g.GARPInterval == 0 && g.GNAInterval == 0 && !given {
		l.warn("garp-group-without-delay", "the garp_group has neither garp_interval nor gna_interval and is dropped", "garp_interval 0.1")
		return
	}
	b.cfg.GARPGroups = append(b.cfg.GARPGroups, g)
}

func (b *builder) garpMember(l *line, g *GARPGroup) {
	at := l.st.Words[min(l.next, len(l.st.Words)-1)].Pos
	var name string
	if !l.iface(&name) {
		return
	}
	for _, o := range append(slices.Clone(b.cfg.GARPGroups), g) {
		if slices.Contains(o.Interfaces, name) {
			b.warn("repeated-first", at, fmt.Sprintf("%s is in the garp_group at %s already; it is ignored here", name, o.Where), "one garp_group for each interface")
			return
		}
	}
	g.Interfaces = append(g.Interfaces, name)
}

// linkDelay reads IFNAME DOWN_SECS [UP_SECS]; the last line of an interface
// counts.
func (b *builder) linkDelay(l *line) {
	d := LinkDelay{Where: l.st.Pos().Place()}
	if !l.iface(&d.Interface) {
		l.next = len(l.st.Words)
		return
	}
	if l.left() == 0 {
		b.quietly("missing-value", d.Where, fmt.Sprintf("%s has no delay; the line is ignored", d.Interface), d.Interface+" 2 5")
		return
	}
	if !l.linkSeconds(&d.Down) || l.left() > 0 && !l.linkSeconds(&d.Up) {
		l.next = len(l.st.Words)
		return
	}
	b.cfg.LinkDelays = slices.DeleteFunc(b.cfg.LinkDelays, func(o LinkDelay) bool { return o.Interface == d.Interface })
	b.cfg.LinkDelays = append(b.cfg.LinkDelays, d)
}

// linkSeconds reads one delay; a bad one refuses the line.
func (l *line) linkSeconds(dst *time.Duration) bool {
	*dst = -1 // nothing stays
	return l.seconds(dst, 0, 255*time.Second)
}

// linkbeat reads IFNAME [MII|ETHTOOL|IOCTL].
func (b *builder) linkbeat(l *line) {
	p := Linkbeat{Where: l.st.Pos().Place()}
	if !l.iface(&p.Interface) {
		l.next = len(l.st.Words)
		return
	}
	if l.left() > 0 {
		l.choice(&p.Method, "MII", "ETHTOOL", "IOCTL")
	}
	b.cfg.Linkbeat = append(b.cfg.Linkbeat, p)
}
