package statedump

import (
	"fmt"
	"io"
)

// WriteParent prints keepalived_parent.data.
func WriteParent(w io.Writer, s *State) error {
	p := printer{w: w}
	s.global(&p)
	return p.err
}

// global is the section that all dumps begin with.
func (s *State) global(p *printer) {
	g := s.Config.Global
	p.line("------< Global definitions >------")
	namespace := s.Namespace
	if namespace == "" {
		namespace = "(default)"
	}
	p.line(" Network namespace = %s", namespace)
	if s.Config.Process.Instance != "" {
		p.line(" Instance = %s", s.Config.Process.Instance)
	}
	p.line(" Router ID = %s", g.RouterID)
	p.line(" Default smtp_alert = %s", unset(g.Mail.Alert))
	p.line(" Default smtp_alert_vrrp = %s", unset(g.Mail.AlertVRRP))
	p.line(" Default smtp_alert_checker = %s", unset(g.Mail.AlertChecker))
	p.line(" Checkers log all failures = %t", g.CheckerLogAllFailures)
	p.line(" Dynamic interfaces = %s", word(g.DynamicInterfaces != "", "true", "false"))
	p.line(" Disable local IGMP = %s", yes(g.DisableLocalIGMP))
	s.globalSync(p)
	p.line(" LVS flush = %t", g.LVSFlush)
	p.line(" LVS flush on stop = %s", flushOnStop(g.LVSFlushOnStop))
	if g.FIFO.All.Path != "" {
		p.line(" Global notify fifo = %s", g.FIFO.All.Path)
	}
	p.line(" FIFO write vrrp states on reload = %t", g.FIFO.StatesOnReload)
	p.line(" VRRP notify priority changes = %t", g.FIFO.PriorityChanges)
	s.globalVRRP(p)
	p.line(" Script security %s", word(g.ScriptSecurity, "enabled", "disabled"))
	uid, gid := s.ids(g.ScriptUser)
	p.line(" Default script uid:gid %d:%d", uid, gid)
	p.line(" rs_init_notifies = %d", bit(g.RSInitNotifies))
	p.line(" no_checker_emails = %d", bit(g.Mail.NoCheckers))
	p.line(" umask = 0%03o", s.Umask)
}

func (s *State) globalSync(p *printer) {
	d := s.Config.Global.SyncDaemon
	if d == nil {
		return
	}
	p.line(" LVS sync daemon interface = %s", d.Interface)
	if d.Instance != "" {
		p.line(" LVS sync daemon vrrp instance = %s", d.Instance)
	}
	p.line(" LVS sync daemon sync id = %d", d.SyncID)
	p.line(" LVS sync daemon max len = %d", d.MaxLen)
	p.line(" LVS sync mcast group = %s", d.Group)
	p.line(" LVS sync mcast port = %d", d.Port)
	p.line(" LVS sync mcast ttl = %d", d.TTL)
}

func (s *State) globalVRRP(p *printer) {
	v := s.Config.Global.VRRP
	group := func(a fmt.Stringer, valid bool, or string) string {
		if valid {
			return a.String()
		}
		return or
	}
	p.line(" VRRP IPv4 mcast group = %s", group(v.McastGroup4, v.McastGroup4.IsValid(), "224.0.0.18"))
	p.line(" VRRP IPv6 mcast group = %s", group(v.McastGroup6, v.McastGroup6.IsValid(), "ff02::12"))
	lowerDelay, lowerRepeat := v.GARPLowerDelay, v.GARPLowerRepeat
	if lowerDelay < 0 {
		lowerDelay = v.GARPDelay
	}
	if lowerRepeat < 0 {
		lowerRepeat = v.GARPRepeat
	}
	p.line(" Gratuitous ARP delay = %d", seconds(v.GARPDelay))
	p.line(" Gratuitous ARP repeat = %d", v.GARPRepeat)
	p.line(" Gratuitous ARP refresh timer = %d", seconds(v.GARPRefresh))
	p.line(" Gratuitous ARP refresh repeat = %d", v.GARPRefreshRep)
	p.line(" Gratuitous ARP lower priority delay = %d", seconds(lowerDelay))
	p.line(" Gratuitous ARP lower priority repeat = %d", lowerRepeat)
	p.line(" Num adverts before down = %d", v.DownTimerAdverts)
	p.line(" Send advert after receive lower priority advert = %t", !v.LowerPrioNoAdvert)
	p.line(" Send advert after receive higher priority advert = %t", v.HigherPrioSendAdvert)
	p.line(" Gratuitous ARP interval = %f", v.GARPInterval.Seconds())
	p.line(" Gratuitous NA interval = %f", v.GNAInterval.Seconds())
	p.line(" VRRP default protocol version = %d", v.Version)
	p.line(" VRRP check unicast_src = %t", v.CheckUnicastSrc)
	p.line(" VRRP skip check advert addresses = %t", v.SkipCheckAdvAddr)
	p.line(" VRRP strict mode = %t", v.Strict)
}

func unset(b *bool) string {
	if b == nil {
		return "unset"
	}
	return word(*b, "on", "off")
}

func flushOnStop(s string) string {
	switch s {
	case "":
		return "disabled"
	case "VS":
		return "VS"
	}
	return "enabled"
}
