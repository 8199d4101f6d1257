package config

import "fmt"

// finishStrict carries out strict_mode: what the RFC does not have is cleared
// (behaviour.md, "Strict mode").
func (b *builder) finishStrict(in *instance) {
	if !in.Strict {
		return
	}
	d := b.cfg.Global.VRRP
	reset := func(cond bool, kw, what string) {
		if cond {
			b.warn("strict-ignores", in.where(kw), fmt.Sprintf("vrrp_instance %s: strict_mode has no %s; it is ignored", in.Name, what), "remove it, or strict_mode off")
		}
	}
	reset(in.Auth != AuthNone, "authentication", "authentication")
	in.Auth, in.AuthPass = AuthNone, ""
	reset(in.PreemptDelay > 0, "preempt_delay", "preempt_delay")
	in.PreemptDelay = 0
	reset(in.DownTimerAdverts != 3, "down_timer_adverts", "down_timer_adverts other than 3")
	in.DownTimerAdverts = 3
	reset(in.given("garp_lower_prio_repeat") && in.GARPLowerRepeat != 0, "garp_lower_prio_repeat", "garp_lower_prio_repeat")
	reset(in.given("garp_lower_prio_delay") && in.GARPLowerDelay != 0, "garp_lower_prio_delay", "garp_lower_prio_delay")
	in.GARPLowerRepeat, in.GARPLowerDelay = 0, 0
	reset(in.given("lower_prio_no_advert") && !in.LowerPrioNoAdvert, "lower_prio_no_advert", "lower_prio_no_advert false")
	in.LowerPrioNoAdvert = true
	reset(in.HigherPrioSendAdvert && (in.given("higher_prio_send_advert") || d.HigherPrioSendAdvert), "higher_prio_send_advert", "higher_prio_send_advert")
	in.HigherPrioSendAdvert = false
	reset(in.VMACXmitBase, "vmac_xmit_base", "vmac_xmit_base")
	in.VMACXmitBase = false
	reset(in.NoAddresses, "no_virtual_ipaddress", "no_virtual_ipaddress")
	in.NoAddresses = false
	if in.VMAC != nil && in.VMAC.MAC != "" {
		reset(true, "use_vmac", "MAC address of its own")
		in.VMAC.MAC = ""
	}
	b.strictAccept(in)
}

// strictAccept settles whether packets to the addresses are accepted: an owner
// does, others in version 3 only when accept says so.
func (b *builder) strictAccept(in *instance) {
	switch {
	case in.Priority == 255:
		in.NoAccept = false
	case in.Version == 2 && in.given("accept") && !in.NoAccept:
		b.warn("strict-ignores", in.where("accept"), fmt.Sprintf("vrrp_instance %s: strict_mode has no accept in version 2 (RFC 3768); it is ignored, and packets to the addresses are dropped (keepalived would drop them, kaname does not yet)", in.Name), "version 3, or strict_mode off")
		in.NoAccept = true
	case !in.given("accept"):
		in.NoAccept = true
	}
}
