package config

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// finishVRRP settles what depends on whole blocks, in keepalived's order:
// first each instance alone, then instances among each other, then groups.
func (b *builder) finishVRRP() {
	for _, in := range b.pending {
		b.finishVersion(in)
		b.finishState(in)
		b.finishAuth(in)
		b.finishTracking(in)
		b.finishRequired(in)
	}
	b.finishUnique()
	for _, in := range b.pending {
		if !in.leftOut {
			b.cfg.Instances = append(b.cfg.Instances, in.Instance)
		}
	}
	b.finishGroups()
}

// finishVersion settles version, family and the interval's granularity.
func (b *builder) finishVersion(in *instance) {
	if g := b.cfg.Global.VRRP.McastGroup4; g.IsValid() && g.String() != "224.0.0.18" && !in.v6 {
		in.leftOut = true // reported at vrrp_mcast_group4
	}
	if in.Version == 3 || in.v6 {
		if !in.leftOut {
			b.warn("not-supported", in.where("version"), fmt.Sprintf("not supported yet: VRRP version 3: vrrp_instance %s is left out and does not run", in.Name), "")
		}
		in.leftOut = true
		return
	}
	// VRRPv2 has whole seconds on the wire (RFC 3768 §5.3.7).
	rounded := max(time.Second, in.AdvertInterval.Round(time.Second))
	if rounded != in.AdvertInterval {
		b.warn("advert-interval-rounded", in.where("advert_int"), fmt.Sprintf("vrrp_instance %s: VRRP version 2 has whole seconds; advert_int %s becomes %s", in.Name, formatSeconds(in.AdvertInterval), formatSeconds(rounded)), "version 3 on all nodes, which has hundredths of a second, or advert_int "+strconv.Itoa(int(rounded/time.Second)))
		in.AdvertInterval = rounded
	}
}

// finishState settles what state MASTER, priority, nopreempt and preempt_delay
// do to each other.
func (b *builder) finishState(in *instance) {
	if in.State == "MASTER" && !in.given("priority") {
		in.Priority = 255
		b.warn("master-without-priority", in.where("state"), fmt.Sprintf("vrrp_instance %s: state MASTER without priority means priority 255, the owner of the addresses", in.Name), "priority 100")
	}
	if in.Priority == 255 && in.State != "MASTER" {
		in.State = "MASTER"
	}
	if in.NoPreempt && (in.State == "MASTER" || in.Priority == 255) {
		b.warn("nopreempt-cleared", in.where("nopreempt"), fmt.Sprintf("vrrp_instance %s: nopreempt does not go with %s and is ignored", in.Name, masterWord(in)), "state BACKUP on all nodes")
		in.NoPreempt = false
	}
	if in.PreemptDelay > 0 && in.State == "MASTER" {
		b.warn("preempt-delay-cleared", in.where("preempt_delay"), fmt.Sprintf("vrrp_instance %s: preempt_delay does not go with %s and is ignored", in.Name, masterWord(in)), "state BACKUP")
		in.PreemptDelay = 0
	}
	if in.PreemptDelay > 0 && in.NoPreempt {
		b.warn("preempt-delay-cleared", in.where("preempt_delay"), fmt.Sprintf("vrrp_instance %s: preempt_delay does not go with nopreempt and is ignored", in.Name), "choose one")
		in.PreemptDelay = 0
	}
}

func masterWord(in *instance) string {
	if in.Priority == 255 {
		return "priority 255"
	}
	return "state MASTER"
}

func (b *builder) finishAuth(in *instance) {
	switch {
	case in.Auth != AuthNone && in.AuthPass == "":
		b.warn("auth-without-password", in.where("auth_type"), fmt.Sprintf("vrrp_instance %s: auth_type without auth_pass is no authentication", in.Name), "auth_pass SECRET")
		in.Auth = AuthNone
	case in.Auth == AuthNone && in.AuthPass != "":
		b.warn("password-without-type", in.where("auth_pass"), fmt.Sprintf("vrrp_instance %s: auth_pass without auth_type is no authentication", in.Name), "auth_type PASS")
		in.AuthPass = ""
	case in.Auth != AuthNone && in.Version == 3:
		b.warn("auth-ignored", in.where("auth_type"), fmt.Sprintf("vrrp_instance %s: VRRP version 3 has no authentication; it is ignored", in.Name), "remove the block authentication")
		in.Auth, in.AuthPass = AuthNone, ""
	}
	if in.Auth == AuthAH && in.State == "MASTER" && in.Priority != 255 {
		b.warn("master-with-ah", in.where("state"), fmt.Sprintf("vrrp_instance %s: state MASTER does not go with auth_type AH; it starts as BACKUP", in.Name), "state BACKUP")
		in.State = "BACKUP"
	}
}

func (b *builder) finishTracking(in *instance) {
	in.TrackInterfaces = slices.DeleteFunc(in.TrackInterfaces, func(t Track) bool {
		own := t.Name == in.Interface && !in.DontTrackPrimary
		if own {
			b.warnAt("own-interface-tracked", t.Where, fmt.Sprintf("%s is vrrp_instance %s's own interface, which is always tracked; the line is ignored", t.Name, in.Name), "remove the line")
		}
		return own
	})
	if in.Priority != 255 {
		return
	}
	drop := func(t Track, weight int) bool {
		if weight != 0 {
			b.warnAt("owner-weight", t.Where, fmt.Sprintf("vrrp_instance %s: priority 255 does not change; tracking %s with a weight is ignored", in.Name, t.Name), "priority 254, or no weight")
		}
		return weight != 0
	}
	in.TrackInterfaces = slices.DeleteFunc(in.TrackInterfaces, func(t Track) bool { return drop(t, t.Weight) })
	in.TrackScripts = slices.DeleteFunc(in.TrackScripts, func(t Track) bool { return drop(t, b.scriptWeight(t)) })
}

// scriptWeight is the weight that counts for a tracked script.
func (b *builder) scriptWeight(t Track) int {
	if t.HasWeight {
		return t.Weight
	}
	if s := b.scripts[t.Name]; s != nil {
		return s.Weight
	}
	return 0
}

// finishRequired reports what an instance cannot start without.
func (b *builder) finishRequired(in *instance) {
	if in.leftOut {
		return
	}
	need := func(missing bool, rule, what, fix string) {
		if missing {
			b.report(finding.Error, rule, in.at, fmt.Sprintf("vrrp_instance %s has no %s", in.Name, what), fix)
			in.leftOut = true
		}
	}
	need(in.Interface == "", "missing-interface", "interface", "interface eth0")
	need(in.VRID == 0, "missing-vrid", "virtual_router_id", "virtual_router_id 51, a number that is free on the segment")
	if len(in.Addresses) == 0 && len(in.Excluded) == 0 && !in.leftOut {
		b.warn("no-addresses", in.at, fmt.Sprintf("vrrp_instance %s has no virtual_ipaddress: it elects a MASTER that serves no address", in.Name), "virtual_ipaddress { ... }")
	}
	for i := range in.Addresses {
		if in.Addresses[i].Dev == "" {
			in.Addresses[i].Dev = in.Interface
		}
	}
	for i := range in.Excluded {
		if in.Excluded[i].Dev == "" {
			in.Excluded[i].Dev = in.Interface
		}
	}
}

// finishUnique refuses two instances with the same VRID on one interface:
// they would take each other's adverts for their own.
func (b *builder) finishUnique() {
	type key struct {
		iface string
		vrid  int
	}
	seen := map[key]*instance{}
	for _, in := range b.pending {
		if in.leftOut {
			continue
		}
		k := key{in.Interface, in.VRID}
		if first := seen[k]; first != nil {
			b.report(finding.Error, "duplicate-vrid", in.at, fmt.Sprintf("vrrp_instance %s has virtual_router_id %d on %s, as has %s at %s", in.Name, in.VRID, in.Interface, first.Name, first.Where), "give each instance on an interface its own virtual_router_id")
			in.leftOut = true
			continue
		}
		seen[k] = in
	}
}

// finishGroups resolves the members of the sync groups, which may be defined
// anywhere.
func (b *builder) finishGroups() {
	byName := b.byName
	owner := map[string]string{}
	var groups []*SyncGroup
	for _, g := range b.cfg.SyncGroups {
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool {
			in := byName[m]
			what, fix := "", "remove it"
			switch {
			case in == nil:
				what = fmt.Sprintf("there is no vrrp_instance %s; it is ignored", m)
				if s := nearest(byName, m); s != "" {
					what += "; did you mean " + s + "?"
					fix = s
				}
			case owner[m] != "":
				what = fmt.Sprintf("vrrp_instance %s is in group %s already; it is ignored here", m, owner[m])
			case in.leftOut:
				what = fmt.Sprintf("vrrp_instance %s does not run and is no member", m)
			}
			if what != "" {
				b.warnAt("sync-group-member", b.members[g][m], "vrrp_sync_group "+g.Name+": "+what, fix)
				return true
			}
			owner[m] = g.Name
			return false
		})
		switch len(g.Members) {
		case 0:
			b.groupFinding(g, "sync-group-empty", "the group has no members and is left out", "group { ... } with the names of its instances, or no group")
			continue
		case 1:
			b.groupFinding(g, "sync-group-of-one", "the group has one member only, so there is nothing to keep in step", "the name of the other instance, or no group")
		}
		groups = append(groups, g)
		b.groupTracking(g, byName)
	}
	b.cfg.SyncGroups = groups
}

func (b *builder) groupFinding(g *SyncGroup, rule, what, fix string) {
	b.warnAt(rule, g.Where, "vrrp_sync_group "+g.Name+": "+what, fix)
}

// groupTracking takes the weights of members' trackers away: members of a
// group change state together, so one of them cannot change its priority alone.
func (b *builder) groupTracking(g *SyncGroup, byName map[string]*instance) {
	if b.groupWeights[g.Name] {
		return
	}
	for _, m := range g.Members {
		in := byName[m]
		fix := "put the tracking into vrrp_sync_group " + g.Name
		for i, t := range in.TrackInterfaces {
			if t.Weight != 0 {
				b.warnAt("member-weight", t.Where, fmt.Sprintf("vrrp_instance %s is in a sync group: the weight of %s is ignored, and its failure is a FAULT", m, t.Name), fix)
				in.TrackInterfaces[i].Weight = 0
			}
		}
		in.TrackScripts = slices.DeleteFunc(in.TrackScripts, func(t Track) bool {
			weighted := b.scriptWeight(t) != 0
			if weighted {
				b.warnAt("member-weight", t.Where, fmt.Sprintf("vrrp_instance %s is in a sync group: tracking %s with a weight is ignored", m, t.Name), fix)
			}
			return weighted
		})
	}
}

// syncGroup builds a vrrp_sync_group.
func (b *builder) syncGroup(l *line) {
	name, ok := l.name()
	if !ok {
		return
	}
	g := &SyncGroup{Where: l.st.Pos().Place(), Name: name}
	hasGroup := syntax.Pos{}
	weights := false
	l.each(g, func(l *line) bool {
		switch l.kw {
		case "group":
			if hasGroup.IsValid() {
				l.warn("repeated-first", fmt.Sprintf("group is given again; the first one, at %s, stays", hasGroup.Place()), "one block group")
				return true
			}
			hasGroup = l.st.Pos()
			b.members[g] = l.members(&g.Members)
		case "track_interface":
			b.trackInterfaces(l, &g.TrackInterfaces)
		case "track_script":
			b.trackScripts(l, &g.TrackScripts)
		case "global_tracking", "sync_group_tracking_weight":
			l.flag(&weights)
		default:
			return l.notify(&g.Notify)
		}
		return true
	})
	for _, o := range b.cfg.SyncGroups {
		if o.Name == name {
			l.warn("duplicate-name", fmt.Sprintf("vrrp_sync_group %s is defined again; the first one, at %s, stays and this block is ignored", name, o.Where), "give it another name")
			return
		}
	}
	b.groupWeights[name] = weights
	b.cfg.SyncGroups = append(b.cfg.SyncGroups, g)
}

// members reads the names of a block group, any number a line, and returns where
// they stand.
func (l *line) members(dst *[]string) map[string]Where {
	at := map[string]Where{}
	l.values(func(l *line) {
		for l.left() > 0 {
			w, _ := l.word()
			*dst = append(*dst, w.Text)
			at[w.Text] = w.Place()
		}
	})
	return at
}
