package connsyncio_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// fakeTable is a connection table in memory. Changes are announced by Change.
type fakeTable struct {
	mu      sync.Mutex
	clock   uint32
	entries []fakeEntry
	index   map[fakeKey]int
	rules   *lvs.SyncRules
	changes []lvs.Connection
	missed  uint64
	wake    chan struct{}
	// place decides what becomes of a new connection; nil: Placed.
	place func(*lvs.Connection) lvs.Placement
	// walked is told of every part of a walk.
	walked func(cursor uint32)
}

type fakeKey struct {
	client, virtual netip.AddrPort
	protocol        lvs.Protocol
	template        bool
}

type fakeEntry struct {
	conn lvs.Connection
	at   uint32
}

func newFake() *fakeTable {
	return &fakeTable{index: map[fakeKey]int{}, wake: make(chan struct{}, 1), clock: 1}
}

func (t *fakeTable) SetSync(rules *lvs.SyncRules) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rules = rules
	return nil
}

func (t *fakeTable) Announcements(ctx context.Context, buf []lvs.Connection) ([]lvs.Connection, uint64, error) {
	for {
		t.mu.Lock()
		n := min(len(t.changes), cap(buf)-len(buf))
		buf = append(buf, t.changes[:n]...)
		t.changes = t.changes[n:]
		missed := t.missed
		t.missed = 0
		t.mu.Unlock()
		if n > 0 || missed > 0 || ctx.Err() != nil {
			return buf, missed, nil
		}
		select {
		case <-ctx.Done():
		case <-t.wake:
		}
	}
}

func (t *fakeTable) Mark() (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock++
	return t.clock, nil
}

func (t *fakeTable) Inject(cs []lvs.Connection, out []lvs.Placement, mark uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock++
	for i := range cs {
		out[i] = t.inject(&cs[i], mark)
	}
	return nil
}

func (t *fakeTable) inject(c *lvs.Connection, mark uint32) lvs.Placement {
	if t.place != nil {
		if p := t.place(c); !p.InTable() {
			return p
		}
	}
	key := fakeKey{c.Client, c.Virtual, c.Protocol, c.Template}
	if i, ok := t.index[key]; ok {
		if mark != 0 && t.entries[i].at > mark {
			return lvs.Stale
		}
		t.entries[i] = fakeEntry{*c, t.clock}
		return lvs.Updated
	}
	t.index[key] = len(t.entries)
	t.entries = append(t.entries, fakeEntry{*c, t.clock})
	return lvs.Placed
}

func (t *fakeTable) Walk(cursor uint32, buf []lvs.Connection) ([]lvs.Connection, uint32, error) {
	if t.walked != nil {
		t.walked(cursor)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; int(cursor) < len(t.entries) && len(buf) < cap(buf); cursor++ {
		buf = append(buf, t.entries[cursor].conn)
	}
	if int(cursor) >= len(t.entries) {
		cursor = 0
	}
	return buf, cursor, nil
}

func (t *fakeTable) Entries() uint64 { return uint64(t.len()) }

func (t *fakeTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

// Change enters connections as packets do, and announces them if the rules
// want that.
func (t *fakeTable) Change(cs ...lvs.Connection) {
	t.mu.Lock()
	t.clock++
	for i := range cs {
		t.inject(&cs[i], 0)
	}
	if t.rules != nil {
		t.changes = append(t.changes, cs...)
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Miss loses n announcements.
func (t *fakeTable) Miss(n uint64) {
	t.mu.Lock()
	t.missed += n
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *fakeTable) announcing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rules != nil
}

// ruling are the rules in force.
func (t *fakeTable) ruling() lvs.SyncRules {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rules == nil {
		return lvs.SyncRules{}
	}
	return *t.rules
}

// get returns a connection by its client.
func (t *fakeTable) get(client netip.AddrPort) (lvs.Connection, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.conn.Client == client {
			return e.conn, true
		}
	}
	return lvs.Connection{}, false
}

// String lists the table, sorted.
func (t *fakeTable) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for _, e := range t.entries {
		c := e.conn
		lines = append(lines, fmt.Sprintf("%s %s %s -> %s -> %s timeout %s synced %v", c.Protocol, c.StateName(), c.Client, c.Virtual, c.Destination, c.Timeout, c.Synced))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// connections makes n connections to one service, all different.
func connections(from, n int) []lvs.Connection {
	out := make([]lvs.Connection, n)
	for i := range out {
		k := from + i
		out[i] = lvs.Connection{
			Protocol: lvs.TCP, State: lvs.StateEstablished, Method: lvs.DR, NoOutput: true,
			Client:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(k >> 22), byte(k >> 14), byte(k >> 6)}), uint16(1024+k&63)),
			Virtual: netip.MustParseAddrPort("192.0.2.100:80"), Destination: netip.MustParseAddrPort("192.0.2.201:80"),
			Timeout: 15 * time.Minute, Expires: 10 * time.Minute,
		}
	}
	return out
}
