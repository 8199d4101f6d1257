package config

import (
	"net/netip"
	"time"
)

// Track is one line of track_interface, track_script, track_file, track_process
// or track_bfd. HasWeight is false when the line gives none and the tracked
// object's own weight counts.
type Track struct {
	Where
	Name      string
	Weight    int
	HasWeight bool
	Reverse   bool
}

// Tracking is everything that an instance or a sync group tracks.
type Tracking struct {
	TrackInterfaces []Track `kw:"track_interface"`
	TrackScripts    []Track `kw:"track_script"`
	TrackFiles      []Track `kw:"track_file"`
	TrackProcesses  []Track `kw:"track_process"`
	TrackBFD        []Track `kw:"track_bfd"`
}

// Script is a vrrp_script.
type Script struct {
	Where
	Name       string
	Command    Command       `kw:"script"`
	Interval   time.Duration `kw:"interval"` // 1 s
	Timeout    time.Duration `kw:"timeout"`  // 0: as Interval
	Weight     int           `kw:"weight"`   // 0: failure faults
	Reverse    bool
	Rise       int  `kw:"rise"` // 1
	Fall       int  `kw:"fall"` // 1
	InitFail   bool `kw:"init_fail"`
	ScriptUser User `kw:"user"` // in Command too
}

// TrackFile is a track_file.
type TrackFile struct {
	Where
	Name          string
	File          string `kw:"file"`
	Weight        int    `kw:"weight"` // 1; 0: a number other than 0 faults
	Reverse       bool
	InitValue     *int `kw:"init_file"` // nil: the file is not touched
	InitOverwrite bool
}

// TrackProcess is a vrrp_track_process.
type TrackProcess struct {
	Where
	Name           string
	Process        []string `kw:"process"`     // name or path, then arguments
	ParamMatch     string   `kw:"param_match"` // "", "exact", "initial" or "partial"
	Weight         int      `kw:"weight"`      // 0: failure faults
	Reverse        bool
	Quorum         int           `kw:"quorum"`     // 1
	QuorumMax      int           `kw:"quorum_max"` // -1: unlimited
	TerminateDelay time.Duration `kw:"terminate_delay"`
	ForkDelay      time.Duration `kw:"fork_delay"`
	FullCommand    bool          `kw:"full_command"`
}

// BFD is a bfd_instance.
type BFD struct {
	Where
	Name       string
	SourceIP   netip.Addr    `kw:"source_ip"`
	NeighborIP netip.Addr    `kw:"neighbor_ip"`
	MinRx      time.Duration `kw:"min_rx"`     // 10 ms
	MinTx      time.Duration `kw:"min_tx"`     // 10 ms
	IdleTx     time.Duration `kw:"idle_tx"`    // 1 s
	Multiplier int           `kw:"multiplier"` // 5
	Passive    bool          `kw:"passive"`
	TTL        int           `kw:"ttl"` // 255, 64 for IPv6
	MaxHops    int           `kw:"max_hops"`
	Multihop   bool          `kw:"multihop"`
	Weight     int           `kw:"weight"`
	Reverse    bool
	VRRP       bool `kw:"vrrp"`    // tells the instances; both unless one is given
	Checker    bool `kw:"checker"` // tells the checkers
}
