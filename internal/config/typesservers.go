package config

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// SSL is the block SSL: the client's side of SSL_GET.
type SSL struct {
	Where
	Password    Secret `kw:"password"`
	CA          string `kw:"ca"`
	Certificate string `kw:"certificate"`
	Key         string `kw:"key"`
}

// VirtualServer is one virtual_server block. For a virtual_server_group it
// stands for all the group's addresses: Endpoints has one entry each.
type VirtualServer struct {
	Where
	Name string // as the file writes it: "192.0.2.1 80", "group NAME"
	// NotRun says, when not empty, why kaname cannot run the service; keepalived
	// would. Config.Runnable leaves it out.
	NotRun    string
	Group     string // group name, empty when none
	Endpoints []Endpoint
	FWMark    uint32
	IPFamily  string `kw:"ip_family"` // "", "inet" or "inet6"

	Protocol       lvs.Protocol  `kw:"protocol"` // 0 for firewall marks
	Scheduler      lvs.Scheduler `kw:"lb_algo"`
	SchedulerFlags lvs.SchedulerFlags
	Method         lvs.Method `kw:"lb_kind"`
	Tunnel         Tunnel     // of Method TUN

	PersistenceTimeout     time.Duration `kw:"persistence_timeout"`
	PersistenceGranularity int           `kw:"persistence_granularity"` // prefix length; 0: one client
	PersistenceEngine      string        `kw:"persistence_engine"`
	OnePacket              bool          `kw:"ops"`

	// The defaults of the servers, resolved; Retry and DelayBeforeRetry are 0
	// where each checker has its own kind's.
	DelayLoop        time.Duration `kw:"delay_loop"`
	DelayBeforeRetry time.Duration `kw:"delay_before_retry"`
	Warmup           time.Duration `kw:"warmup"`
	ConnectTimeout   time.Duration `kw:"connect_timeout"`
	Retry            int           `kw:"retry"`
	Alpha            bool          `kw:"alpha"`
	Omega            bool          `kw:"omega"`
	HASuspend        bool          `kw:"ha_suspend"`
	Quorum           int           `kw:"quorum"` // 1
	Hysteresis       int           `kw:"hysteresis"`
	QuorumUp         Command       `kw:"quorum_up"`
	QuorumDown       Command       `kw:"quorum_down"`
	InhibitOnFailure bool          `kw:"inhibit_on_failure"`
	Weight           int           `kw:"weight"` // 1, default of the servers
	VirtualHost      string        `kw:"virtualhost"`
	SMTPAlert        bool          `kw:"smtp_alert"`
	SNMPName         string        `kw:"snmp_name"`
	Sorry            *SorryServer
	RealServers      []*RealServer
}

// ID tells virtual servers apart: a name may stand for one of TCP and one of
// UDP. It is the name for TCP and firewall marks, else the name and the
// protocol.
func (vs *VirtualServer) ID() string {
	if vs.Protocol == lvs.TCP || vs.Protocol == 0 {
		return vs.Name
	}
	return vs.Name + " " + vs.Protocol.String()
}

// Endpoint is one virtual address and port (0: all ports), or a firewall mark
// of a group.
type Endpoint struct {
	Where
	Addr   netip.Addr // invalid for a firewall mark
	Port   uint16
	FWMark uint32
	Family string // of a firewall mark: "", "inet" or "inet6"
	NotRun string // as VirtualServer.NotRun
}

// Tunnel are the options of the forwarding method TUN.
type Tunnel struct {
	Type     string // "ipip" (default), "gue" or "gre"
	Port     uint16 // of gue
	Checksum string // "" or "nocsum", "csum", "remcsum"
}

// SorryServer is used when quorum is lost.
type SorryServer struct {
	Where
	NotRun  string // as VirtualServer.NotRun
	Addr    netip.Addr
	Port    uint16
	Method  lvs.Method `kw:"sorry_server_lvs_method"`
	Tunnel  Tunnel
	Inhibit bool `kw:"sorry_server_inhibit"`
}

// RealServer is one real_server with its checkers. Port is the service's when
// the file gives none; DR, which cannot change a port, always uses the
// endpoint's. Only a virtual server whose endpoints have different ports keeps
// what the file says, and 0 then stands for the endpoint's port.
type RealServer struct {
	Where
	Addr             netip.Addr
	Port             uint16
	NotRun           string     // as VirtualServer.NotRun
	Weight           int        `kw:"weight"` // 1
	Method           lvs.Method `kw:"lvs_method"`
	Tunnel           Tunnel
	InhibitOnFailure bool    `kw:"inhibit_on_failure"`
	UpperThreshold   int     `kw:"uthreshold"`
	LowerThreshold   int     `kw:"lthreshold"`
	Alpha            bool    `kw:"alpha"`
	NotifyUp         Command `kw:"notify_up"`
	NotifyDown       Command `kw:"notify_down"`
	SMTPAlert        bool    `kw:"smtp_alert"`
	VirtualHost      string  `kw:"virtualhost"`
	SNMPName         string  `kw:"snmp_name"`
	Checkers         []*Checker
}

// CheckerKind names the kind of a checker as the configuration spells it.
type CheckerKind string

// The checkers. Those that kaname cannot run yet are typed all the same and
// have NotRun.
const (
	TCPCheck  CheckerKind = "TCP_CHECK"
	HTTPGet   CheckerKind = "HTTP_GET"
	SSLGet    CheckerKind = "SSL_GET"
	SMTPCheck CheckerKind = "SMTP_CHECK"
	DNSCheck  CheckerKind = "DNS_CHECK"
	MiscCheck CheckerKind = "MISC_CHECK"
	UDPCheck  CheckerKind = "UDP_CHECK"
	PingCheck CheckerKind = "PING_CHECK"
	FileCheck CheckerKind = "FILE_CHECK"
	BFDCheck  CheckerKind = "BFD_CHECK"
)

// Checker is one checker of a real server, every default resolved (virtual
// server → real server → checker).
type Checker struct {
	Where
	Kind             CheckerKind
	NotRun           string         // as VirtualServer.NotRun
	ConnectTo        netip.AddrPort // connect_ip, connect_port, else the real server's
	BindTo           netip.Addr     `kw:"bindto"` // invalid: any
	BindPort         uint16         `kw:"bind_port"`
	BindIf           string         `kw:"bind_if"`
	FWMark           int            `kw:"fwmark"`
	ConnectTimeout   time.Duration  `kw:"connect_timeout"` // 5 s
	DelayLoop        time.Duration  `kw:"delay_loop"`
	DelayBeforeRetry time.Duration  `kw:"delay_before_retry"`
	Warmup           time.Duration  `kw:"warmup"`
	Retry            int            `kw:"retry"`
	Alpha            bool           `kw:"alpha"`
	LogAllFailures   bool           `kw:"log_all_failures"`
	// HTTP_GET, SSL_GET
	URLs         []URL
	VirtualHost  string `kw:"virtualhost"`
	HTTPVersion  string `kw:"http_protocol"` // "1.0" (default), "1.1", "1.0C" (1.0 with Connection: close)
	FastRecovery bool   `kw:"fast_recovery"`
	EnableSNI    bool   `kw:"enable_sni"`
	SNIName      string `kw:"sni_name"` // resolved where all urls have the same
	TLSCompliant bool   `kw:"tls_compliant"`
	// MISC_CHECK
	Misc        Command       `kw:"misc_path"`
	MiscTimeout time.Duration `kw:"misc_timeout"` // default: DelayLoop
	MiscDynamic bool          `kw:"misc_dynamic"`
	// SMTP_CHECK
	HELOName string `kw:"helo_name"`
	// DNS_CHECK
	DNSType string `kw:"type"` // SOA
	DNSName string `kw:"name"` // "": the root
	// UDP_CHECK; Payload and Reply are hex digits, x in Reply being any
	Payload      string `kw:"payload"`
	RequireReply bool   `kw:"require_reply"`
	Reply        string
	MinReply     int `kw:"min_reply_length"`
	MaxReply     int `kw:"max_reply_length"` // 255
	// FILE_CHECK, BFD_CHECK: what is tracked
	Track Track `kw:"track_file"`
}

// URL is one url of an HTTP_GET or SSL_GET.
type URL struct {
	Where
	Path         string        `kw:"path"`
	Digest       string        `kw:"digest"`      // lower-case hex MD5, empty: not checked
	Statuses     []StatusRange `kw:"status_code"` // 200-299
	VirtualHost  string        `kw:"virtualhost"`
	SNI          string        // of SSL_GET, resolved; empty: none is sent
	Regex        string        `kw:"regex"` // a PCRE2 pattern, escapes resolved
	RegexNoMatch bool          `kw:"regex_no_match"`
	RegexOptions []string      `kw:"regex_options"`
	RegexMin     int           `kw:"regex_min_offset"`
	RegexMax     *int          `kw:"regex_max_offset"` // nil: anywhere
	RegexStack   [2]int        `kw:"regex_stack"`
	TLSCompliant *bool         `kw:"tls_compliant"` // nil: as the checker
}

// StatusRange is an inclusive range of HTTP status codes.
type StatusRange struct{ From, To int }
