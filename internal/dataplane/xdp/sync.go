package xdp

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// forgetSets is how many sets SetSync looks at under one hold of the lock.
const forgetSets = 1 << 14

// SetSync says which connections are announced from now on; nil: none. Rules
// stay in force when this process ends, until the next one calls SetSync. A
// Refresh of more than about 40 minutes is taken as that. When announcing
// begins, what was not fetched of an earlier time is dropped, and every
// connection counts as never announced.
func (d *Dataplane) SetSync(rules *lvs.SyncRules) error {
	d.ruling.Lock()
	defer d.ruling.Unlock()
	if rules == nil {
		return d.withSettings(func(s *prog.Settings) { clearBits(&s.Flags, prog.SettingSync) })
	}
	if rules.Refresh < 0 || rules.Retries > 3 {
		return fmt.Errorf("sync rules: refresh %s, retries %d: must be at least 0, and between 0 and 3", rules.Refresh, rules.Retries)
	}
	on := false
	if err := d.withSettings(func(s *prog.Settings) { on = atomic.LoadUint32(&s.Flags)&prog.SettingSync != 0 }); err != nil {
		return err
	}
	if !on {
		if err := d.forgetMastership(); err != nil {
			return err
		}
	}
	return d.withSettings(func(s *prog.Settings) {
		d.writeRules(s, rules)
		setBits(&s.Flags, prog.SettingSync)
	})
}

func (d *Dataplane) withSettings(f func(*prog.Settings)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	f(d.obj.mem.settings)
	return nil
}

// writeRules writes word by word: a packet in between sees some old, some new.
func (d *Dataplane) writeRules(s *prog.Settings, r *lvs.SyncRules) {
	flags := uint32(0)
	if r.AtOnce {
		flags |= prog.SyncAtOnce
	}
	if r.HalfOpen {
		flags |= prog.SyncHalfOpen
	}
	refresh := min(d.clock.ticks(r.Refresh), prog.RefreshMax)
	for word, v := range map[*uint32]uint32{
		&s.SyncFlags: flags, &s.Threshold: r.Threshold, &s.Period: r.Period, &s.Refresh: refresh,
		&s.RefreshFloor: d.clock.ticks(10 * time.Second), &s.RetrySpan: refresh / 8, &s.Retries: r.Retries,
	} {
		atomic.StoreUint32(word, v)
	}
}

// forgetMastership drops what an earlier time as master left: announcements that
// nobody fetched, which are old news now, and when entries were announced.
func (d *Dataplane) forgetMastership() error {
	if err := d.news.discard(); err != nil {
		return err
	}
	if _, err := d.missed(); err != nil {
		return err
	}
	return d.forgetTold()
}

// forgetTold makes every entry one that was never announced.
func (d *Dataplane) forgetTold() error {
	for at := 0; ; at += forgetSets {
		sets := 0
		err := d.withSettings(func(*prog.Settings) {
			sets = len(d.obj.mem.conns)
			for i := at; i < min(at+forgetSets, sets); i++ {
				forgetSet(&d.obj.mem.conns[i])
			}
		})
		if err != nil || at+forgetSets >= sets {
			return err
		}
	}
}

// forgetSet clears told of the forward entries. The packet path does not write
// it while nothing is announced; a way that gets another entry meanwhile has
// the field cleared or, in a reply entry, unused there.
func forgetSet(set *prog.ConnSet) {
	for w := range prog.Ways {
		e := &set.Way[w]
		if atomic.LoadUint32(&set.Tag[w]) > prog.TagClaimed && atomic.LoadUint32(&e.State)&prog.WordReply == 0 && e.Told != prog.ToldNever {
			e.Told = prog.ToldNever
		}
	}
}

// Mark is the present moment for Inject, never 0.
func (d *Dataplane) Mark() (uint32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, errClosed
	}
	now, err := d.clock.now()
	if now == 0 {
		now-- // the tick before; ticks wrap
	}
	return now, err
}

// Entries is how many connections the table holds, as of the scanner's last
// pass: at most a second old while Run runs.
func (d *Dataplane) Entries() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.scan.lastEntries
}
