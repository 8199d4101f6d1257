package observe

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/kaname-lb/kaname/internal/config/lint"
)

// firewall finds out what the packet filter does with adverts, from the rules
// that nft lists; those of iptables-nft are among them.
func (g *gatherer) firewall(ctx context.Context, q lint.Questions) {
	if len(q.Interfaces) == 0 {
		return
	}
	if os.Geteuid() != 0 {
		g.unknown("firewall", errors.New("needs root"))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nft", "-j", "list", "ruleset").Output()
	if err != nil {
		g.unknown("firewall", errors.New("nft -j list ruleset: "+reason(err)))
		return
	}
	rules, err := parseRuleset(out)
	if err != nil {
		g.unknown("firewall", err)
		return
	}
	for _, dev := range q.Interfaces {
		for _, proto := range []string{"vrrp", "ah"} {
			if v, ok := rules.verdict(advert{dev: dev, proto: proto}); ok {
				g.host.Firewall = append(g.host.Firewall, v)
			}
		}
	}
	if g.read("proc/net/ip_tables_names") != "" {
		g.unknown("iptables-legacy", errors.New("has tables of its own; only those of nftables are looked at"))
	}
}
