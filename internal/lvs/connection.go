package lvs

import (
	"net/netip"
	"time"
)

// ConnState is the state of a connection entry, with LVS's numbering, which is
// also the numbering on the wire of the sync protocol. What a number means
// depends on the protocol.
type ConnState uint8

// TCP states in the kernel's order (IP_VS_TCP_S_*). UDP has StateNone alone;
// a persistence template StateNone and TemplateAssured.
const (
	StateNone ConnState = iota
	StateEstablished
	StateSynSent
	StateSynRecv
	StateFinWait
	StateTimeWait
	StateClose
	StateCloseWait
	StateLastAck
	StateListen
	StateSynack
	NumTCPStates = 11
)

// TemplateAssured is a persistence template that a real connection confirmed.
const TemplateAssured ConnState = 1

// SCTP states that a director announces (IP_VS_SCTP_S_*).
const (
	SCTPEstablished      ConnState = 8
	SCTPShutdownSent     ConnState = 9
	SCTPShutdownReceived ConnState = 10
	SCTPShutdownAckSent  ConnState = 11
	SCTPClosed           ConnState = 13
	NumSCTPStates                  = 14
)

var stateNames = [NumTCPStates]string{
	"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT",
	"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK",
}

var sctpStateNames = [NumSCTPStates]string{
	"NONE", "INIT1", "INIT", "C-SENT", "C-REPLIED", "C-WAIT", "COOKIE", "C-ECHOED",
	"ESTABLISHED", "S-SENT", "S-RECEIVED", "S-ACK-SENT", "REJECTED", "CLOSED",
}

var templateStateNames = [2]string{"NONE", "ASSURED"}

// Name returns the state's name as ipvsadm prints it for a connection of
// protocol p.
func (s ConnState) Name(p Protocol) string {
	switch p {
	case TCP:
		if int(s) < len(stateNames) {
			return stateNames[s]
		}
	case SCTP:
		if int(s) < len(sctpStateNames) {
			return sctpStateNames[s]
		}
	case UDP:
		return "UDP"
	}
	return "ERR!"
}

// TemplateName returns the state's name for a persistence template.
func (s ConnState) TemplateName() string {
	if int(s) < len(templateStateNames) {
		return templateStateNames[s]
	}
	return "ERR!"
}

// Active reports whether a connection in this state counts as active for
// protocol p (LVS: the protocol's state_active table; UDP is always inactive).
func (s ConnState) Active(p Protocol) bool {
	switch p {
	case TCP:
		return s == StateEstablished || s == StateSynSent || s == StateSynRecv || s == StateSynack
	case SCTP:
		return s == SCTPEstablished
	}
	return false
}

// Announced reports whether IPVS announces a connection of protocol p in this
// state to backups: SYN_RECV and its like are never told (net/netfilter/ipvs
// /ip_vs_sync.c, sync_conn_needed).
func (s ConnState) Announced(p Protocol) bool {
	switch p {
	case TCP:
		return s == StateEstablished || s == StateFinWait || s == StateTimeWait || s == StateClose || s == StateCloseWait
	case SCTP:
		return s >= SCTPEstablished && s <= SCTPShutdownAckSent || s == SCTPClosed
	}
	return true
}

var tcpTimeouts = [NumTCPStates]time.Duration{
	StateNone:        2 * time.Second,
	StateEstablished: 900 * time.Second,
	StateSynSent:     120 * time.Second,
	StateSynRecv:     60 * time.Second,
	StateFinWait:     120 * time.Second,
	StateTimeWait:    120 * time.Second,
	StateClose:       10 * time.Second,
	StateCloseWait:   60 * time.Second,
	StateLastAck:     30 * time.Second,
	StateListen:      120 * time.Second,
	StateSynack:      120 * time.Second,
}

var sctpTimeouts = [NumSCTPStates]time.Duration{
	2 * time.Second, 4 * time.Second, 61 * time.Second, 61 * time.Second, 61 * time.Second, 61 * time.Second,
	61 * time.Second, 61 * time.Second, 900 * time.Second, 61 * time.Second, 61 * time.Second, 61 * time.Second,
	4 * time.Second, 61 * time.Second,
}

// DefaultTimeout is the timeout that LVS gives an entry in this state unless
// told otherwise; 180 s for templates and for protocols of one state but UDP.
func (s ConnState) DefaultTimeout(p Protocol, template bool) time.Duration {
	switch {
	case template:
	case p == TCP && int(s) < len(tcpTimeouts):
		return tcpTimeouts[s]
	case p == SCTP && int(s) < len(sctpTimeouts):
		return sctpTimeouts[s]
	case p == UDP:
		return 300 * time.Second
	}
	return 180 * time.Second
}

// Connection is one tracked flow, as listed by `ipvs -Lnc`.
type Connection struct {
	Protocol    Protocol       `json:"protocol"`
	Client      netip.AddrPort `json:"client"`
	Virtual     netip.AddrPort `json:"virtual"`
	Destination netip.AddrPort `json:"destination"`
	State       ConnState      `json:"state"`
	// Expires is the time left until the entry dies.
	Expires time.Duration `json:"expires"`
	// Timeout is the whole time that an entry in its state lives without a
	// packet.
	Timeout time.Duration `json:"timeout"`
	// InPackets counts packets from the client, modulo 2^32.
	InPackets uint32 `json:"in_packets"`
	Method    Method `json:"method"`
	// NoOutput is that no reply has passed the director (DR, TUN).
	NoOutput bool `json:"no_output,omitempty"`
	// Synced is that the entry was learned from another director.
	Synced bool `json:"synced,omitempty"`
	// Template is a persistence template: Client is the masked address, port 0.
	Template bool `json:"template,omitempty"`
	// FWMark is the mark of the virtual service, 0 for none.
	FWMark uint32 `json:"fwmark,omitempty"`
}

// StateName returns the state's name as ipvsadm prints it.
func (c *Connection) StateName() string {
	if c.Template {
		return c.State.TemplateName()
	}
	return c.State.Name(c.Protocol)
}

// SyncRules say when a packet of a connection makes the director announce it
// to its backups. The zero value announces changes of state alone. The fields
// have the meaning of the sysctls net.ipv4.vs.sync_* (Documentation/networking
// /ipvs-sysctl.rst), but for AtOnce and HalfOpen.
type SyncRules struct {
	// AtOnce announces a connection with the packet that establishes it, and a
	// UDP flow with its first one. IPVS does neither.
	AtOnce bool `json:"at_once"`
	// HalfOpen announces connections that are being set up (SYN_RECV) too, as a
	// master does that is about to leave. IPVS never does.
	HalfOpen bool `json:"half_open"`
	// Threshold and Period are sync_threshold: with Period > 0 every packet
	// whose number modulo Period is Threshold; with both Period and Refresh 0
	// the packet with the number Threshold, 0 for none.
	Threshold uint32 `json:"threshold"`
	Period    uint32 `json:"period"`
	// Refresh is sync_refresh_period: an entry is announced again when its
	// announced end is off by min(Refresh, max(timeout/2, 10 s)).
	Refresh time.Duration `json:"refresh"`
	// Retries (0 to 3) is sync_retries: how often an announcement is repeated,
	// Refresh/8 apart, as packets come.
	Retries uint32 `json:"retries"`
}

// Placement is what became of a connection that another director announced.
type Placement uint8

// Placements. Those from NoService on leave the connection unplaced: it may be
// placed later.
const (
	Placed      Placement = iota // a new entry
	Updated                      // an entry was there, and is now as announced
	Rebound                      // an entry with another destination was replaced
	Stale                        // nothing changed: the end of an older connection, or older news
	NoService                    // no such virtual service here
	NoServer                     // the service has no such real server
	Unsupported                  // the dataplane cannot carry it (yet)
	Clash                        // NAT: its reply tuple belongs to another connection
	TableFull                    // no room
	NumPlacements
)

var placementNames = [NumPlacements]string{
	"placed", "updated", "rebound", "stale", "no-service", "no-server", "unsupported", "clash", "table-full",
}

// String returns the name that status shows.
func (p Placement) String() string {
	if p < NumPlacements {
		return placementNames[p]
	}
	return "unknown"
}

// InTable reports whether the connection is in the dataplane now.
func (p Placement) InTable() bool { return p < NoService }
