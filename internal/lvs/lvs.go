package lvs

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Protocol is the IP protocol number of a virtual service.
type Protocol uint8

// The protocols that LVS balances.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns the upper-case name that ipvsadm prints.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case SCTP:
		return "SCTP"
	}
	return "PROTO" + strconv.Itoa(int(p))
}

// KernelName is the protocol as the kernel's list of connections names it: "IP"
// for 0, which the template of a firewall mark has, "IP_50" for ESP.
func (p Protocol) KernelName() string {
	switch p {
	case TCP, UDP, SCTP:
		return p.String()
	case 0:
		return "IP"
	}
	return "IP_" + strconv.Itoa(int(p))
}

// MarshalText makes JSON carry the name that String returns.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Protocol) UnmarshalText(b []byte) error {
	switch s := string(b); s {
	case "TCP":
		*p = TCP
	case "UDP":
		*p = UDP
	case "SCTP":
		*p = SCTP
	default:
		n, err := strconv.ParseUint(strings.TrimPrefix(s, "PROTO"), 10, 8)
		if err != nil {
			return fmt.Errorf("protocol %q: not TCP, UDP, SCTP or PROTOn", s)
		}
		*p = Protocol(n)
	}
	return nil
}

// Method is a forwarding method.
type Method uint8

// The forwarding methods of LVS.
const (
	NAT Method = iota // masquerading: both directions pass the director
	DR                // direct routing: only the MAC address is rewritten
	TUN               // tunnelling: not built yet
)

// String returns keepalived's spelling: NAT, DR, TUN.
func (m Method) String() string {
	switch m {
	case NAT:
		return "NAT"
	case DR:
		return "DR"
	case TUN:
		return "TUN"
	}
	return "METHOD" + strconv.Itoa(int(m))
}

// MarshalText makes JSON carry the name that String returns.
func (m Method) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (m *Method) UnmarshalText(b []byte) error {
	switch string(b) {
	case "NAT":
		*m = NAT
	case "DR":
		*m = DR
	case "TUN":
		*m = TUN
	default:
		return fmt.Errorf("forwarding method %q: not NAT, DR or TUN", b)
	}
	return nil
}

// Scheduler is the name of a scheduler as keepalived and ipvsadm spell it.
type Scheduler string

// The schedulers. Those not built yet are refused by Supported.
const (
	RR    Scheduler = "rr"
	WRR   Scheduler = "wrr"
	LC    Scheduler = "lc"
	WLC   Scheduler = "wlc"
	SH    Scheduler = "sh"
	MH    Scheduler = "mh"
	DH    Scheduler = "dh"
	SED   Scheduler = "sed"
	NQ    Scheduler = "nq"
	FO    Scheduler = "fo"
	OVF   Scheduler = "ovf"
	LBLC  Scheduler = "lblc"
	LBLCR Scheduler = "lblcr"
	TWOS  Scheduler = "twos"
)

// Known reports whether s names a scheduler of LVS, built here or not.
func (s Scheduler) Known() bool {
	switch s {
	case RR, WRR, LC, WLC, SH, MH, DH, SED, NQ, FO, OVF, LBLC, LBLCR, TWOS:
		return true
	}
	return false
}

// Supported reports whether this build's dataplane has the scheduler.
func (s Scheduler) Supported() bool {
	switch s {
	case RR, WRR, LC, WLC, SH, MH:
		return true
	}
	return false
}

// SchedulerFlags are the per-service flags of sh and mh.
type SchedulerFlags uint8

// Scheduler flags, shared by sh and mh as in LVS.
const (
	SchedPort     SchedulerFlags = 1 << iota // sh-port, mh-port: hash the client's port too
	SchedFallback                            // sh-fallback, mh-fallback: skip unusable servers
)

// ServiceKey identifies a virtual service: protocol, virtual address, port.
// Port 0 is an any-port service. FWMark, when not 0, replaces all three.
type ServiceKey struct {
	Protocol Protocol   `json:"protocol"`
	Addr     netip.Addr `json:"addr"`
	Port     uint16     `json:"port"`
	FWMark   uint32     `json:"fwmark,omitempty"`
}

// String returns "TCP 192.0.2.1:80" or "FWM 7".
func (k ServiceKey) String() string {
	if k.FWMark != 0 {
		return "FWM " + strconv.FormatUint(uint64(k.FWMark), 10)
	}
	return fmt.Sprintf("%s %s", k.Protocol, netip.AddrPortFrom(k.Addr, k.Port))
}

// Compare orders keys by protocol, address, port and mark, as ipvsadm sorts.
func (k ServiceKey) Compare(o ServiceKey) int {
	if c := int(k.Protocol) - int(o.Protocol); c != 0 {
		return c
	}
	if c := k.Addr.Compare(o.Addr); c != 0 {
		return c
	}
	if c := int(k.Port) - int(o.Port); c != 0 {
		return c
	}
	switch {
	case k.FWMark < o.FWMark:
		return -1
	case k.FWMark > o.FWMark:
		return 1
	}
	return 0
}

// Service is a virtual service and how it is balanced.
type Service struct {
	ServiceKey
	Scheduler      Scheduler      `json:"scheduler"`
	SchedulerFlags SchedulerFlags `json:"scheduler_flags,omitempty"`
	// Persistence is the persistence timeout, 0 for none. Not built yet.
	Persistence time.Duration `json:"persistence,omitempty"`
	// OnePacket is one-packet scheduling (ops). Not built yet.
	OnePacket bool `json:"one_packet,omitempty"`
}

// Destination is one real server of a service as the dataplane sees it.
// Weight 0 quiesces it: existing connections go on, no new ones come.
type Destination struct {
	Addr   netip.Addr `json:"addr"`
	Port   uint16     `json:"port"`
	Method Method     `json:"method"`
	Weight int        `json:"weight"`
	// UpperThreshold and LowerThreshold are connection limits, 0 for none.
	UpperThreshold uint32 `json:"upper_threshold,omitempty"`
	LowerThreshold uint32 `json:"lower_threshold,omitempty"`
}

// AddrPort returns the destination's address and port.
func (d Destination) AddrPort() netip.AddrPort { return netip.AddrPortFrom(d.Addr, d.Port) }

// ServiceSet is a service with its destinations, in the order in which the
// configuration names them.
type ServiceSet struct {
	Service
	Destinations []Destination `json:"destinations"`
}

// Timeouts are the three timeouts that an administrator can set; 0 keeps the
// built-in default (900 s, 120 s, 300 s).
type Timeouts struct {
	TCP    time.Duration `json:"tcp"`
	TCPFin time.Duration `json:"tcp_fin"`
	UDP    time.Duration `json:"udp"`
}

// Counters are cumulative traffic counters. Bytes are of IP packets.
type Counters struct {
	Conns    uint64 `json:"conns"`
	InPkts   uint64 `json:"in_pkts"`
	OutPkts  uint64 `json:"out_pkts"`
	InBytes  uint64 `json:"in_bytes"`
	OutBytes uint64 `json:"out_bytes"`
}

// Rates are per second, smoothed as LVS does (2 s estimator).
type Rates struct {
	CPS    uint64 `json:"cps"`
	InPPS  uint64 `json:"in_pps"`
	OutPPS uint64 `json:"out_pps"`
	InBPS  uint64 `json:"in_bps"`
	OutBPS uint64 `json:"out_bps"`
}

// DestinationStatus is a destination with its live counts.
type DestinationStatus struct {
	Destination
	Active   uint32   `json:"active"`
	Inactive uint32   `json:"inactive"`
	Counters Counters `json:"counters"`
	Rates    Rates    `json:"rates"`
}

// ServiceStatus is a service with its live counts, destinations in the
// configuration's order.
type ServiceStatus struct {
	Service
	Counters     Counters            `json:"counters"`
	Rates        Rates               `json:"rates"`
	Destinations []DestinationStatus `json:"destinations"`
}
