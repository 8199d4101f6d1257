package xdp

import (
	"encoding/binary"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// The records of abi.h, under the names that this package uses.
type (
	flowKey     = prog.XDPFlow
	connEntry   = prog.XDPConn
	replyEntry  = prog.XDPReply
	connSet     = prog.XDPConnSet
	serviceKey  = prog.XDPServiceKey
	serviceRec  = prog.XDPService
	serviceRun  = prog.XDPServiceRun
	destRec     = prog.XDPDest
	destCount   = prog.XDPDestCount
	counterRec  = prog.XDPCounters
	settingsRec = prog.XDPSettingsBlock
	runtimeRec  = prog.XDPRuntimeBlock
	clockRec    = prog.XDPClock
	metaRec     = prog.XDPMetaBlock
)

// The constants of abi.h that are macros there, and shorter names for the
// others.
const (
	schemaVersion = 1

	ways       = 8
	tagFree    = 0
	tagClaimed = 1
	locNone    = 0
	locStash   = 0xffffffff
	slotEmpty  = 0xffffffff
	scanMax    = 4096

	stateMask     = uint32(prog.XDPConnWordCONN_STATE_MASK)
	stateDead     = uint32(prog.XDPConnStateSTATE_DEAD)
	connReply     = uint32(prog.XDPConnWordCONN_REPLY)
	connTentative = uint32(prog.XDPConnWordCONN_TENTATIVE)
	epochShift    = uint32(prog.XDPConnWordCONN_EPOCH_SHIFT)

	schedRing = uint32(prog.XDPSchedKindSCHED_RING)
	schedSH   = uint32(prog.XDPSchedKindSCHED_SH)
	schedMH   = uint32(prog.XDPSchedKindSCHED_MH)
	schedLC   = uint32(prog.XDPSchedKindSCHED_LC)
	schedWLC  = uint32(prog.XDPSchedKindSCHED_WLC)

	serviceHashPort = uint32(prog.XDPServiceFlagsSERVICE_HASH_PORT)
	serviceFallback = uint32(prog.XDPServiceFlagsSERVICE_FALLBACK)

	methodNAT = uint8(prog.XDPMethodMETHOD_NAT)
	methodDR  = uint8(prog.XDPMethodMETHOD_DR)

	destAvailable = uint32(prog.XDPDestFlagsDEST_AVAILABLE)
	destResolved  = uint32(prog.XDPDestFlagsDEST_RESOLVED)
	destLocal     = uint32(prog.XDPDestFlagsDEST_LOCAL)

	dcountAvailable = uint32(prog.XDPDcountFlagsDCOUNT_AVAILABLE)
	dcountOverload  = uint32(prog.XDPDcountFlagsDCOUNT_OVERLOAD)

	settingAnyPort  = uint32(prog.XDPSettingFlagsSETTING_ANY_PORT)
	settingCheckMAC = uint32(prog.XDPSettingFlagsSETTING_CHECK_MAC)

	timeoutUDP = 11
)

// jumpNames are the ends of the names of the programs that tail calls reach.
var jumpNames = map[prog.XDPJump]string{
	prog.XDPJumpJUMP_FULL: "full", prog.XDPJumpJUMP_ICMP: "icmp",
	prog.XDPJumpJUMP_FRAG: "frag", prog.XDPJumpJUMP_REJECT: "reject",
}

// reasonNames are the words for enum reason, in its order.
var reasonNames = [prog.XDPReasonREASON_MAX]string{
	"not-ipv4", "not-l4", "no-service", "truncated", "malformed", "other-host", "multicast-mac", "local", "no-conn",
	"icmp-unrelated", "frag-unknown", "no-dest", "reject-sent", "dest-gone", "unresolved", "ttl", "table-full",
	"reply-clash", "claim-race", "stateless", "reclaimed", "expired", "reused", "stashed", "no-jump", "internal",
	"rewrite",
}

// be16 is a port as the maps hold it: the bytes of network order in a native
// integer. It is its own inverse.
func be16(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

// be32 returns the address whose four bytes a flow key holds.
func addrOf(be uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], be)
	return netip.AddrFrom4(b)
}

// rawAddr is the inverse of addrOf.
func rawAddr(a netip.Addr) uint32 {
	b := a.As4()
	return binary.NativeEndian.Uint32(b[:])
}

// mapped is an address as service and destination records hold it.
func mapped(a netip.Addr) [16]byte { return a.As16() }

func serviceKeyOf(k lvs.ServiceKey) serviceKey {
	var r serviceKey
	r.Addr.B = mapped(k.Addr)
	r.Port, r.Proto = be16(k.Port), uint8(k.Protocol)
	return r
}

func lvsKeyOf(r serviceKey) lvs.ServiceKey {
	return lvs.ServiceKey{Protocol: lvs.Protocol(r.Proto), Addr: netip.AddrFrom16(r.Addr.B).Unmap(), Port: be16(r.Port)}
}

// counts reports whether an entry in this state counts as active. UDP entries
// stay in StateNone, which does not.
func countsActive(word uint32) bool {
	return lvs.ConnState(word & stateMask).Active(lvs.TCP)
}
