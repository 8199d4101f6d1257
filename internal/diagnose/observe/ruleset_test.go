package observe

import (
	"strings"
	"testing"
)

// table is the listing of one chain at input, as nft 1.0.6 prints it, with the
// given policy and rules, each the inside of an expr.
func table(policy string, rules ...string) string {
	var s strings.Builder
	s.WriteString(`{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "inet", "name": "f", "handle": 1}},
 {"chain": {"family": "inet", "table": "f", "name": "in", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "` + policy + `"}},
 {"chain": {"family": "inet", "table": "f", "name": "sub", "handle": 2}},
 {"rule": {"family": "inet", "table": "f", "chain": "sub", "handle": 3, "expr": [` + isVRRP + `, {"accept": null}]}}`)
	for _, r := range rules {
		s.WriteString(`, {"rule": {"family": "inet", "table": "f", "chain": "in", "handle": 4, "expr": [` + r + `]}}`)
	}
	return s.String() + "]}"
}

const (
	isVRRP      = `{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "vrrp"}}`
	isBoth      = `{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": {"set": ["ah", 112]}}}`
	isGroup     = `{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": {"prefix": {"addr": "224.0.0.0", "len": 8}}}}`
	fromPeer    = `{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "192.0.2.2"}}`
	established = `{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}`
	byEth0      = `{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}`
	notEth0     = `{"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "eth*"}}`
	isSSH       = `{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}`
	inSet       = `{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "@mine"}}`
	counted     = `{"counter": {"packets": 1, "bytes": 2}}`
)

func TestVerdict(t *testing.T) {
	all := func(parts ...string) string { return strings.Join(parts, ", ") }
	tests := []struct {
		name, listing string
		want          string // "dropped BY", "accepted BY", "" when left open
	}{
		{"no chain", `{"nftables": []}`, ""},
		{"policy", table("drop"), "dropped inet f in: policy drop"},
		{"open policy", table("accept"), "accepted inet f in: policy accept"},
		{"another protocol's rules", table("drop", all(isSSH, `{"accept": null}`)), "dropped inet f in: policy drop"},
		{"what is established is no advert", table("drop", all(established, `{"accept": null}`)), "dropped inet f in: policy drop"},
		{"accepted by a rule", table("drop", all(isVRRP, counted, `{"accept": null}`)), "accepted inet f in: meta l4proto vrrp accept"},
		{"by a number in a set", table("drop", all(isBoth, `{"accept": null}`)), "accepted inet f in: ip protocol { ah, 112 } accept"},
		{"dropped by a rule", table("accept", all(isGroup, `{"drop": null}`)), "dropped inet f in: ip daddr 224.0.0.0/8 drop"},
		{"rejected", table("accept", all(byEth0, `{"reject": null}`)), "dropped inet f in: meta iifname eth0 reject"},
		{"another interface", table("accept", all(notEth0, `{"drop": null}`)), "accepted inet f in: policy accept"},
		{"first rule wins", table("drop", all(isVRRP, `{"accept": null}`), all(isVRRP, `{"drop": null}`)), "accepted inet f in: meta l4proto vrrp accept"},
		{"from the peer only", table("drop", all(isVRRP, fromPeer, `{"accept": null}`)), ""},
		{"some may be dropped", table("accept", all(fromPeer, `{"drop": null}`)), "accepted inet f in: policy accept"},
		{"a set that is not looked into", table("drop", all(inSet, `{"accept": null}`)), ""},
		{"in another chain", table("drop", `{"jump": {"target": "sub"}}`), "accepted inet f in: meta l4proto vrrp accept"},
		{"a chain that is not there", table("drop", `{"jump": {"target": "none"}}`), ""},
		{"a chain without end", table("drop", `{"jump": {"target": "in"}}`), ""},
		{"an extension of iptables", table("drop", all(isVRRP, `{"xt": {"type": "target"}}`)), ""},
		{"return", table("drop", all(isVRRP, `{"return": null}`), `{"accept": null}`), "dropped inet f in: policy drop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rs, err := parseRuleset([]byte(tt.listing))
			if err != nil {
				t.Fatal(err)
			}
			v, ok := rs.verdict(advert{dev: "eth0", proto: "vrrp"})
			got := ""
			switch {
			case ok && v.Dropped:
				got = "dropped " + v.By
			case ok:
				got = "accepted " + v.By
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzRuleset(f *testing.F) {
	f.Add(table("drop", isVRRP+`, {"accept": null}`))
	f.Add(table("accept", `{"jump": {"target": "in"}}`))
	f.Add(table("drop", inSet+`, {"goto": {"target": "sub"}}`))
	f.Add(`{"nftables": [{"rule": {"expr": [{"match": {"right": {"set": [{"prefix": null}]}}}]}}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		rs, err := parseRuleset([]byte(s))
		if err != nil {
			return
		}
		if v, ok := rs.verdict(advert{dev: "eth0", proto: "vrrp"}); ok && v.By == "" {
			t.Errorf("%q: a verdict by nothing", s)
		}
	})
}
