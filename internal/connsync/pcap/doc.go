// Package pcap reads the UDP datagrams out of captures, pcap and pcapng, of
// either byte order and any resolution of time. It is pure: it reads from an
// io.Reader. Decoder does the same with frames that come from elsewhere, a
// packet socket for one.
//
// What is no UDP datagram is passed over and counted; only a file whose
// structure is broken is an error, which says where.
package pcap
