// Package snapshot is one immutable picture of the running director. The
// director publishes a new one at every change; every view (status, API,
// later metrics and web) reads it and nothing deeper. The JSON names are part
// of the API. It is pure.
package snapshot

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Snapshot is the director at one moment.
type Snapshot struct {
	Time       time.Time       `json:"time"`
	Started    time.Time       `json:"started"`
	Version    string          `json:"version"`
	PID        int             `json:"pid"`
	ConfigFile string          `json:"config_file"`
	LastReload Reload          `json:"last_reload"`
	Instances  []Instance      `json:"instances"`
	Groups     []Group         `json:"groups"`
	Scripts    []Script        `json:"scripts"`
	Services   []VirtualServer `json:"virtual_servers"`
	Dataplane  Dataplane       `json:"dataplane"`
	Sync       *Sync           `json:"sync,omitempty"` // nil without lvs_sync_daemon
	Conditions []Condition     `json:"conditions"`
}

// Reload is the outcome of the last start or reload.
type Reload struct {
	Time     time.Time `json:"time"`
	OK       bool      `json:"ok"`
	Error    string    `json:"error,omitempty"`
	Warnings int       `json:"warnings"`
}

// Instance is a vrrp_instance. State is keepalived's word.
type Instance struct {
	Name              string            `json:"name"`
	State             string            `json:"state"`
	Since             time.Time         `json:"since"`
	Reason            string            `json:"reason"`
	Interface         string            `json:"interface"`
	VRID              int               `json:"vrid"`
	Priority          int               `json:"priority"`
	EffectivePriority int               `json:"effective_priority"`
	AdvertInterval    time.Duration     `json:"advert_interval"`
	Master            netip.Addr        `json:"master"` // who is active as far as we know
	Addresses         []netip.Prefix    `json:"addresses"`
	AdvertsSent       uint64            `json:"adverts_sent"`
	AdvertsReceived   uint64            `json:"adverts_received"`
	Ignored           map[string]uint64 `json:"ignored"` // by reason
	BecameMaster      uint64            `json:"became_master"`
	ReleasedMaster    uint64            `json:"released_master"`
}

// Group is a vrrp_sync_group.
type Group struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Members []string  `json:"members"`
}

// Script is a vrrp_script.
type Script struct {
	Name   string    `json:"name"`
	Up     bool      `json:"up"`
	Known  bool      `json:"known"` // false before the first result
	Since  time.Time `json:"since"`
	Detail string    `json:"detail"`
}

// VirtualServer is a virtual_server with its health.
type VirtualServer struct {
	Name        string           `json:"name"`
	Keys        []lvs.ServiceKey `json:"services"`
	Scheduler   lvs.Scheduler    `json:"scheduler"`
	Method      string           `json:"method"`
	Quorum      int              `json:"quorum"`
	QuorumUp    bool             `json:"quorum_up"`
	SorryServer string           `json:"sorry_server,omitempty"`
	SorryInUse  bool             `json:"sorry_in_use"`
	Servers     []RealServer     `json:"real_servers"`
}

// RealServer is a real_server with its health; Reason is the last probe's
// one-line reason.
type RealServer struct {
	Addr             netip.AddrPort `json:"address"`
	ConfiguredWeight int            `json:"configured_weight"`
	Weight           int            `json:"weight"` // in the dataplane; 0 when quiesced
	InTable          bool           `json:"in_table"`
	Up               bool           `json:"up"`
	Since            time.Time      `json:"since"`
	Reason           string         `json:"reason"`
	Checks           int            `json:"checks"`
}

// Dataplane says how the traffic is carried.
type Dataplane struct {
	Backend     string            `json:"backend"` // "xdp"
	Interfaces  []AttachedTo      `json:"interfaces"`
	Connections ConnectionTable   `json:"connections"`
	Timeouts    lvs.Timeouts      `json:"timeouts"` // in force; 0 is the built-in default
	Reasons     map[string]uint64 `json:"reasons"`  // packets by drop or punt reason
	Adopted     bool              `json:"adopted"`  // taken over from an earlier process
}

// AttachedTo is one interface the dataplane is attached to; Mode is "native",
// "tc" or "generic", Why says why not a better one.
type AttachedTo struct {
	Name string `json:"name"`
	Mode string `json:"mode"`
	Why  string `json:"why,omitempty"`
}

// ConnectionTable is the fill of the connection table.
type ConnectionTable struct {
	Entries   uint64 `json:"entries"`
	Capacity  uint64 `json:"capacity"`
	Stash     uint64 `json:"stash"`
	Stateless uint64 `json:"stateless"` // flows balanced without an entry, table full
	Reclaimed uint64 `json:"reclaimed"` // half-open entries given up for new flows
}

// Condition is a lasting problem with its likely cause and what to do.
type Condition struct {
	Code   string    `json:"code"` // "two-masters", "xdp-generic", …
	Object string    `json:"object"`
	Since  time.Time `json:"since"`
	What   string    `json:"what"`
	Cause  string    `json:"cause,omitempty"`
	Fix    string    `json:"fix,omitempty"`
}

// Sync is the synchronisation of connections with other directors.
type Sync struct {
	Role      string         `json:"role"` // "master", "backup", "master and backup", "none"
	Since     time.Time      `json:"since"`
	Interface string         `json:"interface"`
	Group     netip.AddrPort `json:"group"`
	SyncID    uint8          `json:"syncid"`
	MaxLen    int            `json:"maxlen"`
	TTL       int            `json:"ttl"`
	Keyed     bool           `json:"keyed"` // a sync_key is configured
	Trouble   string         `json:"trouble,omitempty"`

	Sent     SyncSent     `json:"sent"`
	Received SyncReceived `json:"received"`
	// Kept are announced connections that the dataplane cannot carry now, by
	// why: they are listed, passed on, and placed as soon as that is possible.
	Kept map[string]uint64 `json:"kept"`
	// KeptOverflow are connections that were forgotten because too many are kept.
	KeptOverflow uint64     `json:"kept_overflow"`
	CatchUp      *CatchUp   `json:"catch_up,omitempty"` // the last one of this backup
	Serving      int        `json:"serving"`            // catch-up streams that others fetch now
	Peers        []SyncPeer `json:"peers"`
}

// SyncSent counts what a master announced.
type SyncSent struct {
	Datagrams   uint64 `json:"datagrams"`
	Bytes       uint64 `json:"bytes"`
	Connections uint64 `json:"connections"`
	// Missed are changes that the packet path could not hand over because the
	// daemon was slower than they came; the whole table is announced after it.
	Missed uint64 `json:"missed"`
	// Dropped are connections that waited when the queue was full.
	Dropped uint64 `json:"dropped"`
	// Errors are datagrams that the kernel did not take.
	Errors uint64 `json:"errors"`
	// Unfit are connections that no message can carry: virtual and real server
	// are of different families.
	Unfit uint64 `json:"unfit"`
	// Waiting is how many datagrams wait now.
	Waiting int `json:"waiting"`
}

// SyncReceived counts what a backup heard.
type SyncReceived struct {
	Datagrams   uint64            `json:"datagrams"`
	Bytes       uint64            `json:"bytes"`
	Connections uint64            `json:"connections"`
	Refused     map[string]uint64 `json:"refused"`    // datagrams and connections, by reason
	Placements  map[string]uint64 `json:"placements"` // what became of connections
	// Lost are datagrams of kaname peers that did not arrive.
	Lost uint64 `json:"lost"`
	// Overrun are datagrams that the kernel dropped because we read too slowly.
	Overrun uint64 `json:"overrun"`
}

// CatchUp is the fetching of a whole table from a master.
type CatchUp struct {
	From  netip.AddrPort `json:"from"`
	State string         `json:"state"` // "running", "complete", "failed"
	Since time.Time      `json:"since"`
	Until time.Time      `json:"until,omitzero"`
	Have  uint64         `json:"have"` // connections that came
	Want  uint64         `json:"want"` // connections that the master has
	Error string         `json:"error,omitempty"`
}

// SyncPeer is another director that announces connections.
type SyncPeer struct {
	Addr        netip.Addr `json:"addr"`
	SyncID      uint8      `json:"syncid"`
	Version     int        `json:"version"` // of the protocol
	Kaname      bool       `json:"kaname"`
	Keyed       bool       `json:"keyed"`
	First       time.Time  `json:"first"`
	Last        time.Time  `json:"last"`
	Datagrams   uint64     `json:"datagrams"`
	Connections uint64     `json:"connections"`
	Entries     uint64     `json:"entries"` // that it says it has; 0: unknown
	Lost        uint64     `json:"lost"`    // its datagrams that did not arrive
}
