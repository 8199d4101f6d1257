package kernellab

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// The addresses of the differential are nobody's: no kernel answers for them,
// so a director sees what a script says and nothing else.
var (
	ghostClient = netip.MustParseAddr("10.7.0.3")
	ghostDR     = netip.MustParseAddr("10.7.0.40")
	ghostNAT    = netip.MustParseAddr("10.8.0.40")
)

// packet is one step of a script.
type packet struct {
	reply bool
	flags uint8 // of TCP
}

// script is the life of one connection.
type script struct {
	protocol lvs.Protocol
	nat      bool
	packets  []packet
}

func (s script) String() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s nat=%v, %d packets:", s.protocol, s.nat, len(s.packets))
	for _, p := range s.packets[:min(len(s.packets), 16)] {
		direction := ">"
		if p.reply {
			direction = "<"
		}
		fmt.Fprintf(b, " %s", direction)
		for _, f := range []struct {
			flag uint8
			name string
		}{{lab.TCPSyn, "S"}, {lab.TCPFin, "F"}, {lab.TCPRst, "R"}, {lab.TCPAck, "A"}} {
			if p.flags&f.flag != 0 {
				b.WriteString(f.name)
			}
		}
	}
	return b.String()
}

// scripts are connections of every length around the thresholds, and walks at
// random through TCP's flags.
func scripts(r *rand.Rand) []script {
	var all []script
	for _, nat := range []bool{false, true} {
		for _, n := range []int{1, 2, 3, 4, 52, 53, 54, 102, 103, 104} {
			s := script{lvs.UDP, nat, nil}
			c := script{lvs.TCP, nat, open(nat)}
			for range n {
				s.packets = append(s.packets, packet{})
				c.packets = append(c.packets, packet{flags: lab.TCPAck})
				if nat { // answers count for nothing
					s.packets = append(s.packets, packet{reply: true})
					c.packets = append(c.packets, packet{reply: true, flags: lab.TCPAck})
				}
			}
			all = append(all, s, c)
		}
		for range 150 {
			s := script{lvs.TCP, nat, open(nat)[:1+r.IntN(len(open(nat)))]}
			for range 3 + r.IntN(12) {
				// A second SYN would begin another connection.
				s.packets = append(s.packets, packet{nat && r.IntN(2) == 0, [...]uint8{
					lab.TCPAck, lab.TCPAck, lab.TCPAck, lab.TCPAck, lab.TCPAck, lab.TCPFin | lab.TCPAck, lab.TCPFin | lab.TCPAck,
					lab.TCPRst, lab.TCPRst | lab.TCPAck,
				}[r.IntN(9)]})
			}
			all = append(all, s)
		}
	}
	return all
}

// open is how a TCP connection begins.
func open(nat bool) []packet {
	if nat {
		return []packet{{flags: lab.TCPSyn}, {true, lab.TCPSyn | lab.TCPAck}, {flags: lab.TCPAck}}
	}
	return []packet{{flags: lab.TCPSyn}, {flags: lab.TCPAck}}
}

const ghostConfig = `
global_defs {
    lvs_sync_daemon eth0 VI id 51
}
@kaname kaname {
@kaname     sync_at_once off
@kaname     sync_threshold 3 50
@kaname     sync_refresh_period 0
@kaname }
vrrp_instance VI {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {
        10.7.0.100/24
        10.7.0.101/24
    }
}
`

// testAnnouncements: the same packets through the kernel's IPVS and through
// kaname; both announce the same states, flags and timeouts, each as often. One
// thing is otherwise on purpose: kaname announces a change of state with the
// packet that makes it also when that is a reply; the kernel with the client's
// next packet, if there is one and nothing else has changed by then.
func testAnnouncements(t *testing.T) {
	modprobe(t, "ip_vs", "ip_vs_rr")
	const seed = 1
	all := scripts(rand.New(rand.NewPCG(seed, seed)))
	kernel, ours := perform(t, "kernel", all), perform(t, "kaname", all)
	known := map[string]bool{}
	announced, extra := 0, 0
	for i, s := range all {
		announced += len(kernel[i])
		for _, c := range kernel[i] {
			known[withoutClient(c)] = true
		}
		more := beyond(kernel[i], ours[i])
		if more == nil || len(more) > s.replies() {
			t.Errorf("script %d, %s (- the kernel's, + kaname's announcements):\n%s", i, s, cmp.Diff(kernel[i], ours[i], sameAddr))
		}
		extra += len(more)
	}
	for i, s := range all {
		for _, c := range ours[i] {
			if !known[withoutClient(c)] {
				t.Errorf("script %d, %s: kaname announces %+v, which the kernel never does", i, s, c)
			}
		}
	}
	if announced < len(all) {
		t.Errorf("the kernel announced %d times for %d scripts: this compares nothing", announced, len(all))
	}
	t.Logf("%d scripts, %d announcements, %d more by replies", len(all), announced, extra)
}

var sameAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

// beyond are the announcements that kaname makes between the kernel's; nil if it
// does not make all of the kernel's in order.
func beyond(kernel, ours []connsync.Conn) []connsync.Conn {
	more := []connsync.Conn{}
	for _, c := range ours {
		if len(kernel) > 0 && cmp.Equal(kernel[0], c, sameAddr) {
			kernel = kernel[1:]
		} else {
			more = append(more, c)
		}
	}
	if len(kernel) > 0 {
		return nil
	}
	return more
}

// replies is how many packets can change the state without the kernel telling.
func (s script) replies() int {
	n := 0
	for _, p := range s.packets {
		if p.reply && s.protocol == lvs.TCP {
			n++
		}
	}
	return n
}

// withoutClient makes announcements of different connections comparable.
func withoutClient(c connsync.Conn) string {
	c.Client = netip.AddrPort{}
	return fmt.Sprintf("%+v", c)
}

// perform plays the scripts through a director and returns what it announced
// of each.
func perform(t *testing.T, kind string, all []script) [][]connsync.Conn {
	t.Helper()
	l := stage(t, site())
	lb1, client, server := l.Host("lb1"), l.Host("client"), l.Host("nat1")
	for _, n := range []struct{ addr, mac, dev string }{
		{ghostClient.String(), client.MAC("eth0").String(), "eth0"},
		{ghostDR.String(), l.Host("dr1").MAC("eth0").String(), "eth0"},
		{ghostNAT.String(), server.MAC("eth0").String(), "eth1"},
	} {
		run(t, lb1, "ip", "neigh", "replace", n.addr, "lladdr", n.mac, "dev", n.dev, "nud", "permanent")
	}
	capture, err := client.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, kind, lb1, ghostConfig+ghostServices())
	holds(t, lb1, "10.7.0.100", "10.7.0.101")
	plays(t, d, "master")

	in, out := newWire(t, client, lb1.MAC("eth0")), newWire(t, server, lb1.MAC("eth1"))
	last := append(slices.Clone(all), script{lvs.UDP, false, make([]packet, 3)}) // nothing comes behind it
	for i, s := range last {
		from, to, dest := s.ends(i)
		for _, p := range s.packets {
			if p.reply {
				out.send(t, s.protocol, dest, from, p.flags)
			} else {
				in.send(t, s.protocol, from, to, p.flags)
			}
		}
	}
	var heard [][]connsync.Conn
	eventually(t, "the last connection announced by "+d.name(), func() error {
		heard = announcements(t, capture.Packets(), len(last))
		if len(heard[len(all)]) == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if err := lb1.Lose(); err != nil {
		t.Fatal(err)
	}
	capture.Stop()
	return heard[:len(all)]
}

// ends are the client, the virtual and the real server of script i.
func (s script) ends(i int) (client, virtual, dest netip.AddrPort) {
	port := uint16(80)
	if s.protocol == lvs.UDP {
		port = 53
	}
	client = netip.AddrPortFrom(ghostClient, uint16(20000+i))
	if s.nat {
		return client, netip.AddrPortFrom(methods[1].vip, port), netip.AddrPortFrom(ghostNAT, port+8000)
	}
	return client, netip.AddrPortFrom(methods[0].vip, port), netip.AddrPortFrom(ghostDR, port)
}

func ghostServices() string {
	var b strings.Builder
	for _, s := range []script{{lvs.TCP, false, nil}, {lvs.UDP, false, nil}, {lvs.TCP, true, nil}, {lvs.UDP, true, nil}} {
		_, virtual, dest := s.ends(0)
		kind := map[bool]string{false: "DR", true: "NAT"}[s.nat]
		fmt.Fprintf(&b, `
virtual_server %s %d {
    lb_algo rr
    lb_kind %s
    protocol %s
    real_server %s %d {
        weight 1
    }
}
`, virtual.Addr(), virtual.Port(), kind, s.protocol, dest.Addr(), dest.Port())
	}
	return b.String()
}

// announcements are what the sync group heard of each of n scripts.
func announcements(t *testing.T, packets []lab.Packet, n int) [][]connsync.Conn {
	t.Helper()
	all := make([][]connsync.Conn, n)
	for _, c := range announcedBy(t, packets, netip.MustParseAddr("10.7.0.11")) {
		i := int(c.Client.Port()) - 20000
		if c.Client.Addr() != ghostClient || i < 0 || i >= n {
			t.Fatalf("announced: %+v, which no script has", c)
		}
		all[i] = append(all[i], c)
	}
	return all
}

// announcedBy are the connections that a director told the sync group, in order.
func announcedBy(t *testing.T, packets []lab.Packet, source netip.Addr) []connsync.Conn {
	t.Helper()
	var all []connsync.Conn
	for _, p := range packets {
		s := p.Decode()
		if s.Src.Addr() != source || s.Dst != netip.MustParseAddrPort("224.0.0.81:8848") {
			continue
		}
		r, err := connsync.Read(s.Payload)
		if err != nil {
			t.Fatal(err)
		}
		for c := (connsync.Conn{}); r.Next(&c); {
			all = append(all, c)
		}
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
