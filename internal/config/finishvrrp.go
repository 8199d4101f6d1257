package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/finding"
)

// finishVRRP settles what depends on whole blocks, in keepalived's order:
// first each instance alone, then instances among each other, then groups.
func (b *builder) finishVRRP() {
	for _, in := range b.pending {
		b.finishFamily(in)
		b.finishState(in)
		b.finishAuth(in)
		b.finishHMAC(in)
		b.finishStrict(in)
		b.finishInterval(in)
		b.finishUnicast(in)
		b.finishLink(in)
		b.finishTracking(in)
		b.finishRequired(in)
		b.finishSpace(in)
	}
	b.finishUnique()
	for _, in := range b.pending {
		b.finishWire(in)
		if !in.refused {
			b.cfg.Instances = append(b.cfg.Instances, in.Instance)
		}
	}
	b.finishGroups()
	b.finishTrackGroups()
}

// finishFamily settles family and version. IPv6 starts at version 3.
func (b *builder) finishFamily(in *instance) {
	in.IPv6 = in.family == 6
	switch {
	case in.Version == 0 && in.IPv6:
		in.Version = 3
	case in.Version == 0:
		in.Version = b.cfg.Global.VRRP.Version
	case in.Version == 2 && in.IPv6 && in.Strict:
		b.warn("strict-ignores", in.where("version"), fmt.Sprintf("vrrp_instance %s: strict_mode has no version 2 for IPv6; version 3 is used", in.Name), "version 3")
		in.Version = 3
	}
	if in.IPv6 && in.Version == 3 && len(in.Addresses) > 0 && !in.Addresses[0].Prefix.Addr().IsLinkLocalUnicast() {
		what := fmt.Sprintf("vrrp_instance %s: the first IPv6 address of version 3 should be link-local (RFC 9568), and %s is not", in.Name, in.Addresses[0].Prefix.Addr())
		if in.Strict {
			b.warnAt("first-address-not-link-local", in.Addresses[0].Where, what, "an fe80:: address first")
		} else {
			b.add(finding.Finding{Severity: finding.Note, Rule: "first-address-not-link-local", Where: in.Addresses[0].Where, What: what, Fix: "an fe80:: address first", Source: b.tree.SourceLine(in.Addresses[0].Where)})
		}
	}
}

// The longest interval that 12 bits of centiseconds hold (RFC 9568 §5.2.7).
const longestInterval = 40950 * time.Millisecond

// finishInterval settles the interval's granularity.
func (b *builder) finishInterval(in *instance) {
	unit, word := time.Second, "whole seconds" // RFC 3768 §5.3.7
	if in.Version == 3 {
		unit, word = 10*time.Millisecond, "hundredths of a second"
	}
	rounded := max(unit, in.AdvertInterval.Round(unit))
	if rounded != in.AdvertInterval {
		fix := ""
		if in.Version == 2 {
			fix = "version 3 on all nodes, which has hundredths of a second, or advert_int " + strconv.Itoa(int(rounded/time.Second))
		}
		b.warn("advert-interval-rounded", in.where("advert_int"), fmt.Sprintf("vrrp_instance %s: VRRP version %d has %s; advert_int %s becomes %s", in.Name, in.Version, word, formatSeconds(in.AdvertInterval), formatSeconds(rounded)), fix)
		in.AdvertInterval = rounded
	}
	if in.Version == 3 && in.AdvertInterval > longestInterval {
		b.warn("advert-interval-rounded", in.where("advert_int"), fmt.Sprintf("vrrp_instance %s: the longest interval of VRRP version 3 is 40.95 s; advert_int %s becomes that", in.Name, formatSeconds(in.AdvertInterval)), "advert_int 40.95")
		in.AdvertInterval = longestInterval
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
	if in.Strict && in.State == "MASTER" && in.Priority != 255 {
		b.warn("strict-ignores", in.where("state"), fmt.Sprintf("vrrp_instance %s: strict_mode knows state MASTER with priority 255 only; it starts as BACKUP", in.Name), "state BACKUP")
		in.State = "BACKUP"
	}
	if in.NoPreempt && in.State == "MASTER" {
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
	if in.TimerExpiredBackup != 0 && !in.NoPreempt {
		kw := "timer_expired_backup"
		if !in.given(kw) {
			kw = "thread_timer_expired"
		}
		b.warn("timer-expired-cleared", in.where(kw), fmt.Sprintf("vrrp_instance %s: %s needs nopreempt and is ignored", in.Name, kw), "nopreempt")
		in.TimerExpiredBackup = 0
	}
	b.finishOwner(in)
}

// finishOwner settles owner_ignore_adverts, which is for priority 255 only.
func (b *builder) finishOwner(in *instance) {
	const kw = "owner_ignore_adverts"
	switch {
	case in.Priority != 255 && in.given(kw) && in.OwnerIgnoreAdverts:
		b.warn("owner-ignores-adverts", in.where(kw), fmt.Sprintf("vrrp_instance %s: %s is for priority 255 and is ignored", in.Name, kw), "remove it")
	case in.Priority == 255 && in.given(kw) && !in.OwnerIgnoreAdverts:
		b.warn("owner-ignores-adverts", in.where(kw), fmt.Sprintf("vrrp_instance %s: %s false is ignored; with priority 255 the line means true (keepalived would do so too)", in.Name, kw), "remove it")
		in.OwnerIgnoreAdverts = true
	}
	in.OwnerIgnoreAdverts = in.Priority == 255 && (in.OwnerIgnoreAdverts || in.Strict)
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

// finishTracking drops the instance's own interface, and for an owner of the
// addresses, whose priority stands, every weight.
func (b *builder) finishTracking(in *instance) {
	in.TrackInterfaces = slices.DeleteFunc(in.TrackInterfaces, func(t Track) bool {
		own := t.Name == in.Interface && !in.DontTrackPrimary
		if own {
			b.warnAt("own-interface-tracked", t.Where, fmt.Sprintf("%s is vrrp_instance %s's own interface, which is always tracked; the line is ignored", t.Name, in.Name), "remove the line")
		}
		return own
	})
	if in.Priority == 255 {
		b.dropWeighted("owner-weight", in, []string{"track_interface", "track_script", "track_file", "track_process", "track_bfd"}, func(t Track) (string, string) {
			return fmt.Sprintf("vrrp_instance %s: priority 255 does not change; tracking %s with a weight is ignored", in.Name, t.Name), "priority 254, or no weight"
		})
	}
}

// lists are the lists of a Tracking by their keyword.
func (t *Tracking) lists() map[string]*[]Track {
	return map[string]*[]Track{
		"track_interface": &t.TrackInterfaces, "track_script": &t.TrackScripts, "track_file": &t.TrackFiles,
		"track_process": &t.TrackProcesses, "track_bfd": &t.TrackBFD,
	}
}

// dropWeighted removes the lines that have a weight from the lists of the named
// keywords, and reports each with what say returns.
func (b *builder) dropWeighted(rule string, in *instance, kws []string, say func(Track) (what, fix string)) {
	lists := in.lists()
	for _, kw := range kws {
		*lists[kw] = slices.DeleteFunc(*lists[kw], func(t Track) bool {
			weighted := b.trackedWeight(kw, t) != 0
			if weighted {
				what, fix := say(t)
				b.warnAt(rule, t.Where, what, fix)
			}
			return weighted
		})
	}
}

// refuse reports what an instance cannot start without.
func (b *builder) refuse(in *instance, rule, what, fix string) {
	b.report(finding.Error, rule, in.at, fmt.Sprintf("vrrp_instance %s %s", in.Name, what), fix)
	in.refused = true
}

// finishRequired reports what is missing, and puts addresses that name no
// interface on the instance's own.
func (b *builder) finishRequired(in *instance) {
	if in.Interface == "" && (len(in.Peers) == 0 || !in.SourceAddr.IsValid()) {
		b.refuse(in, "missing-interface", "has no interface", "interface eth0")
	}
	if in.VRID == 0 {
		b.refuse(in, "missing-vrid", "has no virtual_router_id", "virtual_router_id 51, a number that is free on the segment")
	}
	switch {
	case len(in.Addresses) > 0 || in.refused:
	case in.Version == 3 || in.Strict:
		if in.NoAddresses && !in.Strict {
			break
		}
		why := "VRRP version 3"
		if in.Version != 3 {
			why = "strict_mode"
		}
		b.refuse(in, "missing-addresses", "has no virtual_ipaddress, and "+why+" needs one (keepalived would not start)", "virtual_ipaddress { ... }")
	case in.NoAddresses:
	case len(in.Excluded) > 0:
		b.report(finding.Warning, "no-addresses", in.at, fmt.Sprintf("vrrp_instance %s has no virtual_ipaddress: its adverts name no address", in.Name), "one of the addresses in virtual_ipaddress, or no_virtual_ipaddress")
	default:
		b.warn("no-addresses", in.at, fmt.Sprintf("vrrp_instance %s has no virtual_ipaddress: it elects a MASTER that serves no address", in.Name), "virtual_ipaddress { ... }")
	}
	for _, list := range [][]Address{in.Addresses, in.Excluded} {
		for i := range list {
			if list[i].Dev == "" {
				list[i].Dev = in.Interface
			}
		}
	}
}

// maxAddresses is what the count of addresses in an advert can hold.
const maxAddresses = 255

// finishSpace moves the addresses that do not fit into an advert to those that
// are not advertised. A packet of 1500 bytes is assumed.
func (b *builder) finishSpace(in *instance) {
	most := maxAddresses
	if in.IPv6 {
		most = 89 // as keepalived counts
	}
	if len(in.Addresses) <= most {
		return
	}
	b.warnAt("too-many-addresses", in.Addresses[most].Where, fmt.Sprintf("vrrp_instance %s has %d virtual addresses, and an advert holds %d; those from here on are served and not advertised", in.Name, len(in.Addresses), most), "virtual_ipaddress_excluded for the rest")
	in.Excluded = append(slices.Clone(in.Addresses[most:]), in.Excluded...)
	in.Addresses = in.Addresses[:most]
}

// finishUnique refuses two instances with the same VRID on one interface, of
// one family and with the same peers: they would take each other's adverts for
// their own.
func (b *builder) finishUnique() {
	type key struct {
		iface string
		vrid  int
		ipv6  bool
	}
	seen := map[key][]*instance{}
	for _, in := range b.pending {
		if in.refused {
			continue
		}
		k := key{in.Interface, in.VRID, in.IPv6}
		if i := slices.IndexFunc(seen[k], func(o *instance) bool { return b.overhears(in, o) }); i >= 0 {
			first := seen[k][i]
			b.report(finding.Error, "duplicate-vrid", in.at, fmt.Sprintf("vrrp_instance %s has virtual_router_id %d on %s, as has %s at %s", in.Name, in.VRID, in.Interface, first.Name, first.Where), "give each instance on an interface its own virtual_router_id")
			in.refused = true
			continue
		}
		seen[k] = append(seen[k], in)
	}
}

// overhears reports whether two instances with one VRID get the same adverts:
// those of one multicast group, or of a peer that both have.
func (b *builder) overhears(x, y *instance) bool {
	if len(x.Peers) == 0 && len(y.Peers) == 0 {
		return b.group(x) == b.group(y)
	}
	return slices.ContainsFunc(x.Peers, func(p Peer) bool {
		return slices.ContainsFunc(y.Peers, func(o Peer) bool { return o.Addr == p.Addr })
	})
}

// group is the multicast group of an instance; the default of its family is
// invalid.
func (b *builder) group(in *instance) netip.Addr {
	g := in.McastGroup
	switch {
	case in.IPv6 && !g.IsValid():
		g = b.cfg.Global.VRRP.McastGroup6
	case !g.IsValid():
		g = b.cfg.Global.VRRP.McastGroup4
	}
	if g == mcast4 || g == mcast6 {
		return noAddr
	}
	return g
}

var (
	mcast4 = netip.MustParseAddr("224.0.0.18")
	mcast6 = netip.MustParseAddr("ff02::12")
)

// finishWire settles whether kaname can speak what the instance speaks. One that
// its peers would not hear must not run: both would be MASTER.
func (b *builder) finishWire(in *instance) {
	if in.IPv6 {
		in.lack("IPv6", in.familyAt)
	}
	if in.Version == 3 && !in.IPv6 {
		in.lack("VRRP version 3", in.where("version"))
	}
	if len(in.Peers) > 0 {
		in.lack("unicast_peer", in.where("unicast_peer"))
	}
	if len(in.Peers) == 0 && !in.IPv6 && b.group(in).IsValid() {
		kw := "mcast_dst_ip"
		if !in.McastGroup.IsValid() {
			kw = "vrrp_mcast_group4"
		}
		in.lack(kw, in.where(kw))
	}
	if in.NotRun != "" || in.refused {
		return
	}
	if len(in.lacks) == 0 {
		b.otherFamily(in)
		return
	}
	in.NotRun = "not supported yet: " + strings.Join(in.lacks, ", ")
	b.warn("not-supported", in.lacksAt, fmt.Sprintf("not supported yet: %s: vrrp_instance %s is left out and does not run", strings.Join(in.lacks, ", "), in.Name), "")
}

// otherFamily says that IPv6 addresses beside IPv4 adverts are not served.
func (b *builder) otherFamily(in *instance) {
	for _, a := range in.Excluded {
		if a.Prefix.Addr().Is6() {
			b.warnAt("not-supported", a.Where, fmt.Sprintf("not supported yet: IPv6 address %s; it is left out", a.Prefix.Addr()), "")
		}
	}
}
