package config

import (
	"net/netip"

	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Config is what is asked for: a whole keepalived.conf, typed. Values that a
// file leaves out hold their defaults. Slices keep the file's order.
type Config struct {
	// Files are the file that was named and every file it included.
	Files           []string
	Process         Process
	Global          Global
	Scripts         []*Script
	TrackFiles      []*TrackFile
	TrackProcesses  []*TrackProcess
	BFD             []*BFD
	TrackGroups     []*TrackGroup
	GARPGroups      []*GARPGroup
	LinkDelays      []LinkDelay
	Linkbeat        []Linkbeat
	StaticAddresses []Address
	StaticRoutes    []Route
	StaticRules     []Rule
	SyncGroups      []*SyncGroup
	Instances       []*Instance
	SSL             *SSL // nil: none
	VirtualServers  []*VirtualServer
	Kaname          Kaname
	// Origins says where each setting was written: block, then keyword. It is
	// filled only when Options.Origins asks for it.
	Origins map[Where]map[string]Where `json:"-"`
}

// Where is the position of a block's or value's first word.
type Where = finding.Place

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

// Kaname is the block kaname { … } of our own language (DESIGN §2).
type Kaname struct {
	Where
	Dataplane   string   `kw:"dataplane"`   // "auto" (default), "xdp", "tc"; "ipvs" not built yet
	XDPMode     string   `kw:"xdp_mode"`    // "auto" (default), "native", "generic"
	Connections int      `kw:"connections"` // entries of the connection table, 0 for the default
	Interfaces  []string `kw:"interfaces"`
	Sync        KanameSync
}

// KanameSync is how the sync daemon works, where lvs_sync_daemon has no word
// for it.
type KanameSync struct {
	Key   Secret        `kw:"sync_key"` // sync_key, empty: datagrams carry no proof of origin
	Rules lvs.SyncRules // at once, refreshed after 60 s
	// QueueLen (sync_qlen_max) is how many datagrams may wait for being sent, and
	// Rate (sync_rate) how many connections are announced a second at most; 0: the
	// daemon's default.
	QueueLen    int  `kw:"sync_qlen_max"`
	Rate        int  `kw:"sync_rate"`
	CatchUp     bool `kw:"sync_catch_up"`      // true
	CatchUpPort int  `kw:"sync_catch_up_port"` // the daemon's Port by default
}
