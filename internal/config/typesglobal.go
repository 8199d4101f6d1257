package config

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Process is what stands outside all blocks: how the daemon itself runs.
type Process struct {
	NetNamespace        string        `kw:"net_namespace"`
	NetNamespaceIPVS    string        `kw:"net_namespace_ipvs"` // "": NetNamespace; "/": the one it is started in
	NamespaceWithIPSets bool          `kw:"namespace_with_ipsets"`
	UsePIDDir           bool          `kw:"use_pid_dir"`
	Instance            string        `kw:"instance"`
	ChildWaitTime       time.Duration `kw:"child_wait_time"` // 5 s
	LinkbeatPolling     bool          `kw:"linkbeat_use_polling"`
}

// Global is global_defs. Its VRRP part holds the defaults of the instances; an
// instance has them in its own fields already.
type Global struct {
	Where
	RouterID       string        `kw:"router_id"` // "": the host's name
	ScriptUser     User          `kw:"script_user"`
	ScriptSecurity bool          `kw:"enable_script_security"`
	StartupDelay   time.Duration `kw:"vrrp_startup_delay"`
	DelayAfterBoot time.Duration `kw:"vrrp_delay_after_boot"`
	LVSTimeouts    lvs.Timeouts  `kw:"lvs_timeouts"`
	LVSFlush       bool          `kw:"lvs_flush"`         // empty the table at start
	LVSFlushOnStop string        `kw:"lvs_flush_on_stop"` // "", "all" or "VS"
	// SyncDaemon is lvs_sync_daemon, or lvs_sync_daemon_interface of an
	// instance; nil: connections are not synchronised.
	SyncDaemon *SyncDaemon `kw:"lvs_sync_daemon"`

	UseSymlinkPaths        bool          `kw:"use_symlink_paths"`
	SetSupplementaryGroups bool          `kw:"set_supplementary_groups"`
	StartupScript          Command       `kw:"startup_script"`
	StartupScriptTimeout   time.Duration `kw:"startup_script_timeout"` // 10 s
	ShutdownScript         Command       `kw:"shutdown_script"`
	ShutdownScriptTimeout  time.Duration `kw:"shutdown_script_timeout"` // 10 s
	DynamicInterfaces      string        `kw:"dynamic_interfaces"`      // "", "yes" or "allow_if_changes"
	DefaultInterface       string        `kw:"default_interface"`       // eth0
	DisableLocalIGMP       bool          `kw:"disable_local_igmp"`
	CheckerLogAllFailures  bool          `kw:"checker_log_all_failures"`
	RSInitNotifies         bool          `kw:"rs_init_notifies"`
	LogUnknownVRIDs        bool          `kw:"log_unknown_vrids"`
	VMACPrefix             string        `kw:"vmac_prefix"`      // vrrp
	VMACAddrPrefix         string        `kw:"vmac_addr_prefix"` // VMACPrefix
	RandomSeed             *int          `kw:"random_seed"`      // nil: the clock
	Umask                  int           `kw:"umask"`            // 0177
	DataUseInstance        bool          `kw:"data_use_instance"`
	JSONVersion            int           `kw:"json_version"` // 1
	StateDumpFile          string        `kw:"state_dump_file"`
	StatsDumpFile          string        `kw:"stats_dump_file"`
	JSONDumpFile           string        `kw:"json_dump_file"`
	IPRouteUsrDir          string        `kw:"iproute_usr_dir"`
	IPRouteEtcDir          string        `kw:"iproute_etc_dir"`

	VRRP    GlobalVRRP
	Mail    Mail
	FIFO    FIFOs
	Reload  Reload
	Nft     Nftables
	Process ProcessTuning
	SNMP    SNMP
	DBus    DBus
}

// GlobalVRRP are the defaults of vrrp_instance blocks.
type GlobalVRRP struct {
	Version              int           `kw:"vrrp_version"` // 2
	McastGroup4          netip.Addr    `kw:"vrrp_mcast_group4"`
	McastGroup6          netip.Addr    `kw:"vrrp_mcast_group6"`
	GARPDelay            time.Duration `kw:"vrrp_garp_master_delay"`  // 5 s
	GARPRepeat           int           `kw:"vrrp_garp_master_repeat"` // 5
	GARPRefresh          time.Duration `kw:"vrrp_garp_master_refresh"`
	GARPRefreshRep       int           `kw:"vrrp_garp_master_refresh_repeat"` // 1
	GARPLowerDelay       time.Duration `kw:"vrrp_garp_lower_prio_delay"`      // negative: as GARPDelay
	GARPLowerRepeat      int           `kw:"vrrp_garp_lower_prio_repeat"`     // negative: as GARPRepeat
	GARPInterval         time.Duration `kw:"vrrp_garp_interval"`
	GNAInterval          time.Duration `kw:"vrrp_gna_interval"`
	MinGARP              bool          `kw:"vrrp_min_garp"`
	GARPExtraIf          ExtraGARP     `kw:"vrrp_garp_extra_if"`
	DownTimerAdverts     int           `kw:"vrrp_down_timer_adverts"` // 3
	LowerPrioNoAdvert    bool          `kw:"vrrp_lower_prio_no_advert"`
	HigherPrioSendAdvert bool          `kw:"vrrp_higher_prio_send_advert"`
	CheckUnicastSrc      bool          `kw:"vrrp_check_unicast_src"`
	SkipCheckAdvAddr     bool          `kw:"vrrp_skip_check_adv_addr"`
	Strict               bool          `kw:"vrrp_strict"`
	OwnerIgnoreAdverts   bool          `kw:"vrrp_owner_ignore_adverts"`
	V3ChecksumAsV2       bool          `kw:"v3_checksum_as_v2"`
	RxBufsPolicy         string        `kw:"vrrp_rx_bufs_policy"`     // "", "MTU", "ADVERT" or bytes
	RxBufsMultiplier     int           `kw:"vrrp_rx_bufs_multiplier"` // 3
}

// ExtraGARP is how often addresses on interfaces that carry no adverts are
// announced again; 0 is never.
type ExtraGARP struct {
	Every time.Duration
	All   bool // all of them, not only VMACs
}

// Mail is what global_defs says about alert mails. The smtp_alert switches are
// nil where nothing is said; those of instances and servers are resolved.
type Mail struct {
	To             []string      `kw:"notification_email"`
	From           string        `kw:"notification_email_from"`
	Server         SMTPServer    `kw:"smtp_server"`
	HELO           string        `kw:"smtp_helo_name"`
	ConnectTimeout time.Duration `kw:"smtp_connect_timeout"` // 30 s
	Alert          *bool         `kw:"smtp_alert"`
	AlertVRRP      *bool         `kw:"smtp_alert_vrrp"`
	AlertChecker   *bool         `kw:"smtp_alert_checker"`
	NoFaults       bool          `kw:"no_email_faults"`
	NoCheckers     bool          `kw:"no_checker_emails"`
}

// SMTPServer is the mail relay; an empty Host is none. Host may be a name.
type SMTPServer struct {
	Host string
	Port uint16 // 25
}

// FIFO is a named pipe and who owns it.
type FIFO struct {
	Where
	Path string
	User User
}

// FIFOs are the pipes that state changes are written to.
type FIFOs struct {
	All             FIFO    `kw:"notify_fifo"`
	AllScript       Command `kw:"notify_fifo_script"`
	VRRP            FIFO    `kw:"vrrp_notify_fifo"`
	VRRPScript      Command `kw:"vrrp_notify_fifo_script"`
	LVS             FIFO    `kw:"lvs_notify_fifo"`
	LVSScript       Command `kw:"lvs_notify_fifo_script"`
	PriorityChanges bool    `kw:"vrrp_notify_priority_changes"`
	StatesOnReload  bool    `kw:"fifo_write_vrrp_states_on_reload"`
}

// Reload is how a reload is asked for and checked.
type Reload struct {
	Check    string `kw:"reload_check_config"` // "": off; the file that the result goes to
	TimeFile string `kw:"reload_time_file"`
	Repeat   bool   `kw:"reload_repeat"`
	File     string `kw:"reload_file"`
	SaveDir  string `kw:"config_save_dir"`
	TmpDir   string `kw:"tmp_config_directory"`
}

// Nftables is the use of packet filter tables.
type Nftables struct {
	Table       string   `kw:"nftables"` // "" unless given; keepalived
	Priority    int      `kw:"nftables_priority"`
	IfIndex     bool     `kw:"nftables_ifindex"`
	Counters    bool     `kw:"nftables_counters"`
	IPVSTable   string   `kw:"nftables_ipvs"`
	IPVSPrio    int      `kw:"nftables_ipvs_priority"`
	IPVSFWMark  int      `kw:"nftables_ipvs_start_fwmark"` // 1000
	IPTables    []string `kw:"vrrp_iptables"`              // chains
	IPSets      []string `kw:"vrrp_ipsets"`
	HasIPTables bool
	HasIPSets   bool
}

// ProcessTuning is how keepalived's processes are named and scheduled, which
// means nothing to kaname.
type ProcessTuning struct {
	Names              bool          `kw:"process_names"`
	Name               string        `kw:"process_name"`
	VRRPName           string        `kw:"vrrp_process_name"`
	CheckerName        string        `kw:"checker_process_name"`
	BFDName            string        `kw:"bfd_process_name"`
	MaxAutoPriority    int           `kw:"max_auto_priority"`
	MinAutoDelay       time.Duration `kw:"min_auto_priority_delay"` // 1 s
	VRRPPriority       int           `kw:"vrrp_priority"`
	VRRPNoSwap         bool          `kw:"vrrp_no_swap"`
	VRRPRTPriority     int           `kw:"vrrp_rt_priority"`
	VRRPCPUs           []int         `kw:"vrrp_cpu_affinity"`
	VRRPRTTime         time.Duration `kw:"vrrp_rlimit_rttime"` // 10 ms
	CheckerPriority    int           `kw:"checker_priority"`
	CheckerNoSwap      bool          `kw:"checker_no_swap"`
	CheckerRTPriority  int           `kw:"checker_rt_priority"`
	CheckerCPUs        []int         `kw:"checker_cpu_affinity"`
	CheckerRTTime      time.Duration `kw:"checker_rlimit_rttime"` // 10 ms
	BFDPriority        int           `kw:"bfd_priority"`
	BFDNoSwap          bool          `kw:"bfd_no_swap"`
	BFDRTPriority      int           `kw:"bfd_rt_priority"`
	BFDCPUs            []int         `kw:"bfd_cpu_affinity"`
	BFDRTTime          time.Duration `kw:"bfd_rlimit_rttime"` // 10 ms
	VRRPCmdBuf         int           `kw:"vrrp_netlink_cmd_rcv_bufs"`
	VRRPCmdBufForce    bool          `kw:"vrrp_netlink_cmd_rcv_bufs_force"`
	VRRPMonBuf         int           `kw:"vrrp_netlink_monitor_rcv_bufs"`
	VRRPMonBufForce    bool          `kw:"vrrp_netlink_monitor_rcv_bufs_force"`
	ProcessMonBuf      int           `kw:"process_monitor_rcv_bufs"`
	ProcessMonBufForce bool          `kw:"process_monitor_rcv_bufs_force"`
	LVSCmdBuf          int           `kw:"lvs_netlink_cmd_rcv_bufs"`
	LVSCmdBufForce     bool          `kw:"lvs_netlink_cmd_rcv_bufs_force"`
	LVSMonBuf          int           `kw:"lvs_netlink_monitor_rcv_bufs"`
	LVSMonBufForce     bool          `kw:"lvs_netlink_monitor_rcv_bufs_force"`
}

// SNMP is keepalived's SNMP agent.
type SNMP struct {
	Socket     string        `kw:"snmp_socket"`
	Traps      bool          `kw:"enable_traps"`
	VRRP       bool          `kw:"enable_snmp_vrrp"`
	RFC        bool          `kw:"enable_snmp_rfc"`
	RFCv2      bool          `kw:"enable_snmp_rfcv2"`
	RFCv3      bool          `kw:"enable_snmp_rfcv3"`
	Checker    bool          `kw:"enable_snmp_checker"`
	VSInterval time.Duration `kw:"snmp_vs_stats_update_interval"` // 5 s
	RSInterval time.Duration `kw:"snmp_rs_stats_update_interval"`
}

// DBus is keepalived's D-Bus interface.
type DBus struct {
	Enable          bool   `kw:"enable_dbus"`
	ServiceName     string `kw:"dbus_service_name"`
	NoInterfaceName string `kw:"dbus_no_interface_name"`
}

// User is the user and group that a script runs as; empty is the default.
type User struct{ Name, Group string }

// Command is a program and its arguments, split as keepalived splits it. User
// is the one given for the command, else script_user; empty when neither is.
type Command struct {
	Where
	Argv []string
	User User
}

// Set reports whether a command was configured.
func (c Command) Set() bool { return len(c.Argv) > 0 }
