package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

var hostDaemonRules = []hostRule{
	{"host-vrrp-running", finding.Note, hostVRRPRunning},
	{"host-without-ipvs", finding.Warning, hostWithoutIPVS},
	{"host-without-bpf", finding.Error, hostWithoutBPF},
	{"host-mail-server", finding.Warning, hostMailServer},
	{"host-id-never-matches", finding.Warning, hostIDNeverMatches},
	{"host-unknown", finding.Note, hostUnknown},
}

// hostVRRPRunning: two daemons take the addresses from each other.
func hostVRRPRunning(c *hostChecker) {
	for _, p := range c.host.Processes {
		if p.Name == "kaname" {
			continue // the one that will be reloaded
		}
		at, evidence := finding.Place{Object: "host"}, fmt.Sprintf("pid %d", p.PID)
		if p.PIDFile != "" {
			evidence += ", " + p.PIDFile
		}
		if len(c.cfg.Instances) > 0 {
			at = c.cfg.Instances[0].Where
		}
		c.reportFor(at, fmt.Sprintf("%s runs on this host and speaks VRRP: with the same virtual_router_id it and kaname would be two nodes at one address", p.Name),
			evidence, "stop it before kaname runs with this file")
	}
}

// hostWithoutIPVS: the backend that was asked for is not there.
func hostWithoutIPVS(c *hostChecker) {
	n := newNode(Node{Config: c.cfg, Tree: c.tree})
	st := n.find(c.cfg.Kaname.Where, "dataplane")
	if has, asked := c.host.Kernel["ip_vs"]; asked && !has && st != nil && text(st) == "dataplane ipvs" {
		c.report(st.Pos().Place(), "dataplane ipvs: this kernel has no ip_vs, as a module or built in", "modprobe ip_vs, or dataplane auto, which needs no module")
	}
}

// hostWithoutBPF: there is nothing to balance with.
func hostWithoutBPF(c *hostChecker) {
	has, asked := c.host.Kernel["bpf"]
	if asked && !has && c.cfg.Kaname.Dataplane != "ipvs" && len(c.cfg.VirtualServers) > 0 {
		c.report(c.cfg.VirtualServers[0].Where, "this kernel has no BPF (CONFIG_BPF_SYSCALL): nothing can be balanced, and the daemon does not start", "Linux 5.17 or newer with BPF and XDP, as distributions build it")
	}
}

// hostMailServer: mails need its address.
func hostMailServer(c *hostChecker) {
	m := c.cfg.Global.Mail
	if found, asked := c.host.Resolved[m.Server.Host]; asked && !found {
		c.report(c.keyword(c.cfg.Global.Where, "smtp_server"), fmt.Sprintf("smtp_server %s has no address that this host can find out: no mail is sent", m.Server.Host), "an address, or a line in /etc/hosts, which works also when the network does not")
	}
}

// hostIDNeverMatches: every @ID line is dropped here.
func hostIDNeverMatches(c *hostChecker) {
	marks := c.tree.Marks
	if len(marks) == 0 {
		return
	}
	var ids []string
	for _, m := range marks {
		if m.Kept {
			return
		}
		ids = append(ids, "@"+m.ID)
	}
	c.reportFor(marks[0].Where, "no line with an @ID is for this host: all of them are dropped", fmt.Sprintf("the file has %s; this host is %s", strings.Join(ids, ", "), c.host.Name),
		"the host's name up to the first dot as ID, or --config-id (keepalived -i)")
}

// hostUnknown: what these rules are silent about.
func hostUnknown(c *hostChecker) {
	for _, topic := range slices.Sorted(maps.Keys(c.host.Unknown)) {
		c.report(finding.Place{Object: "host"}, fmt.Sprintf("%s: not looked at: %s", topic, c.host.Unknown[topic]), "")
	}
}
