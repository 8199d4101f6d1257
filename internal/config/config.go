package config

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Config is what is asked for: a whole keepalived.conf, typed. Values that a
// file leaves out hold their defaults. Slices keep the file's order.
type Config struct {
	// Files are the file that was named and every file it included.
	Files          []string
	Global         Global
	Scripts        []*Script
	SyncGroups     []*SyncGroup
	Instances      []*Instance
	VirtualServers []*VirtualServer
	Kaname         Kaname
}

// Where is the position of a block's or value's first word.
type Where = finding.Place

// Global is global_defs.
type Global struct {
	Where
	RouterID       string
	ScriptUser     User
	ScriptSecurity bool
	StartupDelay   time.Duration // vrrp_startup_delay
	LVSTimeouts    lvs.Timeouts
	LVSFlush       bool // lvs_flush: empty the table at start
	LVSFlushOnStop bool // lvs_flush_onstop
	NotifyFIFO     string
	// SyncDaemon is lvs_sync_daemon, or lvs_sync_daemon_interface of an
	// instance; nil: connections are not synchronised.
	SyncDaemon *SyncDaemon
}

// SyncDaemon is the synchronisation of connections, every default resolved.
type SyncDaemon struct {
	Where
	Interface string
	// Instance is the vrrp_instance whose state says the role: MASTER sends,
	// BACKUP receives. Empty: both roles at once.
	Instance string
	// SyncID is the syncid: as written when HasID, else the VRID of the instance,
	// 0 without one and for lvs_sync_daemon_interface.
	SyncID int
	HasID  bool
	MaxLen int        // bytes of a datagram's payload, 0: by the group's family
	Port   int        // 8848
	TTL    int        // 1
	Group  netip.Addr // 224.0.0.81
}

// User is the user and group that a script runs as; empty is the default.
type User struct{ Name, Group string }

// Kaname is the block kaname { … } of our own language (DESIGN §2).
type Kaname struct {
	Where
	Dataplane   string // "auto" (default), "xdp", "tc"; "ipvs" not built yet
	XDPMode     string // "auto" (default), "native", "generic"
	Connections int    // entries of the connection table, 0 for the default
	Interfaces  []string
	Sync        KanameSync
}

// KanameSync is how the sync daemon works, where lvs_sync_daemon has no word
// for it.
type KanameSync struct {
	Key   Secret        // sync_key, empty: datagrams carry no proof of origin
	Rules lvs.SyncRules // at once, refreshed after 60 s
	// QueueLen (sync_qlen_max) is how many datagrams may wait for being sent, and
	// Rate (sync_rate) how many connections are announced a second at most; 0: the
	// daemon's default.
	QueueLen, Rate int
	CatchUp        bool // sync_catch_up, true
	CatchUpPort    int  // sync_catch_up_port; the daemon's Port by default
}

// Command is a program and its arguments, split as keepalived splits it. User
// is the one given for the command, else script_user; empty when neither is.
type Command struct {
	Where
	Argv []string
	User User
}

// Set reports whether a command was configured.
func (c Command) Set() bool { return len(c.Argv) > 0 }

// Notify holds the notify scripts of an instance or sync group.
type Notify struct {
	Master, Backup, Fault, Stop, Generic Command
	MasterRxLowerPri                     Command
	Deleted                              bool // notify_deleted
}

// Track is one line of track_interface or track_script. HasWeight is false
// when the line gives none and the tracked object's own weight counts.
type Track struct {
	Where
	Name      string
	Weight    int
	HasWeight bool
	Reverse   bool
}

// Script is a vrrp_script.
type Script struct {
	Where
	Name       string
	Command    Command
	Interval   time.Duration // 1 s
	Timeout    time.Duration // 0: as Interval
	Weight     int           // 0: failure faults
	Reverse    bool
	Rise, Fall int // 1, 1
	InitFail   bool
}

// SyncGroup is a vrrp_sync_group.
type SyncGroup struct {
	Where
	Name            string
	Members         []string
	Notify          Notify
	TrackInterfaces []Track
	TrackScripts    []Track
}

// Address is one line of virtual_ipaddress. Dev is the instance's interface
// unless the line names another. Label and Scope may be empty.
type Address struct {
	Where
	Prefix netip.Prefix
	Dev    string
	Label  string
	Scope  string
}

// AuthType is the auth_type of an instance.
type AuthType string

// Authentication types of VRRP version 2.
const (
	AuthNone AuthType = ""
	AuthPass AuthType = "PASS"
	AuthAH   AuthType = "AH"
)

// Instance is a vrrp_instance.
type Instance struct {
	Where
	Name            string
	State           string // "MASTER" or "BACKUP" (default)
	Interface       string
	InterfaceAt     Where // of the keyword interface
	VRID            int
	Priority        int           // 100
	Version         int           // 2 (default) or 3 (not built yet)
	AdvertInterval  time.Duration // 1 s
	Auth            AuthType
	AuthPass        string
	Addresses       []Address
	Excluded        []Address
	NoPreempt       bool
	PreemptDelay    time.Duration
	GARPDelay       time.Duration // garp_master_delay, 5 s
	GARPRepeat      int           // garp_master_repeat, 5
	GARPRefresh     time.Duration
	GARPRefreshRep  int // 1
	GARPLowerDelay  time.Duration
	GARPLowerRepeat int
	// LowerPrioNoAdvert and HigherPrioSendAdvert are the keywords of those names.
	LowerPrioNoAdvert, HigherPrioSendAdvert bool
	SourceAddr                              netip.Addr // mcast_src_ip
	DontTrackPrimary                        bool
	SkipCheckAdvAddr                        bool
	DownTimerAdverts                        int // 3
	TrackInterfaces                         []Track
	TrackScripts                            []Track
	Notify                                  Notify
}

// VirtualServer is one virtual_server block. For a virtual_server_group it
// stands for all the group's addresses: Endpoints has one entry each.
type VirtualServer struct {
	Where
	Name      string // as the file writes it: "192.0.2.1 80", "group NAME"
	Group     string // group name, empty when none
	Endpoints []Endpoint
	FWMark    uint32 // not built yet

	Protocol           lvs.Protocol
	Scheduler          lvs.Scheduler
	SchedulerFlags     lvs.SchedulerFlags
	Method             lvs.Method
	PersistenceTimeout time.Duration // not built yet
	OnePacket          bool          // not built yet

	DelayLoop, DelayBeforeRetry, Warmup time.Duration // defaults inherited by checkers
	Retry                               int
	Alpha, Omega                        bool
	Quorum, Hysteresis                  int // 1, 0
	QuorumUp, QuorumDown                Command
	InhibitOnFailure                    bool
	VirtualHost                         string
	Sorry                               *SorryServer
	RealServers                         []*RealServer
}

// ID tells virtual servers apart: a name may stand for one of TCP and one of
// UDP. It is the name for TCP, else the name and the protocol.
func (vs *VirtualServer) ID() string {
	if vs.Protocol == lvs.TCP {
		return vs.Name
	}
	return vs.Name + " " + vs.Protocol.String()
}

// Endpoint is one virtual address and port.
type Endpoint struct {
	Where
	Addr netip.Addr
	Port uint16
}

// SorryServer is used when quorum is lost.
type SorryServer struct {
	Where
	Addr    netip.Addr
	Port    uint16
	Method  lvs.Method
	Inhibit bool // sorry_server_inhibit
}

// RealServer is one real_server with its checkers. Port is the service's when
// the file gives none; DR, which cannot change a port, always uses the
// endpoint's. Only a virtual server whose endpoints have different ports keeps
// what the file says, and 0 then stands for the endpoint's port.
type RealServer struct {
	Where
	Addr             netip.Addr
	Port             uint16
	Weight           int // 1
	Method           lvs.Method
	InhibitOnFailure bool
	UpperThreshold   int
	LowerThreshold   int
	Alpha            bool
	NotifyUp         Command
	NotifyDown       Command
	VirtualHost      string
	Checkers         []*Checker
}

// CheckerKind names the kind of a checker as the configuration spells it.
type CheckerKind string

// The checkers built so far.
const (
	TCPCheck  CheckerKind = "TCP_CHECK"
	HTTPGet   CheckerKind = "HTTP_GET"
	MiscCheck CheckerKind = "MISC_CHECK"
)

// Checker is one checker of a real server, every default resolved (virtual
// server → real server → checker).
type Checker struct {
	Where
	Kind                                CheckerKind
	ConnectTo                           netip.AddrPort // connect_ip, connect_port, else the real server's
	BindTo                              netip.Addr     // invalid: any
	BindPort                            uint16
	BindIf                              string
	ConnectTimeout                      time.Duration // 5 s
	DelayLoop, DelayBeforeRetry, Warmup time.Duration
	Retry                               int
	Alpha                               bool
	// HTTP_GET
	URLs         []URL
	VirtualHost  string
	HTTPVersion  string // "1.0" (default), "1.1", "1.0C" (1.0 with Connection: close)
	FastRecovery bool
	// MISC_CHECK
	Misc        Command
	MiscTimeout time.Duration // default: DelayLoop
	MiscDynamic bool
}

// URL is one url of an HTTP_GET.
type URL struct {
	Where
	Path        string
	Digest      string // lower-case hex MD5, empty: not checked
	Statuses    []StatusRange
	VirtualHost string
}

// StatusRange is an inclusive range of HTTP status codes.
type StatusRange struct{ From, To int }
