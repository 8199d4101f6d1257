package hostnet

import (
	"encoding/binary"
	"iter"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO (kernel 5.18), which x/sys does not name.
const ifaProto = 11

// ifaddr is one address as the kernel tells it.
type ifaddr struct {
	index     int
	prefix    netip.Prefix
	broadcast netip.Addr
	label     string
	scope     uint8
	secondary bool
	proto     uint8
}

// address gives it the interface's name.
func (a ifaddr) address(iface string) Address {
	label := a.label
	if label == iface {
		label = ""
	}
	return Address{Interface: iface, Prefix: a.prefix, Broadcast: a.broadcast, Label: label, Scope: a.scope}
}

// parseLink reads the body of an RTM_NEWLINK or RTM_DELLINK. ok is false for
// those that are not about the interface itself: a bridge tells about its
// ports with the same messages, and a port that leaves is no interface gone.
func parseLink(b []byte) (l Link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, false
	}
	msg := nl.DeserializeIfInfomsg(b)
	if msg.Family != unix.AF_UNSPEC {
		return Link{}, false
	}
	// IFF_RUNNING is the operational state: carrier, and for stacked
	// interfaces the lower one's as well.
	const up = unix.IFF_UP | unix.IFF_RUNNING
	l = Link{Index: int(msg.Index), Up: msg.Flags&up == up}
	below := 0
	for kind, value := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = unix.ByteSliceToString(value)
		case unix.IFLA_ADDRESS:
			l.MAC = net.HardwareAddr(value)
		case unix.IFLA_MTU:
			l.MTU = int(uint32Of(value))
		case unix.IFLA_LINK:
			below = int(uint32Of(value))
		case unix.IFLA_LINKINFO:
			l.Kind = kindOf(value)
		}
	}
	if l.Kind == "vlan" { // a veth's IFLA_LINK is its peer, maybe in another namespace
		l.ParentIndex = below
	}
	return l, l.Name != ""
}

// kindOf finds the kind within IFLA_LINKINFO.
func kindOf(b []byte) string {
	for kind, value := range attributes(b) {
		if kind == unix.IFLA_INFO_KIND {
			return unix.ByteSliceToString(value)
		}
	}
	return ""
}

// parseAddr reads the body of an RTM_NEWADDR or RTM_DELADDR for IPv4.
func parseAddr(b []byte) (a ifaddr, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return ifaddr{}, false
	}
	msg := nl.DeserializeIfAddrmsg(b)
	if msg.Family != unix.AF_INET {
		return ifaddr{}, false
	}
	a = ifaddr{
		index:     int(msg.Index),
		scope:     msg.Scope,
		secondary: msg.IfAddrmsg.Flags&unix.IFA_F_SECONDARY != 0,
	}
	var local, peer netip.Addr
	for kind, value := range attributes(b[unix.SizeofIfAddrmsg:]) {
		switch kind {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			peer, _ = netip.AddrFromSlice(value)
		case unix.IFA_BROADCAST:
			a.broadcast, _ = netip.AddrFromSlice(value)
		case unix.IFA_LABEL:
			a.label = unix.ByteSliceToString(value)
		case unix.IFA_FLAGS:
			a.secondary = uint32Of(value)&unix.IFA_F_SECONDARY != 0
		case ifaProto:
			if len(value) > 0 {
				a.proto = value[0]
			}
		}
	}
	if !local.IsValid() {
		local = peer
	}
	a.prefix = netip.PrefixFrom(local, int(msg.Prefixlen))
	return a, a.prefix.IsValid()
}

// attributes yields the attributes of a message, by kind, up to the first one
// that does not fit into it. The library's parser panics on such.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	const header, flags = unix.SizeofRtAttr, unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= header {
			size := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) &^ flags
			if size < header || size > len(b) || !yield(kind, b[header:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// uint32Of reads an attribute of 4 bytes in host order; 0 when it is shorter.
func uint32Of(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
