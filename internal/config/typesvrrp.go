package config

import (
	"net/netip"
	"time"
)

// Notify holds the notify scripts of an instance or sync group.
type Notify struct {
	Master           Command `kw:"notify_master"`
	Backup           Command `kw:"notify_backup"`
	Fault            Command `kw:"notify_fault"`
	Stop             Command `kw:"notify_stop"`
	Generic          Command `kw:"notify"`
	MasterRxLowerPri Command `kw:"notify_master_rx_lower_pri"` // instances only
	Deleted          bool    `kw:"notify_deleted"`             // instances only
	DeletedCommand   Command // of notify_deleted, when it names one
}

// SyncGroup is a vrrp_sync_group.
type SyncGroup struct {
	Where
	Name    string
	Members []string `kw:"group"`
	Notify  Notify
	Tracking
	TrackingWeight  bool `kw:"sync_group_tracking_weight"`
	SMTPAlert       bool `kw:"smtp_alert"`
	PriorityChanges bool `kw:"notify_priority_changes"`
}

// TrackGroup is a track_group: instances that static addresses, routes and
// rules can be tied to.
type TrackGroup struct {
	Where
	Name    string
	Members []string `kw:"group"`
}

// GARPGroup is a garp_group: interfaces that share one limit on announcements.
// An Interval of 0 is no limit of its own.
type GARPGroup struct {
	Where
	GARPInterval time.Duration `kw:"garp_interval"`
	GNAInterval  time.Duration `kw:"gna_interval"`
	Interfaces   []string      `kw:"interfaces"`
}

// LinkDelay is one line of interface_up_down_delays.
type LinkDelay struct {
	Where
	Interface string
	Down, Up  time.Duration
}

// Linkbeat is one line of linkbeat_interfaces.
type Linkbeat struct {
	Where
	Interface string
	Method    string // "", "MII", "ETHTOOL" or "IOCTL"
}

// Address is one line of virtual_ipaddress, virtual_ipaddress_excluded or
// static_ipaddress. Dev is the instance's interface (static: default_interface)
// unless the line names another.
type Address struct {
	Where
	Prefix        netip.Prefix
	Dev           string
	Label         string
	Scope         string
	Broadcast     string // an address, "+", "-" or ""
	Peer          netip.Prefix
	PreferredLft  *uint32 // seconds; nil: forever, or 0 for an IPv6 /128
	Home          bool
	DAD           bool // -nodad
	MngTmpAddr    bool
	NoPrefixRoute bool
	AutoJoin      bool
	NoTrack       bool
	UseVMAC       bool
	TrackGroup    string
}

// Route is one line of virtual_routes or static_routes.
type Route struct {
	Where
	Type       string       // "", "unicast", "blackhole", "unreachable", "prohibit", "throw" …
	Dest       netip.Prefix // 0.0.0.0/0 for default
	Src        netip.Addr
	Via, Or    netip.Addr // Or is the second gateway of the old multipath form
	From       netip.Prefix
	Table      string
	Protocol   string
	Scope      string
	TOS        string
	Metric     *uint32
	Dev        string
	VRF        string
	OnLink     bool
	Mode       string   // "prepend" (default), "add" or "append"
	Options    []string // the rest as written: mtu 1400, features ecn, encap …
	NextHops   []NextHop
	NoTrack    bool
	TrackGroup string
	Inet6      bool
}

// NextHop is one nexthop of a multipath route.
type NextHop struct {
	Via     netip.Addr
	Dev     string
	Weight  int // 1
	OnLink  bool
	Options []string
}

// Rule is one line of virtual_rules or static_rules.
type Rule struct {
	Where
	Not        bool
	From, To   netip.Prefix
	Action     string // "table", "goto", "nop", "blackhole", "prohibit", "unreachable", "l3mdev"
	Table      string // of Action table
	Goto       uint32 // of Action goto
	Preference *uint32
	IIf, OIf   string
	FWMark     string // MARK[/MASK]
	TOS        string
	Options    []string // the rest as written: sport 80-80, uidrange 0-99 …
	Protocol   string
	NoTrack    bool
	TrackGroup string
	Inet6      bool
}

// AuthType is the auth_type of an instance.
type AuthType string

// Authentication types of VRRP version 2.
const (
	AuthNone AuthType = ""
	AuthPass AuthType = "PASS"
	AuthAH   AuthType = "AH"
)

// AuthHMAC is auth_hmac, keepalived's signed adverts.
type AuthHMAC struct {
	Where
	Keys       []HMACKey     `kw:"key"`
	ActiveKey  int           `kw:"active_key"`
	TimeWindow time.Duration `kw:"time_window"` // 0: 3 adverts, at least 5 s
	AntiReplay string        `kw:"anti_replay"` // "time" (default) or "monotonic"
	Mode       string        `kw:"mode"`        // "enforce" (default), "permissive" or "receive-only"
}

// HMACKey is one key of auth_hmac: its value as written, also hex:… or file:….
type HMACKey struct {
	Where
	ID    int
	Value Secret
}

// Peer is one line of unicast_peer.
type Peer struct {
	Where
	Addr           netip.Addr
	MinTTL, MaxTTL int // 0, 255
}

// MACVLAN is use_vmac or use_ipvlan.
type MACVLAN struct {
	Where
	Name             string // "": PREFIX.VRID
	MAC              string // use_vmac; "": 00:00:5e:00:01:VRID
	Addr             netip.Addr
	Mode             string // use_ipvlan: "bridge" (default), "private" or "vepa"
	Group            string
	NetlinkNotifyMsg bool
}

// Instance is a vrrp_instance.
type Instance struct {
	Where
	Name string
	// NotRun says, when not empty, why kaname cannot run the instance; keepalived
	// would. Config.Runnable leaves it out.
	NotRun           string
	State            string        `kw:"state"` // "MASTER" or "BACKUP" (default)
	Interface        string        `kw:"interface"`
	InterfaceAt      Where         // of the keyword interface
	VRID             int           `kw:"virtual_router_id"`
	Priority         int           `kw:"priority"` // 100
	Version          int           `kw:"version"`  // 2 (default) or 3
	AdvertInterval   time.Duration `kw:"advert_int"`
	IPv6             bool          // family of the adverts: that of the first address, or native_ipv6
	Auth             AuthType
	AuthPass         Secret
	AuthHMAC         *AuthHMAC     `kw:"auth_hmac"`
	Addresses        []Address     `kw:"virtual_ipaddress"`
	Excluded         []Address     `kw:"virtual_ipaddress_excluded"`
	NoAddresses      bool          `kw:"no_virtual_ipaddress"`
	Routes           []Route       `kw:"virtual_routes"`
	Rules            []Rule        `kw:"virtual_rules"`
	NoPreempt        bool          `kw:"nopreempt"`
	PreemptDelay     time.Duration `kw:"preempt_delay"`
	GARPDelay        time.Duration `kw:"garp_master_delay"`  // 5 s
	GARPRepeat       int           `kw:"garp_master_repeat"` // 5
	GARPRefresh      time.Duration `kw:"garp_master_refresh"`
	GARPRefreshRep   int           `kw:"garp_master_refresh_repeat"` // 1
	GARPLowerDelay   time.Duration `kw:"garp_lower_prio_delay"`
	GARPLowerRepeat  int           `kw:"garp_lower_prio_repeat"`
	GARPExtraIf      ExtraGARP     `kw:"garp_extra_if"`
	DownTimerAdverts int           `kw:"down_timer_adverts"` // 3

	LowerPrioNoAdvert    bool       `kw:"lower_prio_no_advert"`
	HigherPrioSendAdvert bool       `kw:"higher_prio_send_advert"`
	OwnerIgnoreAdverts   bool       `kw:"owner_ignore_adverts"`
	SkipCheckAdvAddr     bool       `kw:"skip_check_adv_addr"`
	SourceAddr           netip.Addr `kw:"mcast_src_ip"` // unicast_src_ip is the same
	TrackSourceAddr      bool       `kw:"track_src_ip"`
	McastGroup           netip.Addr `kw:"mcast_dst_ip"` // invalid: the default group
	Peers                []Peer     `kw:"unicast_peer"` // none: multicast
	FaultNoPeer          bool       `kw:"unicast_fault_no_peer"`
	CheckUnicastSrc      bool       `kw:"check_unicast_src"`
	UnicastTTL           int        `kw:"unicast_ttl"`          // 255
	OldUnicastChecksum   string     `kw:"old_unicast_checksum"` // "auto" (default), "yes" or "never"
	V3ChecksumAsV2       bool       `kw:"v3_checksum_as_v2"`
	VMAC                 *MACVLAN   `kw:"use_vmac"`
	VMACAddr             bool       `kw:"use_vmac_addr"`
	VMACXmitBase         bool       `kw:"vmac_xmit_base"`
	IPVLAN               *MACVLAN   `kw:"use_ipvlan"`
	VRF                  string     `kw:"vrf"`
	PromoteSecondaries   bool       `kw:"promote_secondaries"`
	NoAccept             bool       `kw:"no_accept"`
	Strict               bool       `kw:"strict_mode"`
	DontTrackPrimary     bool       `kw:"dont_track_primary"`
	TimerExpiredBackup   int        `kw:"timer_expired_backup"` // 0: off
	RxBufSize            int        `kw:"kernel_rx_buf_size"`
	LinkbeatPolling      bool       `kw:"linkbeat_use_polling"`
	Debug                int        `kw:"debug"`
	Notify               Notify
	SMTPAlert            bool `kw:"smtp_alert"`
	PriorityChanges      bool `kw:"notify_priority_changes"`
	Tracking
}
