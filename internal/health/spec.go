package health

import (
	"net/netip"
	"time"
)

// Spec is everything one machine watches, in the order of the configuration.
type Spec struct{ Services []ServiceSpec }

// ServiceSpec is one virtual server. Name is the one the configuration gives
// it and is unique; of two alike the first counts (see Ignored).
type ServiceSpec struct {
	Name string
	// Quorum is the total weight of live servers that is needed, Hysteresis the
	// margin: gained at Quorum+Hysteresis, lost below Quorum-Hysteresis.
	Quorum, Hysteresis int
	// Sorry says that the service has a sorry server; then a quorum that is
	// missing from the start is announced too.
	Sorry   bool
	Servers []ServerSpec
}

// ServerSpec is one real server; Addr is unique within its service. A server
// without checkers is always up.
type ServerSpec struct {
	Addr     netip.AddrPort
	Weight   int // configured weight, 0 or more
	Checkers []CheckerSpec
}

// CheckerSpec is one configured checker of a server. Key is opaque text that
// tells what is checked and how (address, urls, command; not the periods):
// across a reload a checker of the same server with an equal Key is the same
// checker and keeps its state. Keys are unique within a server.
type CheckerSpec struct {
	Key              string
	Alpha            bool // starts down, comes up by its first success
	DelayLoop        time.Duration
	DelayBeforeRetry time.Duration
	Warmup           time.Duration // upper bound of the random wait before the first probe
	Retry            int           // further tries after a failure while up
}

// CheckerID names one checker of a Spec. It is comparable.
type CheckerID struct {
	Service string         `json:"service"`
	Server  netip.AddrPort `json:"server"`
	Key     string         `json:"key"`
}

// String returns "KEY of SERVER in SERVICE".
func (id CheckerID) String() string {
	return id.Key + " of " + id.Server.String() + " in " + id.Service
}
