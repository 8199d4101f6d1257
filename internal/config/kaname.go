package config

import (
	"fmt"
	"math"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// defaultKaname loses no connection: every established one is announced at
// once, and again before it would run out on a backup.
func defaultKaname() Kaname {
	return Kaname{
		Dataplane: "auto", XDPMode: "auto",
		Sync: KanameSync{Rules: lvs.SyncRules{AtOnce: true, Refresh: time.Minute}, CatchUp: true},
	}
}

// kaname builds our own block; several merge.
func (b *builder) kaname(l *line) {
	k := &b.cfg.Kaname
	if k.Where.IsZero() {
		k.Where = l.st.Pos().Place()
	}
	l.each(k, func(l *line) bool { return b.kanameDataplane(l, k) || b.kanameSync(l, &k.Sync) })
}

func (b *builder) kanameDataplane(l *line, k *Kaname) bool {
	switch l.kw {
	case "dataplane":
		l.choice(&k.Dataplane, "auto", "xdp", "tc", "ipvs")
		if k.Dataplane == "ipvs" {
			l.unsupported("ipvs is not there, and auto is used")
			k.Dataplane = "auto"
		}
	case "xdp_mode":
		l.choice(&k.XDPMode, "auto", "native", "generic")
	case "connections":
		l.integer(&k.Connections, 1, 1<<28, false)
	case "interfaces":
		for l.left() > 0 {
			var name string
			if l.iface(&name) {
				k.Interfaces = append(k.Interfaces, name)
			}
		}
	default:
		return false
	}
	return true
}

// kanameSync is what the sync protocol of IPVS has no word for, or the kernel
// has as sysctls.
func (b *builder) kanameSync(l *line, s *KanameSync) bool {
	switch l.kw {
	case "sync_key":
		b.syncKey(l, s)
	case "sync_at_once":
		l.boolean(&s.Rules.AtOnce)
	case "sync_threshold":
		l.syncThreshold(&s.Rules)
	case "sync_refresh_period":
		l.wholeSeconds(&s.Rules.Refresh, math.MaxInt32)
	case "sync_retries":
		n := int(s.Rules.Retries)
		l.integer(&n, 0, 3, false)
		s.Rules.Retries = uint32(n)
	case "sync_qlen_max":
		l.integer(&s.QueueLen, 1, math.MaxInt32, false)
	case "sync_rate":
		l.integer(&s.Rate, 1, math.MaxInt32, false)
	case "sync_catch_up":
		l.boolean(&s.CatchUp)
	case "sync_catch_up_port":
		l.integer(&s.CatchUpPort, 1, 65535, false)
	default:
		return false
	}
	return true
}

// minSyncKey is the length from which on nobody guesses a key that a person
// chose.
const minSyncKey = 16

// syncKey reads the key. No finding shows any of it.
func (b *builder) syncKey(l *line, s *KanameSync) {
	w, ok := l.word()
	switch n := l.left(); {
	case !ok:
		return
	case w.Text == "":
		l.warn("invalid-value", "sync_key is empty; the line is ignored", `sync_key "SECRET"`)
		return
	case n > 0:
		l.next = len(l.st.Words)
		l.warn("extra-words", "sync_key takes one word; what follows it is ignored", `sync_key "SECRET", in quotes when it holds blanks`)
	case len(w.Text) < minSyncKey:
		l.warn("short-sync-key", fmt.Sprintf("sync_key has %d bytes: who records one datagram can try keys at leisure until one fits", len(w.Text)),
			fmt.Sprintf("%d bytes or more, from a random generator", minSyncKey))
	}
	s.Key = Secret(w.Text)
}

// syncThreshold reads T and P; of the pairs that the kernel's sysctl refuses
// none is taken.
func (l *line) syncThreshold(r *lvs.SyncRules) {
	t, p := -1, -1
	if !l.integer(&t, 0, math.MaxInt32, false) || !l.integer(&p, 0, math.MaxInt32, false) {
		return
	}
	if p > 0 && t >= p {
		l.warn("sync-threshold-order", fmt.Sprintf("sync_threshold %d %d: the first number must be below the second, unless that is 0; the line is ignored", t, p), "sync_threshold 3 50")
		return
	}
	r.Threshold, r.Period = uint32(t), uint32(p)
}
