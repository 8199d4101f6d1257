// Package xdp carries the traffic: it loads the BPF programs of package prog,
// attaches them to interfaces by native XDP, TC or generic XDP, pins
// everything below one directory of a bpffs, and writes the desired services
// into their maps.
//
// The packet path needs nobody: what is pinned goes on forwarding when this
// process dies, and Open adopts it. What lives here is what a packet cannot
// do: resolving neighbours, expiring connections that nobody asks for,
// auditing counts, rates, and following interfaces that come and go.
//
// It does not decide what is balanced (that is director/desired), and it
// never touches the kernel's own IPVS.
package xdp
