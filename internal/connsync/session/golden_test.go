package session_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/connsynctest"
	"github.com/kaname-lb/kaname/internal/connsync/pcap"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/lvs"
)

const captures = "../testdata/ipvs-sync"

// clock is how far a remaining time may be off: the kernel tells whole
// seconds, and listing its table took up to half a second.
const clock = 3.0

// scenario says where the backup of a capture was not just a backup from the
// first message on.
type scenario struct {
	options session.Options
	// host is whose table it is compared with: lb2, the backup, unless given.
	host string
	// heard says which messages the backup took; nil: those that it did not send
	// itself.
	heard func(d *pcap.Datagram) bool
	// differs are the differences between the observer's table and the kernel's,
	// "label: - kernel" and "label: + observer".
	differs []string
}

func after(unix float64) func(*pcap.Datagram) bool {
	return func(d *pcap.Datagram) bool { return float64(d.Time.UnixMicro())/1e6 > unix && notItsOwn(d) }
}

func notItsOwn(d *pcap.Datagram) bool {
	a := d.Src.Addr().String()
	return a != "10.7.0.12" && a != "fd07::12"
}

var scenarios = map[string]scenario{
	"a2-keepalived-failover": {
		// The backup becomes master, and announces what it then knows.
		heard: func(*pcap.Datagram) bool { return true },
		differs: []string{
			// As master it has seen packets of the connection that it did not announce.
			"after the failover: - TCP 10.7.0.2:50000 10.7.0.100:7 10.7.0.22:7 ESTABLISHED 899",
			"after the failover: + TCP 10.7.0.2:50000 10.7.0.100:7 10.7.0.22:7 ESTABLISHED 889",
		},
	},
	// Its backup daemon has another syncid until 1795197044, and none after.
	"k-two-syncids": {heard: after(1795197044)},
	// Its daemon starts at this time.
	"m-late-backup": {heard: after(1795197471.435560)},
	// The backup lost what is behind the wrong count; the observer has it all,
	// as the master.
	"r-count-overflow": {host: "lb1"},
	"n-injected": {
		options: session.Options{SyncIDs: []uint8{77}},
		differs: []string{
			// A kernel keeps a template's destination, whatever is announced; the
			// observer shows what the director has.
			"end: - TCP 10.7.0.2:0 10.7.0.100:80 10.7.0.21:80 NONE 173",
			"end: + TCP 10.7.0.2:0 10.7.0.100:80 10.7.0.22:80 NONE 174",
			// A persistence engine that the kernel does not have.
			"end: + UDP 10.7.0.2:0 10.7.0.100:5062 10.7.0.21:5062 NONE 273",
		},
	},
}

// TestTableIsTheKernels: after each capture's messages the table holds what the
// kernel that received them held.
func TestTableIsTheKernels(t *testing.T) {
	for _, name := range connsynctest.Scenarios(t, captures) {
		t.Run(name, func(t *testing.T) {
			s := scenarios[name]
			if s.heard == nil {
				s.heard = notItsOwn
			}
			tab, grams := session.New(s.options), connsynctest.Messages(t, captures, name)
			var differs []string
			for _, snap := range connsynctest.Tables(t, captures, name, cmp.Or(s.host, "lb2")) {
				for len(grams) > 0 && grams[0].Time.Before(snap.Time()) {
					if s.heard(&grams[0]) {
						// What is broken is in n-injected on purpose, and counted.
						_, _ = tab.Apply(grams[0].Time, grams[0].Src.Addr(), grams[0].Payload)
					}
					grams = grams[1:]
				}
				tab.Expire(snap.Time())
				differs = append(differs, differences(tab, &snap)...)
			}
			slices.Sort(differs)
			slices.Sort(s.differs)
			if diff := gocmp.Diff(s.differs, differs); diff != "" {
				t.Errorf("other differences than known (-known +found):\n%s", diff)
			}
		})
	}
}

// differences compares the table with a kernel's; sessions that run out at
// about that moment may be there or not.
func differences(tab *session.Table, snap *connsynctest.Snapshot) (out []string) {
	have := map[string]float64{}
	for s := range tab.All() {
		k := text(s)
		if _, twice := have[k]; twice {
			out = append(out, fmt.Sprintf("%s: twice %s", snap.Label, k))
		}
		have[k] = s.Expires(snap.Time()).Seconds()
	}
	for _, c := range snap.Conns {
		k := strings.Join([]string{c.Proto, c.Client, c.Virtual, c.Dest, c.State}, " ")
		left, ok := have[k]
		switch {
		case ok && math.Abs(left-c.Expire) <= clock:
		case c.Origin == "LOCAL" && snap.Host == "lb2" || !ok && c.Expire <= clock:
			continue
		default:
			out = append(out, fmt.Sprintf("%s: - %s %.0f", snap.Label, k, c.Expire))
			continue
		}
		delete(have, k)
	}
	for k, left := range have {
		if left > clock {
			out = append(out, fmt.Sprintf("%s: + %s %.0f", snap.Label, k, left))
		}
	}
	return out
}

// protocols are the names of the kernel's listing.
var protocols = map[lvs.Protocol]string{0: "IP", lvs.TCP: "TCP", lvs.UDP: "UDP", lvs.SCTP: "SCTP", 50: "IP_50", 51: "IP_51"}

func text(s *session.Session) string {
	return fmt.Sprintf("%s %s %s %s %s", protocols[s.Protocol], s.Client, s.Virtual, s.Dest, s.StateName())
}

// TestRefusalsAreCounted: of the messages that were made to be refused each is
// counted, for its reason, and what a kernel dropped is not in the table.
func TestRefusalsAreCounted(t *testing.T) {
	tab := session.New(session.Options{SyncIDs: []uint8{77}})
	broken := 0
	for _, d := range connsynctest.Messages(t, captures, "n-injected") {
		if _, err := tab.Apply(d.Time, d.Src.Addr(), d.Payload); err != nil {
			broken++
		}
	}
	want := map[string]uint64{
		"size": 1, "syncid": 2, "cut": 1, "type": 1, "connection-version": 1, "option": 2,
		"unknown-option": 1, "engine": 1, "state": 1, "protocol": 1, "one-packet": 1,
	}
	got := map[string]uint64{}
	stats := tab.Stats()
	for r, n := range stats.Refused {
		if n > 0 {
			got[connsync.Reason(r).String()] = n
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" || broken != 6 || stats.Stale != 1 {
		t.Errorf("%d broken, want 6; %d stale, want 1; refused (-want +got):\n%s", broken, stats.Stale, diff)
	}
	if d := stats.Directors; len(d) != 1 || d[0].Refused != 10 || d[0].Connections != stats.Connections || d[0].Sessions != tab.Len() {
		t.Errorf("directors %+v, with %d connections and %d sessions in all", d, stats.Connections, tab.Len())
	}
}

// at is a time of the tests.
func at(seconds float64) time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(seconds * 1e9))
}

// messagesOf are a capture's messages, as seeds.
func messagesOf(tb testing.TB, name string) (all [][]byte) {
	tb.Helper()
	for _, d := range connsynctest.Messages(tb, captures, name) {
		all = append(all, d.Payload)
	}
	return all
}
