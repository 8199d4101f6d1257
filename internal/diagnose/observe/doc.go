// Package observe gathers facts of this host for the rules that explain: links,
// addresses, routes, files, sockets, the packet filter. It only reads, and
// needs no root: what cannot be read is told as unknown.
package observe
