package lab

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct {
	cmd  uint32
	data uint32
}

// setOffload applies o to an interface of the host.
func (h *Host) setOffload(iface string, o Offload) error {
	var set []ethtoolValue
	switch o {
	case OffloadDefault:
		return nil
	case OffloadGRO:
		set = []ethtoolValue{{unix.ETHTOOL_SGRO, 1}}
	case OffloadNone:
		// Segmentation first: it depends on checksums.
		set = []ethtoolValue{{unix.ETHTOOL_STSO, 0}, {unix.ETHTOOL_SGSO, 0}, {unix.ETHTOOL_SGRO, 0}, {unix.ETHTOOL_STXCSUM, 0}}
	default:
		return fmt.Errorf("offload setting %d: unknown", o)
	}
	return h.Do(func() error {
		for _, v := range set {
			if err := ethtool(iface, v); err != nil {
				return fmt.Errorf("ethtool command %#x: %w", v.cmd, err)
			}
		}
		return nil
	})
}

// ethtool issues one SIOCETHTOOL in the calling thread's network namespace.
func ethtool(iface string, v ethtoolValue) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	// struct ifreq with ifr_data; x/sys/unix has no way to set the pointer.
	var req struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(req.name[:unix.IFNAMSIZ-1], iface)
	req.data = unsafe.Pointer(&v)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return errors.Join(errno, unix.Close(fd))
	}
	return unix.Close(fd)
}
