package lab

import (
	"fmt"
	"net/netip"
	"strings"
)

// The demo's cast. The addresses are those that RFC 5737 keeps for examples.
const (
	demoVIP = "192.0.2.100"

	demoClient  = "192.0.2.1"
	demoMaster  = "lb1"
	demoBackup  = "lb2"
	demoServer1 = "192.0.2.21"
	demoServer2 = "192.0.2.22"
)

var demoTarget = netip.AddrPortFrom(netip.MustParseAddr(demoVIP), 80)

const demoDrawing = `
                        client  192.0.2.1
                           |
      ---------+-----------+-----------+---------   one segment, 192.0.2.0/24
               |                       |
     lb1 192.0.2.11 ---- VIP ---- lb2 192.0.2.12    two directors (kaname)
               |    192.0.2.100        |
      ---------+-----------+-----------+---------
               |                       |
     rs1 192.0.2.21              rs2 192.0.2.22     two real servers, which
     (VIP on lo)                 (VIP on lo)        answer the client directly

`

// demoTopology is the drawing, built.
func demoTopology() Topology {
	host := func(name, addr string) HostSpec {
		return HostSpec{Name: name, Ifaces: []IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{addr + "/24"}}}}
	}
	return Topology{
		Segments: []SegmentSpec{{Name: "lan"}},
		Hosts: []HostSpec{
			host("client", demoClient),
			host(demoMaster, "192.0.2.11"),
			host(demoBackup, "192.0.2.12"),
			host("rs1", demoServer1).AsDRServer(demoVIP),
			host("rs2", demoServer2).AsDRServer(demoVIP),
		},
	}
}

// demoPriority decides who is master when both directors are well.
var demoPriority = map[string]int{demoMaster: 200, demoBackup: 150}

// demoConfig is the whole configuration of one director.
func demoConfig(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `! keepalived.conf of %s
global_defs {
    lvs_sync_daemon eth0 WEB
}

vrrp_instance WEB {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority %d
    advert_int 1
    virtual_ipaddress {
        %s/24
    }
}

virtual_server %s 80 {
    delay_loop 2
    lb_algo rr
    lb_kind DR
    protocol TCP
`, name, demoPriority[name], demoVIP, demoVIP)
	for _, server := range []string{demoServer1, demoServer2} {
		fmt.Fprintf(&b, `    real_server %s 80 {
        weight 1
        HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_timeout 2
        }
    }
`, server)
	}
	b.WriteString("}\n")
	return b.String()
}
