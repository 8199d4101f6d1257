package prog

import (
	"encoding/binary"
	"net/netip"
)

// The structs of bpf/abi.h, field by field. Addresses and ports in them are in
// network byte order in memory: fill and read them with Addr4, Port and their
// inverses. Their meaning, and the rules for touching them while packets do,
// are written in bpf/abi.h.

type (
	// Conn is a forward entry of the connection table.
	Conn = XDPConn
	// Reply is a reply entry (NAT), in the place of a Conn.
	Reply = XDPReply
	// ConnSet is a set of the connection table: tags and ways.
	ConnSet = XDPConnSet
	// Flow is the key of an entry.
	Flow = XDPFlow
	// Dest is a destination.
	Dest = XDPDest
	// DestCount is what the scan schedulers read of a destination.
	DestCount = XDPDestCount
	// ServiceKey is the key of the services map.
	ServiceKey = XDPServiceKey
	// Service is a virtual service.
	Service = XDPService
	// ServiceRun is what the packet path writes about a service.
	ServiceRun = XDPServiceRun
	// Settings is the one element of the settings map.
	Settings = XDPSettingsBlock
	// Runtime is the one element of the runtime map.
	Runtime = XDPRuntimeBlock
	// Counters are traffic counters.
	Counters = XDPCounters
	// Clock is the context of lb_clock.
	Clock = XDPClock
	// Meta is the one element of the meta map.
	Meta = XDPMetaBlock
	// Frag is where the fragments of one datagram go.
	Frag = XDPFrag
	// FragKey is the key of a Frag.
	FragKey = XDPFragKey
	// Event is a connection to announce.
	Event = XDPEvent
	// Ask is a connection whose client's MAC a reply needs.
	Ask = XDPAsk
	// Arrival is a connection that another director announced.
	Arrival = XDPArrival
	// Inject is the context of lb_inject.
	Inject = XDPInject
	// Reason says why a packet was not simply forwarded.
	Reason = XDPReason
)

// Constants of bpf/abi.h that are macros there.
const (
	SchemaVersion = 2
	Ways          = 8
	TagFree       = 0
	TagClaimed    = 1
	LocNone       = 0
	LocStash      = 0xffffffff
	SlotEmpty     = 0xffffffff
	ScanMax       = 4096
	VLANNone      = 0
	VLANKeep      = 0xffff
	TimeoutUDP    = 11
	Inbox         = 256
	ToldNever     = 0
	ToldOverdue   = 1
	ToldShift     = 2
	ToldUnit      = 5
	ToldTime      = 0x3fff
	RefreshMax    = 262112
)

// Bits of the state word and the flag words, untyped so that they combine
// with the uint32 fields that hold them.
const (
	StateMask  = uint32(XDPConnWordCONN_STATE_MASK)
	StateDead  = uint32(XDPConnStateSTATE_DEAD)
	WordReply  = uint32(XDPConnWordCONN_REPLY)
	NoOutput   = uint32(XDPConnWordCONN_NO_OUTPUT)
	Tentative  = uint32(XDPConnWordCONN_TENTATIVE)
	Synced     = uint32(XDPConnWordCONN_SYNCED)
	EpochShift = uint32(XDPConnWordCONN_EPOCH_SHIFT)

	SchedRing = uint32(XDPSchedKindSCHED_RING)
	SchedSH   = uint32(XDPSchedKindSCHED_SH)
	SchedMH   = uint32(XDPSchedKindSCHED_MH)
	SchedLC   = uint32(XDPSchedKindSCHED_LC)
	SchedWLC  = uint32(XDPSchedKindSCHED_WLC)

	ServiceHashPort = uint32(XDPServiceFlagsSERVICE_HASH_PORT)
	ServiceFallback = uint32(XDPServiceFlagsSERVICE_FALLBACK)

	MethodNAT = uint8(XDPMethodMETHOD_NAT)
	MethodDR  = uint8(XDPMethodMETHOD_DR)

	DestAvailable = uint32(XDPDestFlagsDEST_AVAILABLE)
	DestResolved  = uint32(XDPDestFlagsDEST_RESOLVED)
	DestLocal     = uint32(XDPDestFlagsDEST_LOCAL)

	DcountAvailable = uint32(XDPDcountFlagsDCOUNT_AVAILABLE)
	DcountOverload  = uint32(XDPDcountFlagsDCOUNT_OVERLOAD)

	SettingAnyPort      = uint32(XDPSettingFlagsSETTING_ANY_PORT)
	SettingCheckMAC     = uint32(XDPSettingFlagsSETTING_CHECK_MAC)
	SettingExpireNodest = uint32(XDPSettingFlagsSETTING_EXPIRE_NODEST)
	SettingNoReuse      = uint32(XDPSettingFlagsSETTING_NO_REUSE)

	SettingSync  = uint32(XDPSettingFlagsSETTING_SYNC)
	SyncAtOnce   = uint32(XDPSyncFlagsSYNC_AT_ONCE)
	SyncHalfOpen = uint32(XDPSyncFlagsSYNC_HALF_OPEN)

	ArrivalActive   = uint32(XDPArrivalFlagsARRIVAL_ACTIVE)
	ArrivalNoOutput = uint32(XDPArrivalFlagsARRIVAL_NO_OUTPUT)

	JumpFull   = uint32(XDPJumpJUMP_FULL)
	JumpICMP   = uint32(XDPJumpJUMP_ICMP)
	JumpFrag   = uint32(XDPJumpJUMP_FRAG)
	JumpReject = uint32(XDPJumpJUMP_REJECT)
)

// Addr4 is an IPv4 address as the 32-bit field of a Flow holds it. It panics
// on an address that is not IPv4.
func Addr4(a netip.Addr) uint32 {
	b := a.Unmap().As4()
	return binary.NativeEndian.Uint32(b[:])
}

// Addr4From is the inverse of Addr4.
func Addr4From(v uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

// Port is a port as a 16-bit field in network order holds it.
func Port(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

// PortFrom is the inverse of Port.
func PortFrom(v uint16) uint16 { return Port(v) }

// Place is where the connection table may hold a flow: two sets and the tag
// it has there (words_place of bpf/table.h).
type Place struct {
	Set  [2]uint32
	Tag  uint32
	Hash uint32
}

// PlaceOf is the place of flow f under the settings' seed and mask.
func PlaceOf(s *Settings, f *Flow) Place {
	addrs := uint64(f.Dst)<<32 | uint64(f.Src)
	rest := uint64(f.Proto)<<32 | uint64(f.Dport)<<16 | uint64(f.Sport)
	h := (addrs ^ uint64(s.HashSeed)*0xD6E8FEB86659FD93) * 0x9E3779B97F4A7C15
	h = ((h ^ h>>29) + rest) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>32) * 0x94D049BB133111EB
	h ^= h >> 31
	p := Place{Tag: uint32(h>>32) | 2, Hash: uint32(h)}
	p.Set[0] = uint32(h) & s.ConnsMask
	p.Set[1] = (p.Set[0] ^ (p.Tag*0x9E3779B1>>1 | 1)) & s.ConnsMask
	return p
}

// Locator names a way, Locate is its inverse. Locators 0 (LocNone) and
// LocStash name no way.
func Locator(set uint32, way int) uint32 { return (set<<3 | uint32(way)) + 1 }

// Locate returns the set and way of a locator that names one.
func Locate(loc uint32) (set uint32, way int) { return (loc - 1) >> 3, int((loc - 1) & 7) }

// Reasons are the reason codes in the order of the reasons map.
var Reasons = [...]string{
	XDPReasonREASON_NOT_IPV4:          "not-ipv4",
	XDPReasonREASON_NOT_L4:            "not-tcp-udp",
	XDPReasonREASON_NO_SERVICE:        "no-service",
	XDPReasonREASON_TRUNCATED:         "truncated",
	XDPReasonREASON_MALFORMED:         "malformed",
	XDPReasonREASON_OTHER_HOST:        "other-host",
	XDPReasonREASON_MULTICAST_MAC:     "multicast-mac",
	XDPReasonREASON_LOCAL:             "local-server",
	XDPReasonREASON_NO_CONN:           "no-connection",
	XDPReasonREASON_ICMP_UNRELATED:    "icmp-unrelated",
	XDPReasonREASON_FRAG_UNKNOWN:      "fragment-unknown",
	XDPReasonREASON_NO_DEST:           "no-destination",
	XDPReasonREASON_REJECT_SENT:       "reject-sent",
	XDPReasonREASON_DEST_GONE:         "destination-removed",
	XDPReasonREASON_UNRESOLVED:        "neighbour-unresolved",
	XDPReasonREASON_TTL:               "ttl-exceeded",
	XDPReasonREASON_TABLE_FULL:        "table-full",
	XDPReasonREASON_REPLY_CLASH:       "reply-tuple-in-use",
	XDPReasonREASON_CLAIM_RACE:        "insert-race",
	XDPReasonREASON_STATELESS:         "stateless",
	XDPReasonREASON_RECLAIMED:         "half-open-reclaimed",
	XDPReasonREASON_EXPIRED:           "expired-freed",
	XDPReasonREASON_REUSED:            "rescheduled",
	XDPReasonREASON_STASHED:           "stashed",
	XDPReasonREASON_NO_JUMP:           "no-jump-target",
	XDPReasonREASON_INTERNAL:          "internal",
	XDPReasonREASON_REWRITE:           "rewrite-refused",
	XDPReasonREASON_SYNC_MISSED:       "sync-missed",
	XDPReasonREASON_CLIENT_UNRESOLVED: "client-unresolved",
}

// String returns the name of the reason, as status shows it.
func (r XDPReason) String() string {
	if int(r) < len(Reasons) {
		return Reasons[r]
	}
	return "unknown"
}

// The programs that go into the jump tables (maps xdp_jump and tc_jump), by
// slot. A slot that is empty passes its packets to the stack, counted.
var (
	XDPJumps = map[uint32]string{
		JumpFull: "lb_xdp_full", JumpICMP: "lb_xdp_icmp", JumpFrag: "lb_xdp_frag", JumpReject: "lb_xdp_reject",
	}
	TCJumps = map[uint32]string{
		JumpFull: "lb_tc_full", JumpICMP: "lb_tc_icmp", JumpFrag: "lb_tc_frag", JumpReject: "lb_tc_reject",
	}
)
