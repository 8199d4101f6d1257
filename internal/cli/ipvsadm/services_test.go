package ipvsadm_test

import (
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// The table behind a set of recordings is read back from the recordings
// themselves, from several views, and then printed in all views. A service
// that says something which our words do not hold (persistence netmasks,
// engines, a third flag) is left out, on both sides.

// recording returns the output part of a recorded file, without the command.
func recording(t *testing.T, set, view string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", set, view+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, out, ok := strings.Cut(string(b), "\n")
	if !ok {
		t.Fatalf("%s/%s.txt: no command line", set, view)
	}
	return out
}

func exists(set, view string) bool {
	_, err := os.Stat(filepath.Join("testdata", set, view+".txt"))
	return err == nil
}

// block is a service's line and its destinations' lines.
type block []string

// blocks cuts a listing or a save into its head lines and its services.
func blocks(out string) (head []string, all []block) {
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "IP Virtual") || strings.HasPrefix(line, "Prot ") || strings.HasPrefix(line, "  -> Remote"):
			head = append(head, line)
		case strings.HasPrefix(line, "  -> ") || strings.HasPrefix(line, "-a "):
			all[len(all)-1] = append(all[len(all)-1], line)
		default:
			all = append(all, block{line})
		}
	}
	return head, all
}

// without drops services from an output.
func without(out string, drop func(name string) bool) string {
	head, all := blocks(out)
	text := strings.Join(head, "")
	for _, b := range all {
		if !drop(nameOf(b[0])) {
			text += strings.Join(b, "")
		}
	}
	return text
}

// nameOf returns "UDP 10.1.0.100:53" for a listed or saved service.
func nameOf(line string) string {
	f := strings.Fields(line)
	switch f[0] {
	case "-A":
		proto := map[string]string{"-t": "TCP", "-u": "UDP", "--sctp-service": "SCTP", "-f": "FWM"}[f[1]]
		name := proto + " " + f[2]
		if len(f) > 3 && f[3] == "-6" {
			name += " IPv6"
		}
		return name
	case "FWM":
		if len(f) > 2 && f[2] == "IPv6" {
			return "FWM " + f[1] + " IPv6"
		}
	}
	return f[0] + " " + f[1]
}

// tableOf reads a set's services in the kernel's order.
func tableOf(t *testing.T, set string) []lvs.ServiceStatus {
	t.Helper()
	_, plain := blocks(recording(t, set, "Ln-nosort"))
	var all []lvs.ServiceStatus
	for _, b := range plain {
		s := serviceOf(t, b[0])
		for _, line := range b[1:] {
			s.Destinations = append(s.Destinations, destinationOf(t, line))
		}
		all = append(all, s)
	}
	each := func(view string, service func(*lvs.ServiceStatus, []uint64), dest func(*lvs.DestinationStatus, []uint64)) {
		_, bs := blocks(recording(t, set, view))
		for _, b := range bs {
			i := slices.IndexFunc(plain, func(p block) bool { return nameOf(p[0]) == nameOf(b[0]) })
			if service != nil {
				service(&all[i], numbers(t, b[0]))
			}
			for _, line := range b[1:] {
				ap := netip.MustParseAddrPort(strings.Fields(line)[1])
				j := slices.IndexFunc(all[i].Destinations, func(d lvs.DestinationStatus) bool { return d.AddrPort() == ap })
				dest(&all[i].Destinations[j], numbers(t, line))
			}
		}
	}
	each("Ln-stats-exact",
		func(s *lvs.ServiceStatus, n []uint64) { s.Counters = countersOf(n) },
		func(d *lvs.DestinationStatus, n []uint64) { d.Counters = countersOf(n) })
	rate := "Ln-rate"
	if exists(set, "Ln-rate-exact") {
		rate = "Ln-rate-exact"
	}
	each(rate,
		func(s *lvs.ServiceStatus, n []uint64) { s.Rates = ratesOf(n) },
		func(d *lvs.DestinationStatus, n []uint64) { d.Rates = ratesOf(n) })
	each("Ln-thresholds", nil, func(d *lvs.DestinationStatus, n []uint64) {
		d.UpperThreshold, d.LowerThreshold = uint32(n[0]), uint32(n[1])
	})
	return all
}

func countersOf(n []uint64) lvs.Counters {
	n = n[len(n)-5:]
	return lvs.Counters{Conns: n[0], InPkts: n[1], OutPkts: n[2], InBytes: n[3], OutBytes: n[4]}
}

func ratesOf(n []uint64) lvs.Rates {
	n = n[len(n)-5:]
	return lvs.Rates{CPS: n[0], InPPS: n[1], OutPPS: n[2], InBPS: n[3], OutBPS: n[4]}
}

// numbers returns the fields of a line that are numbers after its name.
func numbers(t *testing.T, line string) []uint64 {
	t.Helper()
	var all []uint64
	for _, f := range strings.Fields(line)[2:] {
		if n, err := strconv.ParseUint(f, 10, 64); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func serviceOf(t *testing.T, line string) lvs.ServiceStatus {
	t.Helper()
	f := strings.Fields(line)
	var s lvs.ServiceStatus
	if f[0] == "FWM" {
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			t.Fatalf("mark in %q: %v", line, err)
		}
		s.FWMark, s.Addr = uint32(n), netip.IPv4Unspecified()
		if f[2] == "IPv6" {
			s.Addr = netip.IPv6Unspecified()
			f = append(f[:2], f[3:]...)
		}
	} else {
		if err := s.Protocol.UnmarshalText([]byte(f[0])); err != nil {
			t.Fatal(err)
		}
		ap := netip.MustParseAddrPort(f[1])
		s.Addr, s.Port = ap.Addr(), ap.Port()
	}
	s.Scheduler = lvs.Scheduler(f[2])
	for i := 3; i < len(f); i++ {
		switch {
		case f[i] == "persistent":
			n, _ := strconv.Atoi(f[i+1])
			s.Persistence = time.Duration(n) * time.Second
		case f[i] == "ops":
			s.OnePacket = true
		case strings.Contains(f[i], "-fallback") || strings.Contains(f[i], "flag-1"):
			s.SchedulerFlags |= lvs.SchedFallback
		}
		if strings.Contains(f[i], "-port") || strings.Contains(f[i], "flag-2") {
			s.SchedulerFlags |= lvs.SchedPort
		}
	}
	return s
}

func destinationOf(t *testing.T, line string) lvs.DestinationStatus {
	t.Helper()
	f := strings.Fields(line)
	var d lvs.DestinationStatus
	ap := netip.MustParseAddrPort(f[1])
	d.Addr, d.Port = ap.Addr(), ap.Port()
	d.Method = map[string]lvs.Method{"Masq": lvs.NAT, "Route": lvs.DR, "Tunnel": lvs.TUN}[f[2]]
	n := numbers(t, line)
	d.Weight, d.Active, d.Inactive = int(n[0]), uint32(n[1]), uint32(n[2])
	return d
}

// connectionsOf reads a recorded -Lnc.
func connectionsOf(t *testing.T, out string) iter.Seq2[lvs.Connection, error] {
	t.Helper()
	return func(yield func(lvs.Connection, error) bool) {
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) != 6 || f[0] == "pro" {
				continue
			}
			var c lvs.Connection
			switch n, isNumber := strings.CutPrefix(f[0], "IP_"); {
			case f[0] == "IP":
			case isNumber:
				f[0] = "PROTO" + n
				fallthrough
			default:
				if err := c.Protocol.UnmarshalText([]byte(f[0])); err != nil {
					t.Fatal(err)
				}
			}
			m, s, _ := strings.Cut(f[1], ":")
			mins, _ := strconv.Atoi(m)
			secs, _ := strconv.Atoi(s)
			// The rest of the running second is not shown.
			c.Expires = time.Duration(mins*60+secs)*time.Second + 999*time.Millisecond
			c.Template = strings.HasSuffix(f[3], ":0") // no client has the port
			for c.State = 0; c.StateName() != f[2]; c.State++ {
				if c.State > 20 {
					t.Fatalf("state of %q", line)
				}
			}
			c.Client, c.Virtual, c.Destination = netip.MustParseAddrPort(f[3]), netip.MustParseAddrPort(f[4]), netip.MustParseAddrPort(f[5])
			if !yield(c, nil) {
				return
			}
		}
	}
}
