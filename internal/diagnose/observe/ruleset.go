package observe

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/lint"
)

// ruleset is what `nft -j list ruleset` prints, as far as adverts meet it.
type ruleset struct {
	chains []*chain // in the order of the listing
	byName map[string]*chain
}

type chain struct {
	Family, Table, Name, Type, Hook, Policy string

	rules []rule
}

func (c *chain) title() string { return c.Family + " " + c.Table + " " + c.Name }

func chainKey(family, table, name string) string { return family + "\x00" + table + "\x00" + name }

// rule is its expressions, each an object with one key.
type rule []map[string]json.RawMessage

// parseRuleset reads nft's JSON.
func parseRuleset(b []byte) (*ruleset, error) {
	var doc struct {
		Nftables []struct {
			Chain *chain
			Rule  *struct {
				Family, Table, Chain string
				Expr                 rule
			}
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("what nft lists is not understood: %w", err)
	}
	rs := &ruleset{byName: map[string]*chain{}}
	for _, o := range doc.Nftables {
		switch {
		case o.Chain != nil:
			rs.chains = append(rs.chains, o.Chain)
			rs.byName[chainKey(o.Chain.Family, o.Chain.Table, o.Chain.Name)] = o.Chain
		case o.Rule != nil:
			if c := rs.byName[chainKey(o.Rule.Family, o.Rule.Table, o.Rule.Chain)]; c != nil {
				c.rules = append(c.rules, o.Rule.Expr)
			}
		}
	}
	return rs, nil
}

// advert is the packet that is followed: IPv4, to 224.0.0.18, from an address
// that is not known.
type advert struct{ dev, proto string }

// verdict follows an advert through every chain that it meets on its way in.
// It is false when no chain is there or when the rules leave it open.
func (rs *ruleset) verdict(a advert) (lint.FilterVerdict, bool) {
	v, found := lint.FilterVerdict{Proto: a.proto, Dev: a.dev}, false
	for _, c := range rs.chains {
		if c.Hook != "input" && c.Hook != "prerouting" || c.Family != "ip" && c.Family != "inet" {
			continue
		}
		end, by := rs.follow(c, a, 0)
		if end == open {
			return v, false
		}
		if end == on {
			end, by = accept, "policy accept"
			if c.Policy == "drop" {
				end, by = drop, "policy drop"
			}
		}
		found = true
		v.By = c.title() + ": " + by
		if end == drop {
			v.Dropped = true
			return v, true
		}
	}
	return v, found
}

// ending is how a chain ends for a packet.
type ending uint8

const (
	on     ending = iota // no rule decides: back to the caller, or the policy
	accept               // for this chain; other chains come still
	drop
	open // a rule may accept it, which depends on what is not known
)

// maxJumps bounds chains that call each other; the kernel's bound is 16.
const maxJumps = 16

// follow runs a packet through one chain.
func (rs *ruleset) follow(c *chain, a advert, depth int) (ending, string) {
	if depth > maxJumps {
		return open, ""
	}
	for _, r := range c.rules {
		m := r.matches(a)
		if m == no {
			continue
		}
		end, by, back := rs.decide(c, r, a, depth)
		switch {
		case m == maybe && (end == accept || end == open || back):
			return open, ""
		case m == maybe: // may drop some adverts: not told
		case back:
			return on, ""
		case end != on:
			return end, by
		}
	}
	return on, ""
}

// decide is what a rule says about packets that it matches; back is return.
func (rs *ruleset) decide(c *chain, r rule, a advert, depth int) (end ending, by string, back bool) {
	for _, e := range r {
		for kind, raw := range e {
			switch kind {
			case "accept":
				return accept, r.String(), false
			case "drop", "reject":
				return drop, r.String(), false
			case "return":
				return on, "", true
			case "queue", "xt", "vmap":
				return open, "", false
			case "jump", "goto":
				end, by := rs.jump(c, raw, a, depth)
				return end, by, kind == "goto" && end == on
			}
		}
	}
	return on, "", false
}

func (rs *ruleset) jump(from *chain, raw json.RawMessage, a advert, depth int) (ending, string) {
	var to struct{ Target string }
	if json.Unmarshal(raw, &to) != nil {
		return open, ""
	}
	c := rs.byName[chainKey(from.Family, from.Table, to.Target)]
	if c == nil {
		return open, ""
	}
	return rs.follow(c, a, depth+1)
}

// String is the rule in short: what it matches, and its verdict.
func (r rule) String() string {
	var parts []string
	for _, e := range r {
		for _, kind := range slices.Sorted(maps.Keys(e)) {
			switch kind {
			case "match":
				if m, ok := parseMatch(e[kind]); ok {
					parts = append(parts, m.String())
				}
			case "accept", "drop", "reject":
				parts = append(parts, kind)
			}
		}
	}
	return strings.Join(parts, " ")
}
