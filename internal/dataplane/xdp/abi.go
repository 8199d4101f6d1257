package xdp

import (
	"net/netip"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func serviceKeyOf(k lvs.ServiceKey) prog.ServiceKey {
	var r prog.ServiceKey
	r.Addr.B = k.Addr.As16()
	r.Port, r.Proto = prog.Port(k.Port), uint8(k.Protocol)
	return r
}

func lvsKeyOf(r prog.ServiceKey) lvs.ServiceKey {
	return lvs.ServiceKey{Protocol: lvs.Protocol(r.Proto), Addr: netip.AddrFrom16(r.Addr.B).Unmap(), Port: prog.PortFrom(r.Port)}
}

// countsActive reports whether an entry with this state word counts as active.
// Those of UDP stay in StateNone, which does not.
func countsActive(word uint32) bool {
	return lvs.ConnState(word & prog.StateMask).Active(lvs.TCP)
}

// lastWeight is the field of a destination record in which user space keeps
// the last weight that was not 0, for mh's table.
func lastWeight(r *prog.Dest) *uint32 { return &r.Pad2 }
