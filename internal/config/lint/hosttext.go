package lint

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ParseHost reads the facts of a host from text, one a line; # begins a
// comment, lists begin at the word that names them.
//
//	name lb1.example.org
//	interface eth0 up [mtu N] [mac M] [kind K]     or down
//	address eth0 192.0.2.1/24 [ours]
//	route 10.0.0.5 dev eth1 [via A]                or local, or unreachable
//	user NAME [missing]
//	group NAME [missing]
//	program /usr/local/bin/chk [problem WHY | unsafe WHY]
//	file /run/fifo TYPE [on FILESYSTEM]
//	listen tcp 0.0.0.0:80 [PROCESS]
//	sysctl net.ipv4.ip_forward 0
//	kernel ip_vs yes                               or no
//	firewall vrrp eth0 dropped|accepted BY
//	process keepalived 1234 [PIDFILE]
//	configured 192.0.2.10 /etc/netplan/01.yaml:7
//	resolves smtp.example.org yes                  or no
//	unknown firewall WHY
func ParseHost(s string) (Host, error) {
	h := Host{
		Users: map[string]bool{}, Groups: map[string]bool{}, Sysctls: map[string]string{}, Kernel: map[string]bool{},
		Resolved: map[string]bool{}, Unknown: map[string]string{},
	}
	n := 0
	for l := range strings.Lines(s) {
		n++
		l, _, _ = strings.Cut(l, "#")
		w := strings.Fields(l)
		if len(w) == 0 {
			continue
		}
		read := hostLines[w[0]]
		if read == nil || len(w) < 2 {
			return h, fmt.Errorf("line %d: %.60q: no such fact of a host", n, strings.TrimSpace(l))
		}
		if err := read(&h, words(w[1:])); err != nil {
			return h, fmt.Errorf("line %d: %s: %w", n, w[0], err)
		}
	}
	return h, nil
}

// words are what follows the name of a fact.
type words []string

// at returns the i-th word, "" when there is none.
func (w words) at(i int) string {
	if i < len(w) {
		return w[i]
	}
	return ""
}

func (w words) from(i int) string { return strings.Join(w[min(i, len(w)):], " ") }

// option returns the word behind the named one.
func (w words) option(name string) string {
	if i := slices.Index(w, name); i >= 0 {
		return w.at(i + 1)
	}
	return ""
}

// one wants the i-th word to be one of two, and reports whether it is the first.
func (w words) one(i int, yes, no string) (bool, error) {
	if w.at(i) != yes && w.at(i) != no {
		return false, fmt.Errorf("%q is neither %q nor %q", w.at(i), yes, no)
	}
	return w.at(i) == yes, nil
}

var hostLines = map[string]func(*Host, words) error{
	"name":      func(h *Host, w words) error { h.Name = w[0]; return nil },
	"interface": readInterface,
	"address":   readAddress,
	"route":     readRoute,
	"user":      func(h *Host, w words) error { h.Users[w[0]] = w.at(1) != "missing"; return nil },
	"group":     func(h *Host, w words) error { h.Groups[w[0]] = w.at(1) != "missing"; return nil },
	"program":   readProgram,
	"file": func(h *Host, w words) error {
		h.Files = append(h.Files, HostFile{Path: w[0], Type: w.at(1), FS: w.option("on")})
		return nil
	},
	"listen": func(h *Host, w words) error {
		a, err := netip.ParseAddrPort(w.at(1))
		h.Listeners = append(h.Listeners, Listener{Proto: w[0], Addr: a, Process: w.at(2)})
		return err
	},
	"sysctl": func(h *Host, w words) error { h.Sysctls[w[0]] = w.at(1); return nil },
	"kernel": func(h *Host, w words) (err error) { h.Kernel[w[0]], err = w.one(1, "yes", "no"); return err },
	"firewall": func(h *Host, w words) error {
		dropped, err := w.one(2, "dropped", "accepted")
		h.Firewall = append(h.Firewall, FilterVerdict{Proto: w[0], Dev: w.at(1), Dropped: dropped, By: w.from(3)})
		return err
	},
	"process": func(h *Host, w words) error {
		pid, err := strconv.Atoi(w.at(1))
		h.Processes = append(h.Processes, HostProcess{Name: w[0], PID: pid, PIDFile: w.at(2)})
		return err
	},
	"configured": readConfigured,
	"resolves":   func(h *Host, w words) (err error) { h.Resolved[w[0]], err = w.one(1, "yes", "no"); return err },
	"unknown":    func(h *Host, w words) error { h.Unknown[w[0]] = w.from(1); return nil },
}

func readInterface(h *Host, w words) (err error) {
	i := HostInterface{Name: w[0], MAC: w.option("mac"), Kind: w.option("kind")}
	if i.Up, err = w.one(1, "up", "down"); err != nil {
		return err
	}
	if m := w.option("mtu"); m != "" {
		i.MTU, err = strconv.Atoi(m)
	}
	h.Interfaces = append(h.Interfaces, i)
	return err
}

func readAddress(h *Host, w words) error {
	p, err := netip.ParsePrefix(w.at(1))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(h.Interfaces, func(i HostInterface) bool { return i.Name == w[0] })
	if i < 0 {
		return fmt.Errorf("no interface %s above this line", w[0])
	}
	h.Interfaces[i].Addresses = append(h.Interfaces[i].Addresses, HostAddress{p, w.at(2) == "ours"})
	return nil
}

func readRoute(h *Host, w words) (err error) {
	r := HostRoute{Dev: w.option("dev"), Local: w.at(1) == "local"}
	if r.To, err = netip.ParseAddr(w[0]); err != nil {
		return err
	}
	if via := w.option("via"); via != "" {
		r.Via, err = netip.ParseAddr(via)
	}
	h.Routes = append(h.Routes, r)
	return err
}

func readProgram(h *Host, w words) error {
	p := Program{Name: w[0]}
	switch w.at(1) {
	case "problem":
		p.Problem = w.from(2)
	case "unsafe":
		p.Unsafe = w.from(2)
	}
	h.Programs = append(h.Programs, p)
	return nil
}

func readConfigured(h *Host, w words) (err error) {
	c := ConfiguredAddress{}
	if c.Addr, err = netip.ParseAddr(w[0]); err != nil {
		return err
	}
	i := strings.LastIndexByte(w.at(1), ':')
	if i < 0 {
		return fmt.Errorf("%q is not FILE:LINE", w.at(1))
	}
	c.File = w[1][:i]
	c.Line, err = strconv.Atoi(w[1][i+1:])
	h.Configured = append(h.Configured, c)
	return err
}

// String prints the facts as ParseHost reads them.
func (h Host) String() string {
	var b strings.Builder
	line := func(w ...string) {
		fmt.Fprintln(&b, strings.Join(slices.DeleteFunc(w, func(s string) bool { return s == "" }), " "))
	}
	if h.Name != "" {
		line("name", h.Name)
	}
	for _, i := range h.Interfaces {
		line("interface", i.Name, either(i.Up, "up", "down"), numbered("mtu", i.MTU), labelled("mac", i.MAC), labelled("kind", i.Kind))
		for _, a := range i.Addresses {
			line("address", i.Name, a.Prefix.String(), either(a.Ours, "ours", ""))
		}
	}
	for _, r := range h.Routes {
		line("route", r.To.String(), r.how())
	}
	sorted(h.Users, func(k string, v bool) { line("user", k, either(v, "", "missing")) })
	sorted(h.Groups, func(k string, v bool) { line("group", k, either(v, "", "missing")) })
	for _, p := range h.Programs {
		line("program", p.Name, labelled("problem", p.Problem), labelled("unsafe", p.Unsafe))
	}
	for _, f := range h.Files {
		line("file", f.Path, f.Type, labelled("on", f.FS))
	}
	for _, l := range h.Listeners {
		line("listen", l.Proto, l.Addr.String(), l.Process)
	}
	sorted(h.Sysctls, func(k, v string) { line("sysctl", k, v) })
	sorted(h.Kernel, func(k string, v bool) { line("kernel", k, either(v, "yes", "no")) })
	for _, f := range h.Firewall {
		line("firewall", f.Proto, f.Dev, either(f.Dropped, "dropped", "accepted"), f.By)
	}
	for _, p := range h.Processes {
		line("process", p.Name, strconv.Itoa(p.PID), p.PIDFile)
	}
	for _, c := range h.Configured {
		line("configured", c.Addr.String(), fmt.Sprintf("%s:%d", c.File, c.Line))
	}
	sorted(h.Resolved, func(k string, v bool) { line("resolves", k, either(v, "yes", "no")) })
	sorted(h.Unknown, func(k, v string) { line("unknown", k, v) })
	return b.String()
}

func (r HostRoute) how() string {
	switch {
	case r.Local:
		return "local"
	case r.Dev == "":
		return "unreachable"
	case r.Via.IsValid():
		return "dev " + r.Dev + " via " + r.Via.String()
	}
	return "dev " + r.Dev
}

func either(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func labelled(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " " + value
}

func numbered(name string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d", name, n)
}

// sorted calls fn for each entry of a map, by key.
func sorted[V any](m map[string]V, fn func(string, V)) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fn(k, m[k])
	}
}
