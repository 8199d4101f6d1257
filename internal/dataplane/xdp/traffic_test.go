package xdp_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/lvs"
)

const (
	vip    = "10.0.0.100"
	client = "10.0.0.1"
)

// site is a director, a client and two real servers: for DR all on one LAN, for
// NAT with the servers on a LAN behind the director, which is their gateway.
type site struct {
	t                        *testing.T
	lan, back                *lan
	client, director, s1, s2 *host
	ifaces                   []string
}

func newSite(t *testing.T, method lvs.Method) *site {
	t.Helper()
	s := &site{t: t, lan: newLAN(t), client: newHost(t), director: newHost(t), s1: newHost(t), s2: newHost(t)}
	s.lan.join(s.client, "eth0", "client", client+"/24")
	s.lan.join(s.director, "eth0", "director", "10.0.0.2/24")
	s.director.addr("eth0", vip+"/32")
	s.ifaces = []string{"eth0"}
	if method == lvs.DR {
		for i, h := range []*host{s.s1, s.s2} {
			s.lan.join(h, "eth0", fmt.Sprint("server", i+1), fmt.Sprintf("10.0.0.1%d/24", i+1))
			h.sysctl("net.ipv4.conf.all.arp_ignore", "1")
			h.sysctl("net.ipv4.conf.all.arp_announce", "2")
			h.addr("lo", vip+"/32")
		}
	} else {
		s.back = newLAN(t)
		s.back.join(s.director, "eth1", "director", "10.1.0.1/24")
		s.director.sysctl("net.ipv4.ip_forward", "1")
		for i, h := range []*host{s.s1, s.s2} {
			s.back.join(h, "eth0", fmt.Sprint("server", i+1), fmt.Sprintf("10.1.0.1%d/24", i+1))
			h.gateway("10.1.0.1")
		}
		s.ifaces = append(s.ifaces, "eth1")
	}
	// A datagram's answer must come from the address that was asked.
	at := servers(method)[:]
	if method == lvs.DR {
		at = []netip.AddrPort{ap(vip + ":80"), ap(vip + ":80")}
	}
	s.s1.serve("one", at[0].String())
	s.s2.serve("two", at[1].String())
	return s
}

// addrs are the servers' addresses.
func servers(method lvs.Method) []netip.AddrPort {
	if method == lvs.DR {
		return []netip.AddrPort{ap("10.0.0.11:80"), ap("10.0.0.12:80")}
	}
	return []netip.AddrPort{ap("10.1.0.11:80"), ap("10.1.0.12:80")}
}

func service(proto lvs.Protocol, kind lvs.Scheduler, method lvs.Method, weights ...int) lvs.ServiceSet {
	s := lvs.ServiceSet{Service: lvs.Service{
		ServiceKey: lvs.ServiceKey{Protocol: proto, Addr: netip.MustParseAddr(vip), Port: 80}, Scheduler: kind,
	}}
	for i, a := range servers(method) {
		if i < len(weights) {
			s.Destinations = append(s.Destinations, lvs.Destination{Addr: a.Addr(), Port: a.Port(), Method: method, Weight: weights[i]})
		}
	}
	return s
}

// natively prepares a site for native XDP on veth: a program at every end that
// receives, and senders that complete their checksums.
func (s *site) natively() {
	s.lan.stub("client")
	s.lan.stub("director")
	s.client.txOff("eth0")
	for i, h := range []*host{s.s1, s.s2} {
		h.txOff("eth0")
		l := s.lan
		if s.back != nil {
			l = s.back
		}
		l.stub(fmt.Sprint("server", i+1))
	}
	if s.back != nil {
		s.back.stub("director")
	}
}

// generically is natively for generic XDP, where only checksums matter.
func (s *site) generically() {
	for _, h := range []*host{s.client, s.s1, s.s2} {
		h.txOff("eth0")
	}
}

func (s *site) ready(d *xdp.Dataplane) {
	s.t.Helper()
	eventually(s.t, "neighbours", func() error {
		for _, c := range d.Conditions() {
			return fmt.Errorf("%s %s: %s", c.Code, c.Object, c.What)
		}
		return nil
	})
}

// TestTraffic carries TCP and UDP by every method in every mode: both servers
// answer in turn, the client's address arrives, nothing is lost, and all that
// is counted is right.
func TestTraffic(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		method lvs.Method
		mode   xdp.Mode
		want   string // the mode that Status shows
	}{
		{lvs.DR, xdp.Auto, "tc"},
		{lvs.NAT, xdp.Auto, "tc"},
		{lvs.DR, xdp.Generic, "generic"},
		{lvs.NAT, xdp.Generic, "generic"},
		{lvs.DR, xdp.Native, "native"},
		{lvs.NAT, xdp.Native, "native"},
	} {
		t.Run(strings.ToLower(fmt.Sprintf("%v/%v", tt.method, tt.mode)), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.method)
			spec := xdp.Spec{Mode: tt.mode}
			switch tt.mode {
			case xdp.Native:
				s.natively()
				spec.CompleteChecksums = true
			case xdp.Generic:
				s.generically()
				spec.CompleteChecksums = true
			}
			d := s.director.open(spec)
			run(t, d)
			must(t, d.SetInterfaces(s.ifaces))
			must(t, d.Set([]lvs.ServiceSet{service(lvs.TCP, lvs.RR, tt.method, 1, 1), service(lvs.UDP, lvs.RR, tt.method, 1, 1)}))
			s.ready(d)
			for _, i := range d.Status().Interfaces {
				if i.Mode != tt.want {
					t.Errorf("interface %s is in mode %q (%s), want %q", i.Name, i.Mode, i.Why, tt.want)
				}
			}
			for _, network := range []string{"tcp4", "udp4"} {
				got := map[string]int{}
				for range 10 {
					name, err := s.client.fetch(network, vip+":80")
					if err != nil {
						t.Fatalf("%s: %v; reasons %v", network, err, d.Status().Reasons)
					}
					got[name]++
				}
				if got["one"] != 5 || got["two"] != 5 {
					t.Errorf("%s: answers by server: %v", network, got)
				}
			}
			s.checkCounts(d, tt.method)
		})
	}
}

// checkCounts looks at what 10 TCP and 10 UDP exchanges left behind.
func (s *site) checkCounts(d *xdp.Dataplane, method lvs.Method) {
	s.t.Helper()
	conns := slices.Collect(d.Connections)
	byProto := map[lvs.Protocol]int{}
	for _, c := range conns {
		byProto[c.Protocol]++
		if c.Client.Addr() != netip.MustParseAddr(client) || c.Virtual != ap(vip+":80") || c.Method != method ||
			!slices.Contains(servers(method), c.Destination) || c.Expires <= 0 {
			s.t.Errorf("connection %+v", c)
		}
	}
	if want := map[lvs.Protocol]int{lvs.TCP: 10, lvs.UDP: 10}; !maps.Equal(byProto, want) {
		s.t.Errorf("connections by protocol %v, want %v", byProto, want)
	}
	for _, st := range d.Services() {
		if st.Counters.Conns != 10 || st.Counters.InPkts < 10 || st.Counters.InBytes < 280 {
			s.t.Errorf("%s: counters %+v", st.ServiceKey, st.Counters)
		}
		if out := st.Counters.OutPkts > 0; out != (method == lvs.NAT) {
			s.t.Errorf("%s: %d packets out by %v", st.ServiceKey, st.Counters.OutPkts, method)
		}
		for _, r := range st.Destinations {
			if r.Active+r.Inactive != 5 || r.Counters.Conns != 5 {
				s.t.Errorf("%s: %s: %d active, %d inactive, counters %+v", st.ServiceKey, r.AddrPort(), r.Active, r.Inactive, r.Counters)
			}
			if st.Protocol == lvs.UDP && r.Active != 0 {
				s.t.Errorf("%s: %d active", st.ServiceKey, r.Active)
			}
		}
	}
}
