package statedump

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
)

// WriteVRRP prints keepalived.data.
func WriteVRRP(w io.Writer, s *State) error {
	p := printer{w: w}
	s.global(&p)
	p.line("------< VRRP Topology >------")
	for _, in := range s.Config.Instances {
		s.instance(&p, in)
	}
	if len(s.Config.SyncGroups) > 0 {
		p.line("------< VRRP Sync groups >------")
	}
	for _, g := range s.Config.SyncGroups {
		s.group(&p, g)
	}
	if len(s.Config.Scripts) > 0 {
		p.line("------< VRRP Scripts >------")
	}
	for _, sc := range s.Config.Scripts {
		s.trackScript(&p, sc)
	}
	s.interfaces(&p)
	return p.err
}

func (s *State) instance(p *printer, in *config.Instance) {
	now := s.Instances[in.Name]
	p.line(" VRRP Instance = %s", in.Name)
	p.line("   VRRP Version = %d", in.Version)
	for _, g := range s.Config.SyncGroups {
		for _, m := range g.Members {
			if m == in.Name {
				p.line("   Sync group = %s", g.Name)
			}
		}
	}
	p.line("   State = %s", now.State)
	p.line("   Flags: none")
	p.line("   Wantstate = %s", now.State)
	p.line("   Number of config faults = 0")
	p.line("   Last transition = %s (%s)", unixMicro(now.Since), now.Since.Format("Mon Jan _2 15:04:05.000000 2006"))
	down := time.Duration(in.DownTimerAdverts)*in.AdvertInterval + time.Duration(256-now.EffectivePriority)*time.Second/256
	p.line("   Master down timer = %d usecs", down.Microseconds())
	p.line("   Interface = %s", in.Interface)
	if in.DontTrackPrimary {
		p.line("   VRRP interface tracking disabled")
	}
	if in.SkipCheckAdvAddr {
		p.line("   Skip checking advert IP addresses")
	}
	source := "(none)"
	if now.Source.IsValid() {
		source = now.Source.String()
	}
	if in.SourceAddr.IsValid() {
		source += " (from configuration)"
	}
	p.line("   Using src_ip = %s", source)
	p.line("   Multicast address 224.0.0.18")
	s.timing(p, in, now)
	s.carried(p, in, now)
	s.tracked(p, in.Tracking)
	p.line("   Using smtp notification = %s", yes(in.SMTPAlert))
	p.line("   Notify deleted = %s", word(in.Notify.Deleted, "Deleted", "Fault"))
	s.notify(p, in.Notify)
	p.line("   Notify priority changes = %t", in.PriorityChanges)
}

func (s *State) timing(p *printer, in *config.Instance, now Instance) {
	p.line("   Gratuitous ARP delay = %d", seconds(in.GARPDelay))
	p.line("   Gratuitous ARP repeat = %d", in.GARPRepeat)
	p.line("   Gratuitous ARP refresh = %d", seconds(in.GARPRefresh))
	p.line("   Gratuitous ARP refresh repeat = %d", in.GARPRefreshRep)
	p.line("   Gratuitous ARP lower priority delay = %d", seconds(in.GARPLowerDelay))
	p.line("   Gratuitous ARP lower priority repeat = %d", in.GARPLowerRepeat)
	p.line("   Down timer adverts = %d", in.DownTimerAdverts)
	p.line("   Send advert after receive lower priority advert = %t", !in.LowerPrioNoAdvert)
	p.line("   Send advert after receive higher priority advert = %t", in.HigherPrioSendAdvert)
	p.line("   Virtual Router ID = %d", in.VRID)
	p.line("   Priority = %d", in.Priority)
	p.line("   Effective priority = %d", now.EffectivePriority)
	p.line("   Total priority = %d", now.EffectivePriority)
	p.line("   Advert interval = %s", advert(in))
	p.line("   Accept = %s", word(!in.NoAccept, "enabled", "disabled"))
	p.line("   Preempt = %s", word(!in.NoPreempt, "enabled", "disabled"))
	if in.PreemptDelay > 0 {
		p.line("   Preempt delay = %s secs", trim(in.PreemptDelay))
	}
	p.line("   Promote_secondaries = %s", word(in.PromoteSecondaries, "enabled", "disabled"))
}

// carried is the authentication and the addresses.
func (s *State) carried(p *printer, in *config.Instance, now Instance) {
	if in.Version != 3 {
		name := map[config.AuthType]string{config.AuthPass: "SIMPLE_PASSWORD", config.AuthAH: "IPSEC_AH"}[in.Auth]
		if name == "" {
			name = "none"
		}
		p.line("   Authentication type = %s", name)
		if in.Auth == config.AuthPass {
			p.line("   Password = %s", s.secret(string(in.AuthPass)))
		}
	}
	p.line("   Virtual IP (%d):", len(in.Addresses))
	for _, a := range in.Addresses {
		p.line("     %s", address(a, in.Interface, now.AddressesSet))
	}
	if len(in.Excluded) > 0 {
		p.line("   Virtual IP Excluded :")
	}
	for _, a := range in.Excluded {
		p.line("     %s", address(a, in.Interface, now.AddressesSet))
	}
	if len(in.Routes) > 0 {
		p.line("   Virtual Routes :")
	}
	for _, r := range in.Routes {
		p.line("     %s", route(r))
	}
}

func (s *State) tracked(p *printer, t config.Tracking) {
	if len(t.TrackInterfaces) > 0 {
		p.line("   Tracked interfaces :")
	}
	for _, i := range t.TrackInterfaces {
		p.line("     %s weight %d%s", i.Name, i.Weight, reverse(i.Reverse))
	}
	if len(t.TrackScripts) > 0 {
		p.line("   Tracked scripts :")
	}
	for _, i := range t.TrackScripts {
		weight, rev := s.weight(i)
		p.line("     %s weight %d%s", i.Name, weight, reverse(rev))
	}
}

// weight is the line's own, else the script's.
func (s *State) weight(t config.Track) (int, bool) {
	if sc := s.script(t.Name); sc != nil && !t.HasWeight {
		return sc.Weight, sc.Reverse
	}
	return t.Weight, t.Reverse
}

func (s *State) notify(p *printer, n config.Notify) {
	for _, c := range []struct {
		name string
		cmd  config.Command
	}{
		{"Backup", n.Backup},
		{"Master", n.Master},
		{"Fault", n.Fault},
		{"Stop", n.Stop},
		{"Deleted", n.DeletedCommand},
		{"Generic", n.Generic},
		{"Master rx lower pri", n.MasterRxLowerPri},
	} {
		if c.cmd.Set() {
			p.line("   %s state transition script = %s", c.name, s.withIDs(c.cmd))
		}
	}
}

func (s *State) withIDs(c config.Command) string {
	uid, gid := s.ids(c.User)
	return fmt.Sprintf("%s, uid:gid %d:%d", command(c), uid, gid)
}

func (s *State) ids(u config.User) (uid, gid uint32) {
	if s.IDs == nil {
		return 0, 0
	}
	return s.IDs(u)
}

func (s *State) group(p *printer, g *config.SyncGroup) {
	p.line(" VRRP Sync Group = %s, %s", g.Name, s.Groups[g.Name])
	p.line("   VRRP member instances :")
	for _, m := range g.Members {
		p.line("     %s", m)
	}
	s.tracked(p, g.Tracking)
	p.line("   Using smtp notification = %s", yes(g.SMTPAlert))
	s.notify(p, g.Notify)
}

func (s *State) trackScript(p *printer, sc *config.Script) {
	now := s.Scripts[sc.Name]
	p.line(" VRRP Script = %s", sc.Name)
	p.line("   Command = %s", command(sc.Command))
	p.line("   Interval = %s sec", trim(sc.Interval))
	p.line("   Timeout = %s sec", trim(sc.Timeout))
	p.line("   Weight = %d%s", sc.Weight, reverse(sc.Reverse))
	p.line("   Rise = %d", sc.Rise)
	p.line("   Fall = %d", sc.Fall)
	p.line("   Insecure = no")
	status := "INIT"
	if now.Known {
		status = word(now.Up, "GOOD", "BAD")
	}
	p.line("   Status = %s", status)
	uid, gid := s.ids(sc.Command.User)
	p.line("   Script uid:gid = %d:%d", uid, gid)
	p.line("   Tracking instances :")
	for _, in := range s.Config.Instances {
		for _, t := range in.TrackScripts {
			if t.Name == sc.Name {
				w, rev := s.weight(t)
				p.line("     %s, weight %d%s", in.Name, w, reverse(rev))
			}
		}
	}
}

func (s *State) interfaces(p *printer) {
	p.line("------< Interfaces >------")
	for _, i := range s.Interfaces {
		p.line(" Name = %s", i.Name)
		p.line("   index = %d", i.Index)
		addr := "(none)"
		if i.Addr.IsValid() {
			addr = i.Addr.String()
		}
		p.line("   IPv4 address = %s", addr)
		if i.MAC != "" {
			p.line("   MAC = %s", i.MAC)
		}
		p.line("   State = %s", word(i.Up, "UP, RUNNING", "not UP, not RUNNING"))
		p.line("   MTU = %d", i.MTU)
		if len(i.Tracked) > 0 {
			p.line("   Tracking VRRP instances :")
		}
		for _, name := range i.Tracked {
			p.line("     %s, weight 0", name)
		}
	}
}

// address is "10.9.0.100/24 dev eth0 scope global label eth0:1 set".
func address(a config.Address, iface string, set bool) string {
	var b strings.Builder
	b.WriteString(a.Prefix.Addr().String())
	if a.Prefix.Bits() != a.Prefix.Addr().BitLen() {
		fmt.Fprintf(&b, "/%d", a.Prefix.Bits())
	}
	dev, scope := a.Dev, a.Scope
	if dev == "" {
		dev = iface
	}
	if scope == "" {
		scope = "global"
	}
	fmt.Fprintf(&b, " dev %s scope %s", dev, scope)
	if a.Label != "" {
		b.WriteString(" label " + a.Label)
	}
	if a.Prefix.Addr().Is6() {
		b.WriteString(" preferred_lft forever")
	}
	if set {
		b.WriteString(" set")
	}
	return b.String()
}

// route is "prepend 10.77.0.0/24 via inet 10.9.0.5 dev eth0 proto 18".
func route(r config.Route) string {
	var b strings.Builder
	b.WriteString("prepend " + r.Dest.String())
	if r.Via.IsValid() {
		b.WriteString(" via " + word(r.Via.Is6(), "inet6 ", "inet ") + r.Via.String())
	}
	if r.Dev != "" {
		b.WriteString(" dev " + r.Dev)
	}
	b.WriteString(" proto 18")
	return b.String()
}

func advert(in *config.Instance) string {
	if in.Version == 3 {
		return fmt.Sprintf("%d milli-sec", in.AdvertInterval.Milliseconds())
	}
	return fmt.Sprintf("%d sec", seconds(in.AdvertInterval))
}

// trim is a duration in seconds, with as many digits as it needs.
func trim(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.6f", d.Seconds()), "0"), ".")
}

func reverse(b bool) string { return word(b, " reverse", "") }

func yes(b bool) string { return word(b, "yes", "no") }

func word(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
