// Package pcap reads the UDP datagrams out of captures, pcap and pcapng. It is
// pure: it reads from an io.Reader.
package pcap
