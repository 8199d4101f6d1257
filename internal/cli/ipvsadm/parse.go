package ipvsadm

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Kind is what is asked for.
type Kind uint8

// The kinds of requests.
const (
	List Kind = iota
	Connections
	Timeouts
	Daemons
	Save
	Help
	Version
)

// View is which columns a listing has.
type View uint8

// The views. When several are asked for, ipvsadm prints the first of this
// order that is.
const (
	Plain View = iota
	Stats
	Rate
	Thresholds
	PersistentConn
	TunInfo
)

// Request is a parsed command line.
type Request struct {
	Kind    Kind
	View    View
	Service *lvs.ServiceKey // nil for all; a mark of IPv6 has an IPv6 address
	Numeric bool
	Exact   bool
	NoSort  bool
}

// Error is a refused command line. Code is ipvsadm's exit status for it.
type Error struct {
	Text string
	Code int
}

// Error returns the line that ipvsadm prints.
func (e *Error) Error() string { return e.Text }

// Exit statuses of ipvsadm.
const (
	codeUsage   = 2   // a command line that makes no sense
	codeRefused = 255 // refused by popt or by the kernel
)

func usage(format string, a ...any) error { return &Error{fmt.Sprintf(format, a...), codeUsage} }

func tryHelp() error {
	return &Error{"Try `ipvsadm -h' or 'ipvsadm --help' for more information.", codeRefused}
}

// Parse reads the arguments after the program's name. The error is an *Error.
func Parse(args []string) (Request, error) {
	if len(args) == 0 {
		return Request{Kind: List}, nil
	}
	p := parser{rest: args}
	first, err := p.next()
	if err != nil || first == nil || !first.command {
		return Request{}, tryHelp()
	}
	switch first.name {
	case "help":
		return Request{Kind: Help}, nil
	case "version":
		return Request{Kind: Version}, nil
	case "list", "save":
		return p.options(first.name)
	}
	return Request{}, &Error{"kaname takes its services from its configuration file: " +
		"change that and run `kaname reload` (" + p.as + " is not done here)", codeRefused}
}

// given is what the options of one command line were, by ipvsadm's names.
type given map[string]string

// options reads what follows the command.
func (p *parser) options(command string) (Request, error) {
	seen := given{}
	for {
		o, err := p.next()
		if err != nil {
			return Request{}, err
		}
		if o == nil {
			break
		}
		if o.command {
			return Request{}, usage("invalid option `%s'", p.as)
		}
		if err := seen.take(o, p.value); err != nil {
			return Request{}, err
		}
	}
	if len(p.words) > 0 {
		return Request{}, usage("unexpected argument %s", p.words[0])
	}
	return seen.request(command)
}

// take records one option, or says why it cannot stand there.
func (g given) take(o *option, value string) error {
	switch o.name {
	case "sort", "syncid": // without effect on a listing
		return nil
	case "ipv6":
		if _, mark := g["fwmark"]; !mark {
			return usage("-6 used before -f")
		}
		g["ipv6"] = ""
		return nil
	}
	if _, twice := g[o.name]; twice {
		return usage("multiple '%s' options specified", o.name)
	}
	if o.name == "service-address" {
		key, err := parseService(o.long, value)
		if err != nil {
			return err
		}
		if key.FWMark != 0 {
			g["fwmark"] = ""
		}
		g["protocol"] = o.long
	}
	g[o.name] = value
	return nil
}

// conflicts are the pairs that a listing cannot have, as (later, earlier) in
// ipvsadm's order of options.
var conflicts = [][2]string{
	{"service-address", "connection"},
	{"timeout", "connection"},
	{"timeout", "service-address"},
	{"daemon", "connection"},
	{"daemon", "service-address"},
	{"daemon", "timeout"},
}

// request checks the options against each other and fills a Request in.
func (g given) request(command string) (Request, error) {
	has := func(name string) bool { _, ok := g[name]; return ok }
	for _, name := range optionOrder {
		if has(name) && (command == "save" && name != "numeric" || !listable[name]) {
			return Request{}, usage("Illegal '%s' option with the '%s' command", name, command)
		}
	}
	for _, c := range conflicts {
		if has(c[0]) && has(c[1]) {
			return Request{}, usage("The option '%s' conflicts with the '%s' option in the '%s' command", c[0], c[1], command)
		}
	}
	r := Request{Kind: List, Numeric: has("numeric"), Exact: has("exact"), NoSort: has("nosort")}
	switch {
	case command == "save":
		r.Kind = Save
	case has("connection"):
		r.Kind = Connections
	case has("timeout"):
		r.Kind = Timeouts
	case has("daemon"):
		r.Kind = Daemons
	}
	for v, name := range [...]string{Stats: "stats", Rate: "rate", Thresholds: "thresholds", PersistentConn: "persistent-conn", TunInfo: "tun-info"} {
		if name != "" && has(name) && r.View == Plain {
			r.View = View(v)
		}
	}
	if r.Kind != List && r.Kind != Save && r.View != Plain && r.View != TunInfo {
		return Request{}, usage("options conflicts in the list command")
	}
	if has("service-address") {
		key, err := parseService(g["protocol"], g["service-address"])
		if err != nil {
			return Request{}, err
		}
		if has("ipv6") {
			key.Addr = netip.IPv6Unspecified()
		}
		r.Service = &key
	}
	return r, nil
}

// parseService reads the value of -t, -u, --sctp-service or -f.
func parseService(long, value string) (lvs.ServiceKey, error) {
	if long == "fwmark-service" {
		mark, err := strconv.ParseUint(value, 10, 32)
		if err != nil || mark == 0 {
			return lvs.ServiceKey{}, usage("invalid fwmark value `%s' specified", value)
		}
		return lvs.ServiceKey{FWMark: uint32(mark), Addr: netip.IPv4Unspecified()}, nil
	}
	key := lvs.ServiceKey{Protocol: lvs.TCP}
	switch long {
	case "udp-service":
		key.Protocol = lvs.UDP
	case "sctp-service":
		key.Protocol = lvs.SCTP
	}
	var ok bool
	if key.Addr, key.Port, ok = parseAddrPort(value); !ok {
		return lvs.ServiceKey{}, usage("illegal virtual server address[:port] specified")
	}
	return key, nil
}

// parseAddrPort reads ADDRESS[:PORT], IPv6 addresses in brackets when a port
// follows.
func parseAddrPort(s string) (netip.Addr, uint16, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), ap.Port(), true
	}
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil {
		return a, 0, true
	}
	return netip.Addr{}, 0, false
}
