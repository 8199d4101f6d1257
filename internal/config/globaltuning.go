package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tuning reads what the table leaves to code of how keepalived's processes are
// scheduled.
func (b *builder) tuning(l *line, t *ProcessTuning) bool {
	prio := map[string]*int{"vrrp_rt_priority": &t.VRRPRTPriority, "checker_rt_priority": &t.CheckerRTPriority, "bfd_rt_priority": &t.BFDRTPriority}
	cpus := map[string]*[]int{"vrrp_cpu_affinity": &t.VRRPCPUs, "checker_cpu_affinity": &t.CheckerCPUs, "bfd_cpu_affinity": &t.BFDCPUs}
	switch {
	case prio[l.kw] != nil:
		b.realtime(l, prio[l.kw])
	case cpus[l.kw] != nil:
		b.affinity(l, cpus[l.kw])
	case strings.Contains(l.kw, "_rlimit_rt"):
		l.set(&b.cfg.Global)
		for _, d := range []*time.Duration{&t.VRRPRTTime, &t.CheckerRTTime, &t.BFDRTTime} {
			*d = max(*d, 2*time.Microsecond) // 1 is 2
		}
	default:
		return false
	}
	return true
}

// The priorities of SCHED_RR.
const minRealtime, maxRealtime = 1, 99

// realtime reads a priority, which is cut to what the kernel has.
func (b *builder) realtime(l *line, dst *int) {
	w, _ := l.peek()
	v := 0
	if !l.integer(&v, -1<<31, 1<<31-1, true) {
		return
	}
	*dst = max(minRealtime, min(v, maxRealtime))
	if *dst != v {
		b.warn("invalid-value", w.Pos, fmt.Sprintf("%s must be between %d and %d, not %d; %d is used", l.kw, minRealtime, maxRealtime, v, *dst), fmt.Sprintf("%s %d", l.kw, *dst))
	}
}

// affinity reads numbers of CPUs. A bad one refuses all of the line.
func (b *builder) affinity(l *line, dst *[]int) {
	if l.left() == 0 {
		l.word()
		return
	}
	var cpus []int
	for l.left() > 0 {
		w, _ := l.word()
		v, err := strconv.ParseUint(w.Text, 10, 16)
		if err != nil {
			l.badValue(w, fmt.Sprintf("%s: %q is no number of a CPU; all CPUs are used", l.kw, w.Text), "", "")
			l.next = len(l.st.Words)
			*dst = nil
			return
		}
		cpus = append(cpus, int(v))
	}
	*dst = cpus
}

// packetFilter reads the old way of filtering. kaname, like keepalived without
// iptables, uses nftables for it.
func (b *builder) packetFilter(l *line, n *Nftables) bool {
	switch l.kw {
	case "vrrp_iptables":
		chains := l.rest()
		if len(chains) > 1 && chains[0] == chains[1] {
			l.badValue(l.st.Words[2], "vrrp_iptables: the two chains must differ", "vrrp_iptables INPUT OUTPUT", "nothing")
			return true
		}
		l.warn("iptables", "vrrp_iptables: nftables is used instead, as by a keepalived without iptables", "nftables")
		l.told = true
		if !n.HasIPTables {
			n.HasIPTables, n.IPTables = true, chains
		}
		n.Table = cmp.Or(n.Table, "keepalived")
	case "vrrp_ipsets":
		n.HasIPSets, n.IPSets = true, l.rest()
		if len(n.IPSets) > 6 {
			b.warn("extra-words", l.st.Words[7].Pos, fmt.Sprintf("vrrp_ipsets takes six names; %q is ignored", strings.Join(n.IPSets[6:], " ")), "")
			n.IPSets = n.IPSets[:6]
		}
	default:
		return false
	}
	return true
}

// rest reads all words that are left.
func (l *line) rest() []string {
	var s []string
	for l.left() > 0 {
		w, _ := l.word()
		s = append(s, w.Text)
	}
	return s
}

// modeBits are the names of the bits of a umask.
var modeBits = map[string]int{
	"IRUSR": 0o400, "IWUSR": 0o200, "IXUSR": 0o100, "IRWXU": 0o700,
	"IRGRP": 0o040, "IWGRP": 0o020, "IXGRP": 0o010, "IRWXG": 0o070,
	"IROTH": 0o004, "IWOTH": 0o002, "IXOTH": 0o001, "IRWXO": 0o007,
}

// umask reads a number as in C (octal with a leading 0, hex with 0x) or names
// of bits joined by |.
func (l *line) umask(dst *int) {
	w, ok := l.word()
	if !ok {
		return
	}
	if l.left() > 0 {
		l.end()
		l.b.exits(exitConfig)
	}
	kept := fmt.Sprintf("0%o", *dst)
	if w.Text != "" && w.Text[0] >= '0' && w.Text[0] <= '9' {
		v, err := strconv.ParseUint(w.Text, 0, 32)
		if err != nil || v > 0o777 || strings.Contains(w.Text, "_") {
			l.badValue(w, fmt.Sprintf("umask: %q is no mask of permissions (0 to 0777)", w.Text), "umask 0177", kept)
			return
		}
		*dst = int(v)
		return
	}
	mask := 0
	for name := range strings.SplitSeq(w.Text, "|") {
		bit, ok := modeBits[name]
		if !ok {
			l.badValue(w, fmt.Sprintf("umask: there is no bit %q", name), "a number, or of "+strings.Join(bitNames(), " "), kept)
			return
		}
		mask |= bit
	}
	*dst = mask
}

func bitNames() []string {
	var names []string
	for n := range modeBits {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
