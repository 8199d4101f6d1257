package connsync_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// scene is a backup on eth0 and what happened to it.
type scene struct {
	*connsync.Backup
	f   connsync.Facts
	seq uint64
}

func newScene(spec connsync.BackupSpec) *scene {
	b := connsync.NewBackup(spec)
	b.SetRole(start, true)
	b.SetMaxSize(1472)
	return &scene{Backup: b, f: connsync.Facts{
		Interface: "eth0", Group: netip.MustParseAddrPort("224.0.0.81:8848"), SyncID: spec.SyncID, Keyed: spec.Key != nil,
		Backup: true, Since: start, MaxLen: 1472, MaxSize: 1472, Kept: connsync.NewKept(100),
	}}
}

// hear is a datagram of a kaname peer s seconds after the start.
func (s *scene) hear(at int, from netip.Addr) {
	s.seq++
	s.Take(start.Add(time.Duration(at)*time.Second), from, datagram(s.f.SyncID, nil, 1, s.seq), nil)
}

// kernel is one of kernel IPVS.
func (s *scene) kernel(at int, from netip.Addr, version, size int) {
	b := connsync.AppendHeader(nil, version, s.f.SyncID)
	b = append(b, make([]byte, size)...)
	connsync.FinishHeader(b, version, 0)
	s.Take(start.Add(time.Duration(at)*time.Second), from, b, nil)
}

// each is what f says from second to second.
func (s *scene) each(from, to int, f func(at int)) *scene {
	for at := from; at < to; at++ {
		f(at)
	}
	return s
}

func TestConditions(t *testing.T) {
	both := func(s *scene, at int) {
		s.hear(at, peerA)
		s.kernel(at, peerB, 1, 0)
	}
	for name, tt := range map[string]struct {
		at   int // seconds after the start
		play func(s *scene)
		want string // "code: a part of what it says"; "" for none
	}{
		"nobody yet":            {29, func(*scene) {}, ""},
		"nobody":                {30, func(*scene) {}, "sync-silent: no director has announced"},
		"a master hears nobody": {99, func(s *scene) { s.f.Backup, s.f.Master = false, true }, ""},
		"a peer":                {9, func(s *scene) { s.hear(0, peerA) }, ""},
		"a silent peer":         {10, func(s *scene) { s.hear(0, peerA) }, "sync-silent: 192.0.2.1 has announced nothing"},
		"a quiet kernel":        {59, func(s *scene) { s.kernel(0, peerA, 1, 0) }, ""},
		"a silent kernel":       {60, func(s *scene) { s.kernel(0, peerA, 1, 0) }, "sync-silent: 192.0.2.1 has announced nothing"},
		"two masters":           {10, func(s *scene) { s.each(0, 10, func(at int) { both(s, at) }) }, "sync-two-masters: 192.0.2.1 and 192.0.2.2"},
		"two masters for a bit": {10, func(s *scene) { s.each(6, 10, func(at int) { both(s, at) }) }, ""},
		"two masters by design": {10, func(s *scene) { s.f.Master = true; s.each(0, 10, func(at int) { both(s, at) }) }, ""},
		"a failover": {20, func(s *scene) {
			s.each(0, 10, func(at int) { s.hear(at, peerA) }).each(10, 20, func(at int) { s.hear(at, peerB) })
		}, ""},
		"another master": {20, func(s *scene) {
			s.f.Backup, s.f.Master = false, true
			s.each(0, 20, func(at int) { s.hear(at, peerA) })
		}, "sync-two-masters: this director and 192.0.2.1"},
		"the master before": {20, func(s *scene) {
			s.f.Backup, s.f.Master, s.f.Since = false, true, start.Add(9*time.Second)
			s.each(0, 11, func(at int) { s.hear(at, peerA) })
		}, ""},
		"versions":          {10, func(s *scene) { s.kernel(1, peerA, 0, 0); s.kernel(9, peerB, 1, 0) }, "sync-versions: 192.0.2.1 announces in version 0 of the protocol, 192.0.2.2 in version 1"},
		"oversize heard":    {10, func(s *scene) { s.kernel(9, peerA, 1, 2000) }, "sync-oversize: 192.0.2.1 sends sync messages of 2008 bytes"},
		"oversize sent":     {10, func(s *scene) { s.f.Backup, s.f.Master, s.f.MaxLen = false, true, 9000 }, "sync-oversize: this director sends"},
		"oversize not sent": {10, func(s *scene) { s.hear(9, peerA); s.f.MaxLen = 9000 }, ""},
		"other syncid":      {10, func(s *scene) { s.hear(9, peerA); s.Take(start, peerB, datagram(5, nil, 1, 1), nil) }, "sync-refused: sync messages are refused: 1 of 192.0.2.2 (syncid)"},
		"refused long ago":  {400, func(s *scene) { s.Take(start, peerB, datagram(5, nil, 1, 1), nil); s.hear(399, peerA) }, ""},
		"own":               {10, func(s *scene) { s.hear(9, peerA); s.Take(start, peerB, datagram(9, nil, 77, 1), nil) }, ""},
		"lost": {10, func(s *scene) {
			s.hear(1, peerA)
			s.seq += 3
			s.hear(2, peerA)
			s.Tick(start.Add(9 * time.Second))
			s.hear(9, peerA)
		}, "sync-lost: sync messages were lost: 3 of 192.0.2.1"},
		"missed":                {10, func(s *scene) { s.hear(9, peerA); s.f.Missed, s.f.MissedAt = 4, start }, "sync-missed: 4 changes"},
		"missed long ago":       {400, func(s *scene) { s.hear(399, peerA); s.f.Missed, s.f.MissedAt = 4, start }, ""},
		"dropped":               {10, func(s *scene) { s.hear(9, peerA); s.f.Dropped, s.f.DroppedAt = 4, start }, "sync-missed: 4 announcements found the queue full"},
		"kept":                  {10, func(s *scene) { s.hear(9, peerA); c := kept(1, time.Hour); s.f.Kept.Put(start, &c, lvs.NoServer, 0) }, "sync-kept: 1 announced connections are to servers that this director does not have: server 192.168.10.1:80 of service 192.168.10.100:80"},
		"kept for want of room": {10, func(s *scene) { s.hear(9, peerA); c := kept(1, time.Hour); s.f.Kept.Put(start, &c, lvs.TableFull, 0) }, ""},
		"trouble": {99, func(s *scene) {
			s.f.Troubles = []connsync.Trouble{{What: "interface", Since: start, Detail: "interface eth0: no such interface"}}
		}, "sync-trouble: connections are not synchronised: interface eth0"},
		"trouble with listening": {9, func(s *scene) {
			s.f.Troubles = []connsync.Trouble{{What: "listen", Since: start, Detail: "address in use"}}
		}, "sync-trouble: backups cannot fetch the connection table: address in use"},
		"catch-up failed": {10, func(s *scene) {
			s.hear(9, peerA)
			s.f.CatchUp = &snapshot.CatchUp{State: "failed", Error: errors.New("refused").Error(), Have: 3, Want: 9}
		}, "sync-catch-up: this backup could not fetch"},
		"catch-up complete": {10, func(s *scene) { s.hear(9, peerA); s.f.CatchUp = &snapshot.CatchUp{State: "complete"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(connsync.BackupSpec{SyncID: 9, Self: 77})
			tt.play(s)
			s.f.Now = start.Add(time.Duration(tt.at) * time.Second)
			var got []string
			for _, c := range s.Conclude(s.f) {
				got = append(got, c.Code+": "+c.What)
				if c.Cause == "" || c.Object != "eth0" || c.Since.IsZero() && c.Code != "sync-catch-up" {
					t.Errorf("condition %+v", c)
				}
			}
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
				t.Errorf("conditions %q, want %q", got, tt.want)
			}
		})
	}
}
