package observe

import (
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/lint"
)

func parse(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// socket is one line of /proc/net/tcp and its like.
type socket struct {
	addr  netip.AddrPort
	state string // hex, "0A" is LISTEN
	inode string
}

// listeners finds sockets at the ports of virtual services.
func (g *gatherer) listeners(q lint.Questions) {
	if len(q.Ports) == 0 {
		return
	}
	var found []lint.Listener
	var inodes []string
	for _, f := range []struct{ proto, state, file string }{
		{"tcp", "0A", "proc/net/tcp"},
		{"tcp", "0A", "proc/net/tcp6"},
		{"udp", "07", "proc/net/udp"}, // unconnected
		{"udp", "07", "proc/net/udp6"},
	} {
		for _, s := range parseSockets(g.read(f.file)) {
			if s.state == f.state && slices.Contains(q.Ports, s.addr.Port()) {
				found = append(found, lint.Listener{Proto: f.proto, Addr: s.addr})
				inodes = append(inodes, s.inode)
			}
		}
	}
	if len(found) == 0 {
		return
	}
	owners := g.owners(inodes)
	for i := range found {
		found[i].Process = owners[inodes[i]]
	}
	g.host.Listeners = found
}

// parseSockets reads /proc/net/tcp, tcp6, udp or udp6. Lines that are none are
// passed over.
func parseSockets(text string) []socket {
	var out []socket
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) < 10 {
			continue
		}
		if a, ok := parseSocketAddr(f[1]); ok {
			out = append(out, socket{a, f[3], f[9]})
		}
	}
	return out
}

// parseSocketAddr reads ADDRESS:PORT in hex, the address as 32-bit words in the
// byte order of the host, which is little-endian on all that kaname runs on.
func parseSocketAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	n, perr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || perr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for w := range slices.Chunk(b, 4) {
		slices.Reverse(w)
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), ok
}

// owners names the processes that hold sockets, as far as this user may know.
func (g *gatherer) owners(inodes []string) map[string]string {
	want := map[string]bool{}
	for _, i := range inodes {
		want["socket:["+i+"]"] = true
	}
	out := map[string]string{}
	fds, _ := filepath.Glob(g.path("proc/[0-9]*/fd/*")) // the pattern is right
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err != nil || !want[to] {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(fd)), "comm"))
		if err == nil {
			out[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = word(string(comm))
		}
	}
	return out
}

// word makes one printable word of a process's name.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '#' || r == 0x7f {
			return '_'
		}
		return r
	}, strings.TrimSpace(s))
}
