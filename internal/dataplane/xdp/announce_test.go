package xdp

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// A connection's life as announced, and nothing without rules.
func TestAnnouncements(t *testing.T) {
	b := syncBench(t, lvs.DR)
	life := func(i int) {
		for _, flags := range []byte{flagSYN, flagACK, flagACK, flagFIN} {
			if err := b.segment(clientAt(i), flags); err != nil {
				t.Fatal(err)
			}
		}
	}
	life(1)
	if err := b.SetSync(&lvs.SyncRules{AtOnce: true, Threshold: 3, Refresh: time.Minute}); err != nil {
		t.Fatal(err)
	}
	life(2)
	got, missed := b.news(t, 2)
	if want := []string{clientAt(2).String() + " ESTABLISHED", clientAt(2).String() + " FIN_WAIT"}; !slices.Equal(got, want) || missed != 0 {
		t.Errorf("announced %q, %d missed; want %q", got, missed, want)
	}
	// The one that began before is told with its next packet.
	if err := b.segment(clientAt(1), flagACK); err != nil {
		t.Fatal(err)
	}
	got, _ = b.news(t, 1)
	if want := []string{clientAt(1).String() + " FIN_WAIT"}; !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q", got, want)
	}
	if err := b.SetSync(nil); err != nil {
		t.Fatal(err)
	}
	life(3)
	if cs, _ := b.unread(t); len(cs) != 0 {
		t.Errorf("announced without rules: %+v", cs)
	}
	for _, bad := range []lvs.SyncRules{{Refresh: -1}, {Retries: 4}} {
		if err := b.SetSync(&bad); err == nil {
			t.Errorf("rules %+v are accepted", bad)
		}
	}
}

// An announcement says of the connection what a listing does.
func TestAnnouncementAsListed(t *testing.T) {
	b := syncBench(t, lvs.DR)
	if err := b.SetSync(&lvs.SyncRules{AtOnce: true}); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []byte{flagSYN, flagACK} {
		if err := b.segment(clientAt(1), flags); err != nil {
			t.Fatal(err)
		}
	}
	cs, _ := b.unread(t)
	listed := b.connections()
	if len(cs) != 1 || len(listed) != 1 {
		t.Fatalf("%d announced, %d listed", len(cs), len(listed))
	}
	if cs[0].Expires != cs[0].Timeout {
		t.Errorf("announced with %s of %s", cs[0].Expires, cs[0].Timeout)
	}
	listed[0].Expires = cs[0].Expires
	if d := cmp.Diff(listed[0], cs[0], cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Errorf("(-listed +announced):\n%s", d)
	}
}

// More than the ring holds is said to be missed, once; a small buffer gets what
// it has room for and the rest stays; a server that is gone is left out; and
// what was not fetched before announcing ended is not said when it begins again.
func TestAnnouncementsKept(t *testing.T) {
	b := syncBench(t, lvs.DR)
	rules := &lvs.SyncRules{Period: 1}
	if err := b.SetSync(rules); err != nil {
		t.Fatal(err)
	}
	room := int(b.obj.maps["events"].MaxEntries()) / 48
	for _, flags := range []byte{flagSYN, flagACK} {
		if err := b.segment(clientAt(1), flags); err != nil {
			t.Fatal(err)
		}
	}
	const more = 1000
	for range room + more - 1 {
		if err := b.segment(clientAt(1), flagACK); err != nil {
			t.Fatal(err)
		}
	}
	small, missed, err := b.Announcements(t.Context(), make([]lvs.Connection, 0, 10))
	if err != nil || len(small) != 10 || missed < more || missed > more+1 {
		t.Errorf("%d announcements and %d missed, %v; want 10 and %d", len(small), missed, err, more)
	}
	rest, missed := b.unread(t)
	if len(rest)+10 < room-1 || missed != 0 {
		t.Errorf("then %d and %d missed, of %d", len(rest), missed, room)
	}
	if err := b.segment(clientAt(1), flagACK); err != nil {
		t.Fatal(err)
	}
	d := b.server()
	d.rec.Generation++
	if cs, _ := b.unread(t); len(cs) != 0 {
		t.Errorf("announced of a server that is gone: %+v", cs)
	}
	d.rec.Generation--
	if err := b.segment(clientAt(1), flagACK); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*lvs.SyncRules{nil, rules} {
		if err := b.SetSync(r); err != nil {
			t.Fatal(err)
		}
	}
	if cs, _ := b.unread(t); len(cs) != 0 {
		t.Errorf("old news after a new beginning: %+v", cs)
	}
}

// A reader that waits is woken by news, and by the end of its context.
func TestAnnouncementsWait(t *testing.T) {
	b := syncBench(t, lvs.DR)
	if err := b.SetSync(&lvs.SyncRules{AtOnce: true}); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		n   int
		err error
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	got := make(chan answer)
	go func() {
		for range 2 {
			cs, _, err := b.Announcements(ctx, make([]lvs.Connection, 0, 8))
			got <- answer{len(cs), err}
		}
	}()
	for _, flags := range []byte{flagSYN, flagACK} {
		if err := b.segment(clientAt(1), flags); err != nil {
			t.Fatal(err)
		}
	}
	if a := <-got; a.n != 1 || a.err != nil {
		t.Errorf("woken with %+v", a)
	}
	cancel()
	if a := <-got; a.n != 0 || a.err != nil {
		t.Errorf("ended with %+v", a)
	}
}
