package xdp

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var _ connsyncio.Table = (*Dataplane)(nil)

const (
	flagSYN = 0x02
	flagACK = 0x10
	flagFIN = 0x11
)

// clientAt is the i-th of many clients.
func clientAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}), 1024)
}

// syncBench is a bench with a TCP and a UDP service of two servers each, whose
// rules are gone at the end.
func syncBench(t *testing.T, m lvs.Method) *bench {
	t.Helper()
	b := newBench(t)
	var set []lvs.ServiceSet
	for _, proto := range []lvs.Protocol{lvs.TCP, lvs.UDP} {
		set = append(set, lvs.ServiceSet{
			Service: lvs.Service{ServiceKey: lvs.ServiceKey{Protocol: proto, Addr: b.vip, Port: 80}, Scheduler: lvs.RR},
			Destinations: []lvs.Destination{
				{Addr: netip.MustParseAddr("198.51.100.1"), Port: 8080, Method: m, Weight: 1},
				{Addr: netip.MustParseAddr("198.51.100.2"), Port: 8080, Method: m, Weight: 0},
			},
		})
	}
	if err := b.Set(set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.SetSync(nil); err != nil {
			t.Error(err)
		}
	})
	return b
}

// announced is a connection of client i as another director tells it.
func (b *bench) announced(i int) lvs.Connection {
	return lvs.Connection{
		Protocol: lvs.TCP, Client: clientAt(i), Virtual: netip.AddrPortFrom(b.vip, 80), Destination: ap("198.51.100.1:8080"),
		State: lvs.StateEstablished, Expires: 600 * time.Second, Timeout: 900 * time.Second, Method: lvs.DR, NoOutput: true,
	}
}

// server is the first server of the TCP service.
func (b *bench) server() *dest {
	c := b.announced(0)
	return b.tab.serviceFor(c.Protocol, c.Virtual).destFor(&c)
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func (b *bench) inject(t *testing.T, mark uint32, cs ...lvs.Connection) []lvs.Placement {
	t.Helper()
	out := make([]lvs.Placement, len(cs))
	if err := b.Inject(cs, out, mark); err != nil {
		t.Fatal(err)
	}
	return out
}

// news fetches announcements until there are n, and says of which client, in
// which state.
func (b *bench) news(t *testing.T, n int) (out []string, missed uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for len(out) < n && ctx.Err() == nil {
		cs, lost, err := b.Announcements(ctx, make([]lvs.Connection, 0, 64))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cs {
			out = append(out, c.Client.String()+" "+c.StateName())
		}
		missed += lost
	}
	return out, missed
}

// unread is what is there without waiting.
func (b *bench) unread(t *testing.T) (cs []lvs.Connection, missed uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cs, missed, err := b.Announcements(ctx, make([]lvs.Connection, 0, 100000))
	if err != nil {
		t.Fatal(err)
	}
	return cs, missed
}
