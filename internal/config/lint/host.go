package lint

import (
	"fmt"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/config"
)

// Host is what is known of the host that the configuration is for. Rules about
// the host look at nothing else. What is missing here is unknown, and the rules
// that would need it are silent; Unknown says why. Its text form is that of
// ParseHost.
type Host struct {
	Name       string // as the kernel has it
	Interfaces []HostInterface
	Routes     []HostRoute     // to the addresses that were asked for
	Users      map[string]bool // those asked for: whether they exist
	Groups     map[string]bool
	Programs   []Program
	Files      []HostFile
	Listeners  []Listener
	Sysctls    map[string]string // "net.ipv4.ip_forward": "1"
	Kernel     map[string]bool   // features: "ip_vs", "bpf"
	Firewall   []FilterVerdict
	Processes  []HostProcess // those that matter: keepalived, other speakers of VRRP
	Configured []ConfiguredAddress
	Resolved   map[string]bool   // names asked for: whether they have an address
	Unknown    map[string]string // what could not be looked at: why
}

// HostInterface is a link with its addresses, the primary one first. Up says
// that it is up and has a carrier.
type HostInterface struct {
	Name      string
	Up        bool
	MTU       int
	MAC       string
	Kind      string // "veth", "bridge" …, "" for hardware
	Addresses []HostAddress
}

// HostAddress is one address of an interface. Ours says that a kaname put it
// there.
type HostAddress struct {
	Prefix netip.Prefix
	Ours   bool
}

// HostRoute is how a destination is reached: on the link of Dev when Via is
// invalid. Local says that it is an address of this host; no Dev: not at all.
type HostRoute struct {
	To    netip.Addr
	Via   netip.Addr
	Dev   string
	Local bool
}

// Program is a configured command's program. Problem says why it cannot be run,
// Unsafe who besides root can replace it; both empty: neither.
type Program struct {
	Name            string // as configured
	Problem, Unsafe string
}

// HostFile is a path that was asked for. Type is "regular", "directory",
// "fifo", "other" or "missing"; FS is the type of its file system, of the
// nearest directory for one that is missing.
type HostFile struct {
	Path, Type, FS string
}

// Listener is a socket that takes packets. An unspecified address is every
// address of the host.
type Listener struct {
	Proto   string // "tcp", "udp"
	Addr    netip.AddrPort
	Process string // "" when unknown
}

// FilterVerdict is what the packet filter does with adverts that come in.
type FilterVerdict struct {
	Proto   string // "vrrp", "ah"
	Dev     string // the interface that they come in by
	Dropped bool
	By      string // the chain, and its rule or policy
}

// HostProcess is a process that matters to VRRP.
type HostProcess struct {
	Name    string
	PID     int
	PIDFile string // "" when none names it
}

// ConfiguredAddress is a virtual address in a configuration of the system.
type ConfiguredAddress struct {
	Addr netip.Addr
	File string
	Line int
}

// Questions are what CheckHost wants to know of a host beyond what every host
// has.
type Questions struct {
	Interfaces []string // that carry adverts
	Virtual    []netip.Addr
	Servers    []netip.Addr
	Ports      []uint16 // of virtual services
	Programs   []string
	Users      []string
	Groups     []string
	Files      []string
	Names      []string // to resolve
}

// Ask says what CheckHost wants to know of a host about a configuration.
func Ask(cfg *config.Config) Questions {
	a := asker{seen: map[string]bool{}}
	g := cfg.Global
	a.user(g.ScriptUser)
	for _, c := range (&checker{cfg: cfg}).commands() {
		a.add(&a.q.Programs, "program", c.Argv[0])
		a.user(c.User)
	}
	for _, in := range cfg.Instances {
		a.add(&a.q.Interfaces, "interface", in.Interface)
		for _, v := range in.Addresses {
			a.addr(&a.q.Virtual, "virtual", v.Prefix.Addr())
		}
		for _, v := range in.Excluded {
			a.addr(&a.q.Virtual, "virtual", v.Prefix.Addr())
		}
	}
	for _, vs := range cfg.VirtualServers {
		for _, e := range vs.Endpoints {
			a.port(e.Port)
		}
		for _, rs := range vs.RealServers {
			a.addr(&a.q.Servers, "server", rs.Addr)
		}
	}
	for _, f := range cfg.TrackFiles {
		a.add(&a.q.Files, "file", f.File)
	}
	for _, f := range fifos(g) {
		a.add(&a.q.Files, "file", f.Path)
		a.user(f.User)
	}
	if _, err := netip.ParseAddr(g.Mail.Server.Host); err != nil {
		a.add(&a.q.Names, "name", g.Mail.Server.Host)
	}
	a.add(&a.q.Users, "user", defaultScriptUser)
	return a.q
}

func fifos(g config.Global) []config.FIFO {
	return []config.FIFO{g.FIFO.All, g.FIFO.VRRP, g.FIFO.LVS}
}

// asker collects questions, each once.
type asker struct {
	q    Questions
	seen map[string]bool
}

func (a *asker) add(dst *[]string, kind, what string) {
	if what != "" && !a.seen[kind+" "+what] {
		a.seen[kind+" "+what] = true
		*dst = append(*dst, what)
	}
}

func (a *asker) addr(dst *[]netip.Addr, kind string, ip netip.Addr) {
	if ip.IsValid() && !a.seen[kind+" "+ip.String()] {
		a.seen[kind+" "+ip.String()] = true
		*dst = append(*dst, ip)
	}
}

func (a *asker) port(n uint16) {
	if key := fmt.Sprint("port ", n); n != 0 && !a.seen[key] {
		a.seen[key] = true
		a.q.Ports = append(a.q.Ports, n)
	}
}

func (a *asker) user(u config.User) {
	a.add(&a.q.Users, "user", u.Name)
	a.add(&a.q.Groups, "group", u.Group)
}
