package announce

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// frameLen is an Ethernet header and an ARP packet for IPv4 (RFC 826). The
// card pads it to the least frame.
const frameLen = 14 + 28

const etherTypeARP = 0x0806

// prioControl is TC_PRIO_CONTROL: before the bulk traffic of a busy link.
const prioControl = 7

// mac is an Ethernet address.
type mac [6]byte

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Announcer sends gratuitous ARP in the network namespace it was made in. It
// is not safe for concurrent use.
type Announcer struct {
	packet int // AF_PACKET, bound to no protocol: it receives nothing
	ioctl  int // names to indexes and MAC addresses
}

// New opens the sockets it needs: the same ones for all interfaces, so that
// interfaces may come and go. The error says what is missing.
func New() (*Announcer, error) {
	packet, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("packet socket for ARP: %w: needs root or CAP_NET_RAW", err)
	}
	if err != nil {
		return nil, fmt.Errorf("packet socket for ARP: %w", err)
	}
	ioctl, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket: %w", err), unix.Close(packet))
	}
	// Best effort: it only decides whose packet leaves first on a busy link.
	_ = unix.SetsockoptInt(packet, unix.SOL_SOCKET, unix.SO_PRIORITY, prioControl)
	return &Announcer{packet: packet, ioctl: ioctl}, nil
}

// Announce sends repeat requests for each of addrs on the interface: all
// addresses once, then again. It does not block. IPv6 addresses are an error,
// but the others are announced all the same.
func (a *Announcer) Announce(iface string, addrs []netip.Addr, repeat int) error {
	index, hw, err := a.link(iface)
	if err != nil {
		return fmt.Errorf("announce on %s: %w", iface, err)
	}
	to := &unix.SockaddrLinklayer{Ifindex: index, Protocol: htons(etherTypeARP), Halen: 6}
	copy(to.Addr[:], broadcast[:])
	var errs []error
	for round := range repeat {
		for _, addr := range addrs {
			addr = addr.Unmap()
			if !addr.Is4() {
				if round == 0 {
					errs = append(errs, fmt.Errorf("announce %s on %s: not an IPv4 address", addr, iface))
				}
				continue
			}
			frame := request(hw, addr, addr, broadcast)
			if err := unix.Sendto(a.packet, frame[:], 0, to); err != nil {
				// The rest would meet the same: the link is down or its queue full.
				return errors.Join(append(errs, fmt.Errorf("announce %s on %s: %w", addr, iface, err))...)
			}
		}
	}
	return errors.Join(errs...)
}

// Ask sends one ordinary request (RFC 826) for target in the name of source:
// whoever else holds target answers it. Both are IPv4 addresses.
func (a *Announcer) Ask(iface string, source, target netip.Addr) error {
	index, hw, err := a.link(iface)
	if err != nil {
		return fmt.Errorf("ask on %s: %w", iface, err)
	}
	if !source.Is4() || !target.Is4() {
		return fmt.Errorf("ask for %s on %s as %s: not IPv4 addresses", target, iface, source)
	}
	to := &unix.SockaddrLinklayer{Ifindex: index, Protocol: htons(etherTypeARP), Halen: 6}
	copy(to.Addr[:], broadcast[:])
	frame := request(hw, source, target, mac{})
	if err := unix.Sendto(a.packet, frame[:], 0, to); err != nil {
		return fmt.Errorf("ask for %s on %s: %w", target, iface, err)
	}
	return nil
}

// Close closes the sockets.
func (a *Announcer) Close() error {
	return errors.Join(unix.Close(a.packet), unix.Close(a.ioctl))
}

// link returns an interface's index and MAC address as they are now.
func (a *Announcer) link(name string) (int, mac, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, mac{}, fmt.Errorf("no such interface: %w", err)
	}
	if err := unix.IoctlIfreq(a.ioctl, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, mac{}, fmt.Errorf("no such interface: %w", err)
	}
	index := int(ifr.Uint32())
	family, hw, err := ifHardware(a.ioctl, name)
	if err != nil {
		return 0, mac{}, fmt.Errorf("MAC address: %w", err)
	}
	if family != unix.ARPHRD_ETHER {
		return 0, mac{}, fmt.Errorf("not an Ethernet interface (type %d)", family)
	}
	return index, hw, nil
}

// request is an ARP request. In a gratuitous one sender and target are the same
// address, and the target's MAC is broadcast, as keepalived has it (RFC 5227 §3
// leaves it open); in a question it is zero.
func request(hw mac, sender, target netip.Addr, targetMAC mac) [frameLen]byte {
	var f [frameLen]byte
	copy(f[0:], broadcast[:])
	copy(f[6:], hw[:])
	binary.BigEndian.PutUint16(f[12:], etherTypeARP)
	arp := f[14:]
	binary.BigEndian.PutUint16(arp[0:], unix.ARPHRD_ETHER)
	binary.BigEndian.PutUint16(arp[2:], unix.ETH_P_IP)
	arp[4], arp[5] = 6, 4
	binary.BigEndian.PutUint16(arp[6:], 1) // request
	from, to := sender.As4(), target.As4()
	copy(arp[8:], hw[:])
	copy(arp[14:], from[:])
	copy(arp[18:], targetMAC[:])
	copy(arp[24:], to[:])
	return f
}

func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
