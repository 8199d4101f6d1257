package config

import "slices"

// Runnable returns the part of the configuration that kaname can run: without
// what has NotRun. Groups keep the members that run, and go when none does; the
// sync daemon goes with its instance.
func (c *Config) Runnable() *Config {
	r := *c
	runs := map[string]bool{}
	r.Instances = slices.DeleteFunc(slices.Clone(c.Instances), func(in *Instance) bool { return in.NotRun != "" })
	for i, in := range r.Instances {
		runs[in.Name] = true
		r.Instances[i] = in.runnable()
	}
	r.SyncGroups = nil
	for _, g := range c.SyncGroups {
		n := *g
		n.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m string) bool { return !runs[m] })
		if len(n.Members) > 0 {
			r.SyncGroups = append(r.SyncGroups, &n)
		}
	}
	if s := c.Global.SyncDaemon; s != nil && s.Instance != "" && !runs[s.Instance] {
		r.Global.SyncDaemon = nil
	}
	r.VirtualServers = nil
	for _, vs := range c.VirtualServers {
		if vs.NotRun == "" {
			r.VirtualServers = append(r.VirtualServers, vs.runnable())
		}
	}
	return &r
}

// runnable returns in without the IPv6 addresses beside its IPv4 adverts.
func (in *Instance) runnable() *Instance {
	ipv6 := func(a Address) bool { return a.Prefix.Addr().Is6() }
	if !slices.ContainsFunc(in.Excluded, ipv6) {
		return in
	}
	n := *in
	n.Excluded = slices.DeleteFunc(slices.Clone(in.Excluded), ipv6)
	return &n
}

// runs reports whether there is anything for kaname to do.
func (c *Config) runs() bool {
	return slices.ContainsFunc(c.Instances, func(in *Instance) bool { return in.NotRun == "" }) ||
		slices.ContainsFunc(c.VirtualServers, func(vs *VirtualServer) bool { return vs.NotRun == "" })
}

// runnable returns vs without the endpoints, servers and checkers that are not
// run. The quorum is one that the servers left can reach.
func (vs *VirtualServer) runnable() *VirtualServer {
	if vs.whole() {
		return vs
	}
	n := *vs
	n.Endpoints = slices.DeleteFunc(slices.Clone(vs.Endpoints), func(e Endpoint) bool { return e.NotRun != "" })
	if vs.Sorry != nil && vs.Sorry.NotRun != "" {
		n.Sorry = nil
	}
	n.RealServers = nil
	total := 0
	for _, rs := range vs.RealServers {
		if rs.NotRun != "" {
			continue
		}
		s := *rs
		s.Checkers = slices.DeleteFunc(slices.Clone(rs.Checkers), func(c *Checker) bool { return c.NotRun != "" })
		n.RealServers = append(n.RealServers, &s)
		total += s.Weight
	}
	if total > 0 && n.Quorum > total {
		n.Quorum = total
	}
	n.Hysteresis = max(0, min(n.Hysteresis, n.Quorum-1))
	return &n
}

// whole reports whether everything in vs is run.
func (vs *VirtualServer) whole() bool {
	left := func(rs *RealServer) bool {
		return rs.NotRun != "" || slices.ContainsFunc(rs.Checkers, func(c *Checker) bool { return c.NotRun != "" })
	}
	return !slices.ContainsFunc(vs.RealServers, left) && (vs.Sorry == nil || vs.Sorry.NotRun == "") &&
		!slices.ContainsFunc(vs.Endpoints, func(e Endpoint) bool { return e.NotRun != "" })
}
