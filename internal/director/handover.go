package director

import (
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// heirLimit bounds the wait for a new master at an orderly stop: the longest
// skew time there is (RFC 3768 §6.1: under a second), and a little.
const heirLimit = 1100 * time.Millisecond

// linger is how long the dataplane outlives the addresses once a new master is
// there: whoever has not seen its gratuitous ARP yet still sends here.
const linger = 200 * time.Millisecond

// router is a virtual router as the wire knows it.
type router struct {
	iface string
	vrid  uint8
}

// heirless lists the virtual routers that are active here and will want a new
// master.
func (d *director) heirless() map[router]bool {
	out := map[router]bool{}
	for _, in := range d.vrrpStatus().Machine.Instances {
		if in.State == vrrp.Active {
			out[router{in.Interface, in.VRID}] = true
		}
	}
	return out
}

// awaitHeirs returns when each of the routers has a new master, or nobody
// came. Until then this director goes on answering for the addresses and
// balancing: a stop that released them at once would cost every request of the
// new master's skew time. The masters' first advert is seen by the tap, since
// the election's sockets are closed; their addresses come right behind it.
func (d *director) awaitHeirs(left map[router]bool) (found bool) {
	limit := time.NewTimer(heirLimit)
	defer limit.Stop()
	for len(left) > 0 {
		select {
		case o, ok := <-d.tap.Observations():
			if !ok {
				return found
			}
			if r := (router{o.Interface, o.VRID}); o.Kind == vrrpio.AdvertOnWire && o.Priority > 0 && left[r] {
				delete(left, r)
				found = true
			}
		case <-limit.C:
			return found
		}
	}
	return found
}
