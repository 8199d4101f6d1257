package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// The wire's defaults, which are also the kernel's.
const (
	defaultSyncPort = 8848
	defaultSyncTTL  = 1
)

var defaultSyncGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81})

// syncOptions are the words that introduce a value.
var syncOptions = []string{"inst", "id", "maxlen", "port", "ttl", "group"}

// syncDaemon is lvs_sync_daemon IFNAME [[inst] VRRP_NAME] [id N] [maxlen N]
// [port N] [ttl N] [group ADDR], or of old IFNAME VRRP_NAME N. A bad option is
// left out, the rest stands, as in keepalived.
func (b *builder) syncDaemon(l *line) {
	defer func() { l.next = len(l.st.Words) }()
	if b.syncGiven(l) {
		return
	}
	if l.left() == 0 {
		l.warn("sync-value-missing", "lvs_sync_daemon needs an interface; the line is ignored", "lvs_sync_daemon eth0 VI_1")
		return
	}
	s := newSyncDaemon(l)
	if !l.iface(&s.Interface) {
		return
	}
	if l.left() > 0 && !slices.Contains(syncOptions, l.st.Words[l.next].Text) {
		l.str(&s.Instance)
		l.syncOldID(s)
	}
	for l.left() > 0 {
		l.syncOption(s)
	}
	b.cfg.Global.SyncDaemon = s
}

func newSyncDaemon(l *line) *SyncDaemon {
	return &SyncDaemon{Where: l.st.Pos().Place(), Port: defaultSyncPort, TTL: defaultSyncTTL, Group: defaultSyncGroup}
}

// syncGiven reports that there is a daemon already: the first one stays.
func (b *builder) syncGiven(l *line) bool {
	first := b.cfg.Global.SyncDaemon
	if first != nil {
		l.warn("repeated-first", fmt.Sprintf("the sync daemon is given again; the first one, at %s on %s, stays", first.Where, first.Interface), "keep one")
	}
	return first != nil
}

// syncOldID reads the syncid as it was written before there was the word id.
func (l *line) syncOldID(s *SyncDaemon) {
	if l.left() == 0 || slices.Contains(syncOptions, l.st.Words[l.next].Text) {
		return
	}
	w, _ := l.word()
	l.syncID(w, s)
	if s.HasID {
		l.note("deprecated", "a syncid without the word id is an old spelling", fmt.Sprintf("lvs_sync_daemon %s %s id %d", s.Interface, s.Instance, s.SyncID))
		l.b.exits(exitConfig)
	}
}

// syncOption reads one option; of two the later one counts, but for inst.
func (l *line) syncOption(s *SyncDaemon) {
	w, _ := l.word()
	if !slices.Contains(syncOptions, w.Text) {
		what := fmt.Sprintf("lvs_sync_daemon has no option %q; it is ignored", w.Text)
		if near := nearestOf(syncOptions, w.Text); near != "" {
			what += "; did you mean " + near + "?"
		}
		l.b.warn("unknown-sync-option", w.Pos, what, "[inst] VRRP_NAME, id N, maxlen N, port N, ttl N or group ADDRESS")
		return
	}
	if w.Text == "inst" { // keepalived ends over a missing name
		l.syncInstance(s)
		return
	}
	if l.left() == 0 {
		l.b.warn("sync-value-missing", w.Pos, fmt.Sprintf("lvs_sync_daemon: %s needs a value; it is ignored", w.Text), w.Text+" VALUE, or remove the word")
		return
	}
	v, _ := l.word()
	switch w.Text {
	case "id":
		l.syncID(v, s)
	case "maxlen":
		l.syncNumber(v, "maxlen", &s.MaxLen, 1, 65507, "it is ignored")
	case "port":
		l.syncNumber(v, "port", &s.Port, 1, 65535, "it is ignored")
	case "ttl":
		l.syncNumber(v, "ttl", &s.TTL, 1, 255, "it is ignored")
	case "group":
		l.syncMulticast(v, s)
	}
}

func (l *line) syncID(w syntax.Word, s *SyncDaemon) {
	otherwise := "the VRID of the instance is used, 0 without one"
	if s.HasID {
		otherwise = fmt.Sprintf("%d is used", s.SyncID)
	}
	s.HasID = l.syncNumber(w, "id", &s.SyncID, 0, 255, otherwise) || s.HasID
}

func (l *line) syncInstance(s *SyncDaemon) {
	w, ok := l.peek()
	l.next++
	switch {
	case !ok:
		l.fail("missing-parameter", "lvs_sync_daemon: inst needs a name", "inst VRRP_NAME")
	case s.Instance != "":
		l.b.warn("repeated-first", w.Pos, fmt.Sprintf("lvs_sync_daemon: the instance is given again; %s stays", s.Instance), "keep one")
	default:
		s.Instance = w.Text
	}
}

// syncNumber reads an option's number, which has to be one throughout.
func (l *line) syncNumber(w syntax.Word, option string, dst *int, lo, hi int, otherwise string) bool {
	v, junk, ok := leadingInt(w.Text)
	if !ok || junk != "" || v < int64(lo) || v > int64(hi) {
		l.badValue(w, fmt.Sprintf("lvs_sync_daemon: %s is a number from %d to %d, not %q; %s", option, lo, hi, w.Text, otherwise), "", "")
		return false
	}
	*dst = int(v)
	return true
}

func (l *line) syncMulticast(w syntax.Word, s *SyncDaemon) {
	a, err := parseAddr(w.Text)
	switch {
	case err != nil:
		l.badValue(w, fmt.Sprintf("lvs_sync_daemon: group %q is no IP address; it is ignored", w.Text), "", "")
	case !a.IsMulticast():
		l.badValue(w, fmt.Sprintf("lvs_sync_daemon: group %s is no multicast address; it is ignored", a), "group 224.0.0.81", "")
	default:
		s.Group = a
	}
}

// syncInterface is lvs_sync_daemon_interface of an instance: a daemon that
// follows it, unless there is one already.
//
// Compat: its syncid is 0 and not the VRID, as keepalived 2.2.7 has it on the
// wire.
func (b *builder) syncInterface(l *line, in *instance) {
	s := newSyncDaemon(l)
	if !l.iface(&s.Interface) || b.syncGiven(l) {
		return
	}
	s.Instance, b.syncIDZero = in.Name, true
	l.note("deprecated", "lvs_sync_daemon_interface is the old way, and means syncid 0", fmt.Sprintf("lvs_sync_daemon %s %s id 0 in global_defs, or the same id above 0 on all directors", s.Interface, in.Name))
	b.cfg.Global.SyncDaemon = s
}

// finishSync settles what depends on the instances: whether the one that the
// daemon follows runs, and the syncid.
func (b *builder) finishSync() {
	s := b.cfg.Global.SyncDaemon
	if s == nil {
		return
	}
	if s.Instance != "" {
		in := b.byName[s.Instance]
		if in == nil || in.refused {
			b.dropSync(in != nil)
			return
		}
		if in.NotRun != "" {
			b.warnAt("sync-instance", s.Where, "vrrp_instance "+s.Instance+" does not run: the sync daemon that was to follow it does not run, and connections are not synchronised", "")
		}
		if !s.HasID && !b.syncIDZero {
			s.SyncID = in.VRID
		}
	}
	if k := &b.cfg.Kaname.Sync; k.CatchUpPort == 0 {
		k.CatchUpPort = s.Port
	}
}

func (b *builder) dropSync(known bool) {
	s := b.cfg.Global.SyncDaemon
	what, fix := "there is no vrrp_instance "+s.Instance, "the name of a vrrp_instance, or none for both roles at once"
	if known {
		what = "vrrp_instance " + s.Instance + " does not run"
	} else if near := nearestName(b, b.byName, s.Instance); near != "" {
		what += " (did you mean " + near + "?)"
		fix = "lvs_sync_daemon " + s.Interface + " " + near
	}
	b.warnAt("sync-instance", s.Where, what+": the sync daemon that was to follow it does not run, and connections are not synchronised", fix)
	b.cfg.Global.SyncDaemon = nil
}
