package ipvsadm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Names turns addresses and ports into names for a listing without -n. A nil
// func, or an empty answer, leaves the number.
type Names struct {
	Host func(netip.Addr) string
	Port func(p lvs.Protocol, port uint16) string
}

// Numeric is no names at all.
var Numeric = Names{}

// headers are the two header lines of each view.
var headers = map[View]string{
	Plain: "Prot LocalAddress:Port Scheduler Flags\n" +
		"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n",
	Stats: "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n" +
		"  -> RemoteAddress:Port\n",
	Rate: "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n" +
		"  -> RemoteAddress:Port\n",
	Thresholds: "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n" +
		"  -> RemoteAddress:Port\n",
	PersistentConn: "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n" +
		"  -> RemoteAddress:Port\n",
	TunInfo: "Prot LocalAddress:Port Scheduler Flags\n" +
		"  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n",
}

// WriteList prints a listing in r's view. size is that of the connection
// table; ipvsadm names it only above the list of all services.
func WriteList(w io.Writer, r Request, size uint64, services []lvs.ServiceStatus, n Names) error {
	out := bufio.NewWriter(w)
	if r.Service == nil {
		fmt.Fprintf(out, "IP Virtual Server version 1.2.1 (size=%d)\n", size)
	}
	fmt.Fprint(out, headers[r.View])
	for _, s := range order(services, r.NoSort) {
		writeService(out, r, s, n)
		for _, d := range s.Destinations {
			writeDestination(out, r, portProtocol(s.ServiceKey), d, n)
		}
	}
	return out.Flush()
}

func writeService(out *bufio.Writer, r Request, s lvs.ServiceStatus, n Names) {
	name := serviceName(s.ServiceKey, n)
	switch r.View {
	case Stats:
		fmt.Fprintf(out, "%-33s", name)
		writeNumbers(out, r.Exact, counters(s.Counters))
	case Rate:
		fmt.Fprintf(out, "%-33s", name)
		writeNumbers(out, r.Exact, rates(s.Rates))
	case Plain, Thresholds, PersistentConn, TunInfo:
		fmt.Fprint(out, name+" "+string(s.Scheduler))
		if f := schedulerFlags(s.Service); f != "" {
			fmt.Fprint(out, " ("+f+")")
		}
		if s.Persistence != 0 {
			fmt.Fprintf(out, " persistent %d", s.Persistence/time.Second)
		}
		if s.OnePacket {
			fmt.Fprint(out, " ops")
		}
	}
	fmt.Fprintln(out)
}

func writeDestination(out *bufio.Writer, r Request, p lvs.Protocol, d lvs.DestinationStatus, n Names) {
	name := n.addrPort(p, d.AddrPort())
	switch r.View {
	case Stats:
		fmt.Fprintf(out, "  -> %-28s", name)
		writeNumbers(out, r.Exact, counters(d.Counters))
	case Rate:
		fmt.Fprintf(out, "  -> %-28s", name)
		writeNumbers(out, r.Exact, rates(d.Rates))
	case Plain:
		fmt.Fprintf(out, "  -> %-28s %-7s %-6d %-10d %-10d", name, forward(d.Method), d.Weight, d.Active, d.Inactive)
	case Thresholds:
		fmt.Fprintf(out, "  -> %-28s %-10d %-10d %-10d %-10d", name, d.UpperThreshold, d.LowerThreshold, d.Active, d.Inactive)
	case PersistentConn:
		// Persistence is not built yet: no template holds a server.
		fmt.Fprintf(out, "  -> %-28s %-9d %-11d %-10d %-10d", name, d.Weight, 0, d.Active, d.Inactive)
	case TunInfo:
		tun := "n/a"
		if d.Method == lvs.TUN {
			tun = "ipip"
		}
		fmt.Fprintf(out, "  -> %-28s %-7s %-13s %-6d %-10d %-10d", name, forward(d.Method), tun, d.Weight, d.Active, d.Inactive)
	}
	fmt.Fprintln(out)
}

// WriteSave prints the table as the commands that would make it.
func WriteSave(w io.Writer, services []lvs.ServiceStatus, n Names) error {
	out := bufio.NewWriter(w)
	for _, s := range order(services, false) {
		name := saveName(s.ServiceKey, n)
		fmt.Fprintf(out, "-A %s -s %s", name, s.Scheduler)
		if s.Persistence != 0 {
			fmt.Fprintf(out, " -p %d", s.Persistence/time.Second)
		}
		if s.OnePacket {
			fmt.Fprint(out, " -o")
		}
		if f := schedulerFlags(s.Service); f != "" {
			fmt.Fprint(out, " -b "+f)
		}
		fmt.Fprintln(out)
		for _, d := range s.Destinations {
			fmt.Fprintf(out, "-a %s -r %s %s -w %d", name, n.addrPort(portProtocol(s.ServiceKey), d.AddrPort()), saveMethod(d.Method), d.Weight)
			if d.Method == lvs.TUN {
				fmt.Fprint(out, " --tun-type ipip")
			}
			fmt.Fprintln(out)
		}
	}
	return out.Flush()
}

// WriteConnections prints the connection entries in the order they come. It
// stops at the first error of conns and returns it.
func WriteConnections(w io.Writer, conns iter.Seq2[lvs.Connection, error], n Names) error {
	out := bufio.NewWriterSize(w, 1<<16)
	fmt.Fprint(out, "IPVS connection entries\n"+
		"pro expire state       source             virtual            destination\n")
	for c, err := range conns {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		secs := int(max(c.Expires, 0) / time.Second)
		expire := fmt.Sprintf("%02d:%02d", secs/60, secs%60)
		fmt.Fprintf(out, "%-3s %-6s %-11s %-18s %-18s %s\n", c.Protocol.KernelName(), expire, c.StateName(),
			n.addrPort(c.Protocol, c.Client), n.addrPort(c.Protocol, c.Virtual), n.addrPort(c.Protocol, c.Destination))
	}
	return out.Flush()
}

// WriteTimeouts prints the three timeouts; 0 is the built-in default.
func WriteTimeouts(w io.Writer, t lvs.Timeouts) error {
	secs := func(d, def time.Duration) int {
		if d == 0 {
			d = def
		}
		return int(d / time.Second)
	}
	_, err := fmt.Fprintf(w, "Timeout (tcp tcpfin udp): %d %d %d\n",
		secs(t.TCP, 900*time.Second), secs(t.TCPFin, 120*time.Second), secs(t.UDP, 300*time.Second))
	return err
}

// Daemon is a sync daemon; Role is "master" or "backup".
type Daemon struct {
	Role      string
	Interface string
	SyncID    uint8
	MaxLen    int
	Group     netip.AddrPort
	TTL       int
}

// WriteDaemons prints the sync daemons, a line each.
func WriteDaemons(w io.Writer, daemons []Daemon) error {
	out := bufio.NewWriter(w)
	for _, d := range daemons {
		fmt.Fprintf(out, "%s sync daemon (mcast=%s, syncid=%d, maxlen=%d, group=%s, port=%d, ttl=%d)\n",
			d.Role, d.Interface, d.SyncID, d.MaxLen, d.Group.Addr(), d.Group.Port(), d.TTL)
	}
	return out.Flush()
}

// counters and rates return the five numbers of a line.
func counters(c lvs.Counters) [5]uint64 {
	return [5]uint64{c.Conns, c.InPkts, c.OutPkts, c.InBytes, c.OutBytes}
}

func rates(r lvs.Rates) [5]uint64 {
	return [5]uint64{r.CPS, r.InPPS, r.OutPPS, r.InBPS, r.OutBPS}
}

func writeNumbers(out *bufio.Writer, exact bool, numbers [5]uint64) {
	for _, v := range numbers {
		fmt.Fprint(out, number(v, exact))
	}
}

// number prints v in nine columns. Numbers of more than eight digits lose
// their last ones to a letter, and a column too narrow even then just gives
// way; exact ones keep a blank before them.
func number(v uint64, exact bool) string {
	switch {
	case exact && v >= 100_000_000:
		return " " + strconv.FormatUint(v, 10)
	case exact || v < 100_000_000:
		return fmt.Sprintf("%9d", v)
	case v < 1_000_000_000:
		return fmt.Sprintf("%8dK", v/1000)
	case v < 100_000_000_000:
		return fmt.Sprintf("%8dM", v/1_000_000)
	case v < 100_000_000_000_000:
		return fmt.Sprintf("%8dG", v/1_000_000_000)
	}
	return fmt.Sprintf("%8dT", v/1_000_000_000_000)
}

func forward(m lvs.Method) string {
	switch m {
	case lvs.NAT:
		return "Masq"
	case lvs.TUN:
		return "Tunnel"
	case lvs.DR:
	}
	return "Route"
}

func saveMethod(m lvs.Method) string {
	switch m {
	case lvs.NAT:
		return "-m"
	case lvs.TUN:
		return "-i"
	case lvs.DR:
	}
	return "-g"
}

// schedulerFlags names the flags as the scheduler calls them, comma separated.
func schedulerFlags(s lvs.Service) string {
	names := [...]string{"flag-1", "flag-2"}
	switch s.Scheduler {
	case lvs.SH:
		names = [...]string{"sh-fallback", "sh-port"}
	case lvs.MH:
		names = [...]string{"mh-fallback", "mh-port"}
	}
	text := ""
	for i, f := range [...]lvs.SchedulerFlags{lvs.SchedFallback, lvs.SchedPort} {
		if s.SchedulerFlags&f == 0 {
			continue
		}
		if text != "" {
			text += ","
		}
		text += names[i]
	}
	return text
}

// serviceName is "TCP  192.0.2.1:80" or "FWM  7 IPv6". A mark above 2^31
// prints negative, as ipvsadm does.
func serviceName(k lvs.ServiceKey, n Names) string {
	if k.FWMark != 0 {
		return "FWM  " + mark(k)
	}
	return fmt.Sprintf("%-4s %s", k.Protocol, n.addrPort(k.Protocol, netip.AddrPortFrom(k.Addr, k.Port)))
}

// portProtocol is the protocol by which a service's ports are named: a mark
// has none, and its ports stay numbers.
func portProtocol(k lvs.ServiceKey) lvs.Protocol {
	if k.FWMark != 0 {
		return 0
	}
	return k.Protocol
}

func mark(k lvs.ServiceKey) string {
	text := strconv.Itoa(int(int32(k.FWMark)))
	if k.Addr.Is6() {
		text += " IPv6"
	}
	return text
}

func saveName(k lvs.ServiceKey, n Names) string {
	ap := netip.AddrPortFrom(k.Addr, k.Port)
	switch {
	case k.FWMark != 0 && k.Addr.Is6():
		return "-f " + strconv.Itoa(int(int32(k.FWMark))) + " -6"
	case k.FWMark != 0:
		return "-f " + strconv.Itoa(int(int32(k.FWMark)))
	case k.Protocol == lvs.UDP:
		return "-u " + n.addrPort(k.Protocol, ap)
	case k.Protocol == lvs.SCTP:
		return "--sctp-service " + n.addrPort(k.Protocol, ap)
	}
	return "-t " + n.addrPort(k.Protocol, ap)
}

func (n Names) addrPort(p lvs.Protocol, ap netip.AddrPort) string {
	host, port := "", ""
	if n.Host != nil {
		host = n.Host(ap.Addr())
	}
	if n.Port != nil {
		port = n.Port(p, ap.Port())
	}
	if host == "" {
		host = ap.Addr().String()
		if ap.Addr().Is6() {
			host = "[" + host + "]"
		}
	}
	if port == "" {
		port = strconv.Itoa(int(ap.Port()))
	}
	return host + ":" + port
}

// order returns services and their destinations as ipvsadm sorts them.
func order(services []lvs.ServiceStatus, asIs bool) []lvs.ServiceStatus {
	if asIs {
		return services
	}
	all := slices.Clone(services)
	slices.SortStableFunc(all, func(a, b lvs.ServiceStatus) int { return compareServices(a.ServiceKey, b.ServiceKey) })
	for i := range all {
		all[i].Destinations = slices.Clone(all[i].Destinations)
		slices.SortStableFunc(all[i].Destinations, func(a, b lvs.DestinationStatus) int {
			if c := compareAddrs(a.Addr, b.Addr); c != 0 {
				return c
			}
			return int(a.Port) - int(b.Port)
		})
	}
	return all
}

// compareServices orders by mark, family, protocol, address, port.
func compareServices(a, b lvs.ServiceKey) int {
	if c := difference(a.FWMark, b.FWMark); c != 0 {
		return c
	}
	if a.Addr.Is6() == b.Addr.Is6() && a.Protocol != b.Protocol {
		return int(a.Protocol) - int(b.Protocol)
	}
	if c := compareAddrs(a.Addr, b.Addr); c != 0 {
		return c
	}
	return int(a.Port) - int(b.Port)
}

// compareAddrs orders IPv4 before IPv6, then by 32-bit words.
func compareAddrs(a, b netip.Addr) int {
	if a.Is6() != b.Is6() {
		if a.Is6() {
			return 1
		}
		return -1
	}
	x, y := a.As16(), b.As16()
	for i := 0; i < 16; i += 4 {
		if c := difference(word(x[i:]), word(y[i:])); c != 0 {
			return c
		}
	}
	return 0
}

func word(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// difference compares as ipvsadm does: by the sign of a 32-bit difference. So
// 192.168.0.1 stands before 10.0.0.1, which is more than 2^31 below it, and a
// mark of 4294967295 before one of 1. Seen with ipvsadm 1.31.
func difference(a, b uint32) int { return int(int32(a - b)) }
