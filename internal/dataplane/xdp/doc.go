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
//
//	PinDir/maps/NAME        the maps of bpf/maps.h
//	PinDir/links/IFACE@MODE one attachment each
//	PinDir/programs/KIND-ID programs for the next process of the same build
//	PinDir-lock             flock of the one process that has PinDir open
//
// # Differences from LVS
//
// Servers are walked in LVS's order, last configured first, but a server that
// comes back takes its configured place, where LVS puts it at the head. A
// removed server drops its connections' packets until they time out
// (expire_nodest_conn 0), and goes on with them if it comes back before; after
// a restart that still holds for servers whose service is configured. Weights
// whose wrr cycle is longer than 8192 connections are scaled down together.
//
// # Connection synchronisation
//
// SetSync, Announcements, Inject, Mark and Walk are for package connsyncio. What
// differs from IPVS is written in bpf/abi.h, SYNCHRONISATION. A reply to a client
// who has sent nothing to this director yet takes the way that the routes say. In
// XDP that is known at once only where it is the interface that the reply came in
// by; else, and where the kernel does not forward (ip_forward 0), the first
// packet is lost while Run looks for the way.
//
// # Memory
//
// 75 MB for the default of 1,048,576 connections (72 bytes each, more or less
// of them in proportion), 25 MB for 16,384 services and 65,536 servers, and
// 3.3 MB for counters on each CPU, 4 MB for announcements that nobody has
// fetched yet (87,381). Hosts below 3 GB get a quarter of all but the first,
// hosts below 4 GB 262,144 connections, below 1 GB 65,536.
package xdp
