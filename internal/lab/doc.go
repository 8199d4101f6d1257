// Package lab builds small networks out of namespaces and plays with them:
// for tests, for demos and for users who want to rehearse.
//
// A Topology names segments (a namespace with a bridge, as a switch) and
// hosts (a network namespace joined to segments by veth pairs, with a mount
// and host name of its own). Build makes it; Close removes it.
//
//	 segment "lan" = namespace kn-…-lan, bridge br0
//	──┬──────────────┬──────────────┬───────────
//	  │ lb1-eth0     │ rs1-eth0     │ c-eth0      bridge ports, the "cable"
//	  │ eth0         │ eth0         │ eth0        in the host's namespace
//	 lb1            rs1            client
//
// Nothing is created in the machine's own network namespace, and nothing is
// mounted in its own mount namespace but the named namespaces themselves
// (under /run/netns, so that `ip netns` shows them). A host has a private
// /sys with a private BPF file system, so what a program pins there dies with
// the host.
//
// What a lab owns is written down before it is made (Record), so that
// CleanStale can remove what a crashed owner left.
//
// Package lab also holds what one needs to watch a director work: an HTTP
// server that says what it saw, a load client that counts every request that
// did not come back, a probe that measures the gap of a failover, and a
// packet capture. It knows nothing of kaname's own packages: a director is a
// program that it starts.
package lab
