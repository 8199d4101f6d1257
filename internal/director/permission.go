package director

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/config"
)

// permitted checks the capabilities that a director cannot do without, so that
// their lack is told in one line and before anything is opened. What else the
// kernel refuses (in a user namespace, say) the first use tells.
func permitted(c *config.Config) error {
	have, err := capabilities()
	if err != nil {
		return fmt.Errorf("read the capabilities of this process: %w", err)
	}
	missing := lacking(have, len(c.VirtualServers) > 0)
	if len(missing) == 0 {
		return nil
	}
	return exit(ExitPermission, "not permitted: this process lacks %s: run it as root, or give it the capability",
		strings.Join(missing, " and "))
}

// lacking names the capabilities that are missing; balances is whether the
// dataplane is needed, and with it BPF.
func lacking(have uint64, balances bool) []string {
	var missing []string
	for _, need := range []struct {
		name   string
		any    []uint
		needed bool
	}{
		{"CAP_NET_ADMIN", []uint{unix.CAP_NET_ADMIN}, true},
		{"CAP_NET_RAW", []uint{unix.CAP_NET_RAW}, true},
		{"CAP_BPF", []uint{unix.CAP_BPF, unix.CAP_SYS_ADMIN}, balances},
	} {
		got := !need.needed
		for _, bit := range need.any {
			got = got || have&(1<<bit) != 0
		}
		if !got {
			missing = append(missing, need.name)
		}
	}
	return missing
}

// capabilities returns the effective set of the calling thread.
func capabilities() (uint64, error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}
