// Package connsync knows the connection synchronisation protocol of IPVS: what
// a director announces to its backups, byte for byte, and what each side makes
// of it. It is pure; package connsyncio has the sockets.
//
// A message is one UDP datagram: a header and connections. Version 1 carries
// IPv4 and IPv6, timeouts and options; version 0, which kernels before 2.6.39
// spoke, IPv4 without timeouts. The kernel's description is the source
// (net/netfilter/ipvs/ip_vs_sync.c); what it really does was measured from
// captures, which are this package's test data.
//
//	datagram   header | connection, padded to 4 | ... | connection | trailer
//
// The trailer is kaname's own (Trailer): it stands behind the last connection
// that the header counts, where a kernel does not look, and gives backups that
// are kaname a sequence, a way to fetch the whole table and, with a key, proof
// of origin.
package connsync
