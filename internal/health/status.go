package health

import (
	"net/netip"
	"time"
)

// Status is the machine at one moment, in the order of the Spec. It shares
// nothing with the machine.
type Status struct{ Services []ServiceStatus }

// ServiceStatus is one virtual server.
type ServiceStatus struct {
	Name     string
	QuorumUp bool
	Since    time.Time // of the quorum's state
	Weight   int       // total effective weight of the servers that are up
	Servers  []ServerStatus
}

// ServerStatus is one real server. Weight is the effective weight it has, or
// would have, while up. Reason is that of the first checker that is down, else
// that of the last result.
type ServerStatus struct {
	Addr             netip.AddrPort
	Up               bool
	Since            time.Time
	Weight           int
	ConfiguredWeight int
	Reason           string
	Checks           uint64 // results so far
	Checkers         []CheckerStatus
}

// CheckerStatus is one checker. Known is false before its first result.
type CheckerStatus struct {
	ID       CheckerID
	Up       bool
	Known    bool
	Since    time.Time
	Reason   string
	Duration time.Duration // of the last probe
	Failures int           // failed tries in a row while still up
	Probing  bool          // a probe is running
	Next     time.Time     // when the next probe is due, zero while one runs
}

// Service returns the status of the service of that name.
func (s Status) Service(name string) (ServiceStatus, bool) {
	for i := range s.Services {
		if s.Services[i].Name == name {
			return s.Services[i], true
		}
	}
	return ServiceStatus{}, false
}

// Server returns the status of the server with that address.
func (s ServiceStatus) Server(addr netip.AddrPort) (ServerStatus, bool) {
	for i := range s.Servers {
		if s.Servers[i].Addr == addr {
			return s.Servers[i], true
		}
	}
	return ServerStatus{}, false
}

// Remembered is what a director writes down so that its successor can go on
// after a crash. It survives JSON.
type Remembered struct {
	Services []RememberedService `json:"services"`
}

// RememberedService is one virtual server's part of Remembered.
type RememberedService struct {
	Name     string             `json:"name"`
	QuorumUp bool               `json:"quorum_up"`
	Since    time.Time          `json:"since"`
	Servers  []RememberedServer `json:"servers"`
}

// RememberedServer is one real server's part of Remembered.
type RememberedServer struct {
	Addr     netip.AddrPort      `json:"address"`
	Up       bool                `json:"up"`
	Since    time.Time           `json:"since"`
	Checkers []RememberedChecker `json:"checkers,omitempty"`
}

// RememberedChecker is one checker's part of Remembered.
type RememberedChecker struct {
	Key       string    `json:"key"`
	Up        bool      `json:"up"`
	Known     bool      `json:"known"`
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason,omitempty"`
	Weight    int       `json:"weight,omitempty"`
	HasWeight bool      `json:"has_weight,omitempty"`
}
