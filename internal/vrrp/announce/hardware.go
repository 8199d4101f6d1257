package announce

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ifHardware is SIOCGIFHWADDR: an interface's ARPHRD_* type and its address.
// It is made by hand since x/sys has no accessor for the sockaddr in an Ifreq.
func ifHardware(fd int, name string) (family uint16, addr mac, err error) {
	var req struct {
		name [unix.IFNAMSIZ]byte
		data [24]byte // union ifr_ifru: a struct sockaddr here
	}
	copy(req.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGIFHWADDR, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return 0, mac{}, errno
	}
	return binary.NativeEndian.Uint16(req.data[:]), mac(req.data[2:8]), nil
}
