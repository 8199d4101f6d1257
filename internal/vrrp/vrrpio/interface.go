package vrrpio

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ifreq is struct ifreq, for the requests that x/sys has no accessor for.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data [24]byte // union ifr_ifru
}

func (r *ifreq) do(fd int, request uintptr) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(r)))
	if errno != 0 {
		return errno
	}
	return nil
}

// ifIndex returns the index of an interface.
func ifIndex(ioctl int, name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("no such interface: %w", err)
	}
	if err := unix.IoctlIfreq(ioctl, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, fmt.Errorf("no such interface: %w", err)
	}
	return int(ifr.Uint32()), nil
}

// ifName returns the name of an interface.
func ifName(ioctl, index int) (string, error) {
	var r ifreq
	binary.NativeEndian.PutUint32(r.data[:], uint32(index))
	if err := r.do(ioctl, unix.SIOCGIFNAME); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(r.name[:]), nil
}

// ifMAC returns the MAC address that an interface has now.
func ifMAC(ioctl int, name string) ([6]byte, error) {
	var r ifreq
	copy(r.name[:unix.IFNAMSIZ-1], name)
	if err := r.do(ioctl, unix.SIOCGIFHWADDR); err != nil {
		return [6]byte{}, err
	}
	return [6]byte(r.data[2:8]), nil
}

func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
