package xdp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// nativeDrivers are those whose native XDP is known to be good: the packet's
// end is right, XDP_TX and redirects work, and received packets have complete
// checksums. virtio_net belongs here because loading XDP makes it switch the
// host's offloads off, or refuse.
var nativeDrivers = []string{
	"atlantic", "bnxt_en", "ena", "enetc", "fec", "gve", "i40e", "ice", "igb", "igc", "ixgbe", "mana",
	"mlx4_en", "mlx5_core", "mvneta", "mvpp2", "nfp", "qede", "sfc", "stmmac", "thunder-nic", "virtio_net",
}

// virtualDrivers are links whose senders may leave the checksum of a packet to
// an offload that never happens on the way to us: the field then holds the sum
// of the pseudo-header only.
var virtualDrivers = []string{
	"veth", "virtio_net", "tun", "vif", "vmxnet3", "netvsc", "hv_netvsc", "bridge", "bonding", "team", "macvlan",
	"ipvlan", "dummy", "netkit", "openvswitch",
}

// driverOf returns the name of an interface's driver, from ethtool, else from
// the kind of link.
func driverOf(fd int, l netlink.Link) string {
	if info, err := unix.IoctlGetEthtoolDrvinfo(fd, l.Attrs().Name); err == nil {
		if d := unix.ByteSliceToString(info.Driver[:]); d != "" {
			return d
		}
	}
	if t := l.Type(); t != "device" {
		return t
	}
	return "unknown"
}

// prefer says in which order Auto tries the modes on a driver and why not
// native first, if so. A physical driver that is not known to be good may be,
// but a packet lost in a driver is lost in silence.
func prefer(driver string) (order []Mode, why string) {
	if slices.Contains(nativeDrivers, driver) {
		return []Mode{Native, TC, Generic}, ""
	}
	if slices.Contains(virtualDrivers, driver) {
		return []Mode{TC, Generic}, fmt.Sprintf("%s senders may leave checksums to offload, which native XDP loses", driver)
	}
	return []Mode{TC, Generic}, fmt.Sprintf("driver %s is not known to do native XDP well", driver)
}

// partialChecksums reports whether packets may come with a partial checksum
// that the program of this mode cannot tell from a wrong one.
func partialChecksums(driver string, m Mode) bool {
	switch m {
	case TC:
		return false // the kernel's checksum helpers know
	case Native:
		return driver != "virtio_net" && slices.Contains(virtualDrivers, driver)
	case Auto, Generic:
	}
	return slices.Contains(virtualDrivers, driver) || strings.HasPrefix(driver, "unknown")
}
