package watch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/connsync/pcap"
)

// Tap is the Source that records packets of an interface, joined groups or
// not: what a switch mirrors, and what this host itself sends. It needs
// CAP_NET_RAW.
type Tap struct {
	iface string
	ports []uint16
	file  *os.File
	lost  atomic.Uint64
}

// OpenTap opens the interface for the UDP ports.
func OpenTap(iface string, ports []uint16) (*Tap, error) {
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("interface %s: there is none of this name here", iface)
	}
	// Cooked: packets begin with their IP header, whatever the link.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("interface %s: recording packets needs CAP_NET_RAW: run it as root, or `setcap cap_net_raw+ep` on the program, or listen to the group without --pcap-interface, which needs nothing: %w", iface, err)
	}
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	t := &Tap{iface: iface, ports: ports, file: os.NewFile(uintptr(fd), "packet socket")}
	if err := t.set(fd, i.Index); err != nil {
		return nil, errors.Join(fmt.Errorf("interface %s: %w", iface, err), t.file.Close())
	}
	return t, nil
}

// set puts the filter on before the socket is bound, so that nothing else ever
// gets in.
func (t *Tap) set(fd, index int) error {
	filter, err := bpf.Assemble(tapFilter(t.ports))
	if err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	prog := make([]unix.SockFilter, len(filter))
	for i, f := range filter {
		prog[i] = unix.SockFilter{Code: f.Op, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	all := uint16(unix.ETH_P_ALL)<<8 | unix.ETH_P_ALL>>8
	return errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}),
	)
}

// tapFilter takes UDP to one of the ports, IPv4 and IPv6, and every fragment
// behind the first: those of large datagrams carry no port.
func tapFilter(ports []uint16) []bpf.Instruction {
	lo, hi := uint32(slices.Min(ports)), uint32(slices.Max(ports))
	const (
		take = 65535
		udp  = unix.IPPROTO_UDP
	)
	return []bpf.Instruction{
		0: bpf.LoadAbsolute{Off: 0, Size: 1},
		1: bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		2: bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 9}, // 12
		3: bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 4, SkipTrue: 14},
		// IPv4
		4:  bpf.LoadAbsolute{Off: 9, Size: 1},
		5:  bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: udp, SkipTrue: 12},
		6:  bpf.LoadAbsolute{Off: 6, Size: 2},
		7:  bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 11}, // 19
		8:  bpf.LoadMemShift{Off: 0},
		9:  bpf.LoadIndirect{Off: 2, Size: 2},
		10: bpf.Jump{Skip: 5}, // 16
		11: bpf.RetConstant{Val: 0},
		// IPv6
		12: bpf.LoadAbsolute{Off: 6, Size: 1},
		13: bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_FRAGMENT, SkipTrue: 5}, // 19
		14: bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: udp, SkipTrue: 3},                // 18
		15: bpf.LoadAbsolute{Off: 42, Size: 2},
		// The port.
		16: bpf.JumpIf{Cond: bpf.JumpLessThan, Val: lo, SkipTrue: 1},
		17: bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: hi, SkipTrue: 1}, // 19
		18: bpf.RetConstant{Val: 0},
		19: bpf.RetConstant{Val: take},
	}
}

// Live implements Source.
func (t *Tap) Live() bool { return true }

// Lost implements Source.
func (t *Tap) Lost() uint64 { return t.lost.Load() }

// String implements Source.
func (t *Tap) String() string {
	return fmt.Sprintf("packets of %s to UDP port %s", t.iface, portList(t.ports))
}

// portList is the ports in a few words: "8848", "8848-8851", "8848,8860".
func portList(ports []uint16) string {
	var parts []string
	for i := 0; i < len(ports); {
		first := ports[i]
		last := first
		for i++; i < len(ports) && ports[i] == last+1; i++ {
			last = ports[i]
		}
		if first == last {
			parts = append(parts, fmt.Sprint(first))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", first, last))
		}
	}
	return strings.Join(parts, ",")
}

// tapBatch bounds how many packets are handed over at once.
const tapBatch = 64

// Run implements Source.
func (t *Tap) Run(ctx context.Context, take func([]Datagram)) error {
	stop := context.AfterFunc(ctx, func() { t.file.Close() })
	defer stop()
	raw, err := t.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	r := tapReader{Tap: t, take: take, buf: make([]byte, maxDatagram)}
	for {
		if err := raw.Read(r.drain); err != nil || r.err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("packets of %s: %w", t.iface, errors.Join(err, r.err))
		}
	}
}

// tapReader empties the socket when there is something in it.
type tapReader struct {
	*Tap
	take    func([]Datagram)
	buf     []byte
	decoder pcap.Decoder
	err     error
}

// drain reads what is there. It reports whether there was anything: else the
// caller waits.
func (r *tapReader) drain(fd uintptr) bool {
	for range tapBatch {
		n, _, err := unix.Recvfrom(int(fd), r.buf, unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			r.count(int(fd))
			return false
		case errors.Is(err, unix.ENETDOWN): // told once when the link goes; it may come back
			continue
		case err != nil:
			r.err = err
			return true
		}
		d := Datagram{Interface: r.iface}
		if r.decoder.Decode(time.Now(), pcap.LinkRaw, r.buf[:min(n, len(r.buf))], n, &d.Datagram) && slices.Contains(r.ports, d.Dst.Port()) {
			r.take([]Datagram{d})
		}
	}
	return true
}

// count takes over what the kernel dropped since it was asked last.
func (r *tapReader) count(fd int) {
	if st, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		r.lost.Add(uint64(st.Drops))
	}
}
