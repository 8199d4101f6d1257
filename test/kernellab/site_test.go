package kernellab

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/kaname-lb/kaname/internal/lab"
)

// The site: two directors between an outer segment, where the client and the
// real servers of direct routing are, and an inner one with those of NAT.
//
//	client .2   dr1 .21   dr2 .22        VIPs .100 (DR) and .101 (NAT)
//	  |           |         |
//	--+-----------+---------+---------------- lan 10.7.0.0/24
//	       | eth0              | eth0
//	   lb1 .11             lb2 .12
//	       | eth1              | eth1        VIP .254, the way out
//	--+-----------+-------------------------- back 10.8.0.0/24
//	  |           |
//	nat1 .31   nat2 .32
func site() lab.Topology {
	at := func(name, segment, addr string) lab.IfaceSpec {
		return lab.IfaceSpec{Name: name, Segment: segment, Addrs: []string{addr + "/24"}}
	}
	host := func(name string, ifaces ...lab.IfaceSpec) lab.HostSpec {
		return lab.HostSpec{Name: name, Ifaces: ifaces}
	}
	director := func(name, last string) lab.HostSpec {
		h := host(name, at("eth0", "lan", "10.7.0."+last), at("eth1", "back", "10.8.0."+last)).AsRouter()
		// What a director that is IPVS needs set: no hint to the clients that they
		// could reach a real server themselves.
		h.Sysctls = map[string]string{"net.ipv4.conf.all.send_redirects": "0", "net.ipv4.conf.default.send_redirects": "0"}
		return h
	}
	return lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "lan"}, {Name: "back"}},
		Hosts: []lab.HostSpec{
			host("client", at("eth0", "lan", "10.7.0.2")),
			director("lb1", "11"), director("lb2", "12"),
			host("dr1", at("eth0", "lan", "10.7.0.21")).AsDRServer("10.7.0.100"),
			host("dr2", at("eth0", "lan", "10.7.0.22")).AsDRServer("10.7.0.100"),
			host("nat1", at("eth0", "back", "10.8.0.31")).AsNATServer("10.8.0.254"),
			host("nat2", at("eth0", "back", "10.8.0.32")).AsNATServer("10.8.0.254"),
		},
	}
}

// Ports of each method's virtual servers.
const (
	clientFirst = 80 // after the failover the client speaks first
	serverFirst = 81 // ... the server does
	datagrams   = 53
)

// method is a forwarding method at the site.
type method struct {
	kind    string // lb_kind
	vip     netip.Addr
	servers map[string]netip.Addr
	shift   uint16 // from a virtual server's port to that of its real servers
	closed  string // the state after an orderly end
}

var methods = []method{
	{"DR", netip.MustParseAddr("10.7.0.100"), map[string]netip.Addr{
		"dr1": netip.MustParseAddr("10.7.0.21"), "dr2": netip.MustParseAddr("10.7.0.22"),
	}, 0, "FIN_WAIT"},
	{"NAT", netip.MustParseAddr("10.7.0.101"), map[string]netip.Addr{
		"nat1": netip.MustParseAddr("10.8.0.31"), "nat2": netip.MustParseAddr("10.8.0.32"),
	}, 8000, "TIME_WAIT"},
}

func (m method) virtual(port uint16) netip.AddrPort { return netip.AddrPortFrom(m.vip, port) }

// listen is where a real server listens: with direct routing on the VIP.
func (m method) listen(port uint16) string {
	if m.shift == 0 {
		return m.virtual(port).String()
	}
	return fmt.Sprintf(":%d", port+m.shift)
}

// siteConfig is the keepalived.conf of a director, for keepalived and kaname
// alike.
func siteConfig(name string, priority int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `! %[1]s
global_defs {
    router_id %[1]s
    lvs_sync_daemon eth0 OUTSIDE id 51
}

vrrp_sync_group DIRECTOR {
    group {
        OUTSIDE
        INSIDE
    }
}

vrrp_instance OUTSIDE {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority %[2]d
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass kernlab
    }
    virtual_ipaddress {
        10.7.0.100/24 dev eth0
        10.7.0.101/24 dev eth0
    }
}

vrrp_instance INSIDE {
    state BACKUP
    interface eth1
    virtual_router_id 52
    priority %[2]d
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass kernlab
    }
    virtual_ipaddress {
        10.8.0.254/24 dev eth1
    }
}
`, name, priority)
	for _, m := range methods {
		for _, port := range []uint16{clientFirst, serverFirst, datagrams} {
			protocol, check := "TCP", "\n        TCP_CHECK {\n            connect_timeout 5\n        }"
			if port == datagrams {
				protocol, check = "UDP", ""
			}
			fmt.Fprintf(&b, `
virtual_server %s %d {
    delay_loop 5
    lb_algo rr
    lb_kind %s
    protocol %s
`, m.vip, port, m.kind, protocol)
			for _, addr := range sortedValues(m.servers) {
				fmt.Fprintf(&b, "    real_server %s %d {\n        weight 1%s\n    }\n", addr, port+m.shift, check)
			}
			b.WriteString("}\n")
		}
	}
	return b.String()
}
