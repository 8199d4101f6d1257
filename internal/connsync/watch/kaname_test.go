package watch_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// given is a recorded source of these datagrams.
type given []watch.Datagram

func (g given) Run(_ context.Context, take func([]watch.Datagram)) error {
	take(g)
	return nil
}
func (given) Live() bool     { return false }
func (given) Lost() uint64   { return 0 }
func (given) String() string { return "given" }

// fromKaname are datagrams of a kaname director with these numbers.
func fromKaname(t *testing.T, key *connsync.Key, numbers ...uint64) given {
	t.Helper()
	var out given
	for i, seq := range numbers {
		w := connsync.NewWriter(51, connsync.DefaultLen4, true, key)
		w.Reset()
		c := connsync.Conn{
			Protocol: lvs.TCP, State: uint16(lvs.StateEstablished), Timeout: 900,
			Client:  netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), uint16(40000+i)),
			Virtual: netip.MustParseAddrPort("198.51.100.1:80"), Dest: netip.MustParseAddrPort("192.0.2.21:80"),
		}
		if err := w.Add(&c); err != nil {
			t.Fatal(err)
		}
		d := watch.Datagram{}
		d.Time, d.Src, d.Payload = noon.Add(time.Duration(i)*time.Second), netip.MustParseAddrPort("192.0.2.11:5000"), w.Finish(connsync.Trailer{Sender: 9, Seq: seq, Entries: 1_000_000})
		out = append(out, d)
	}
	return out
}

// TestKanameDirector: the trailer says how many connections there are and what
// was lost; with a key, datagrams without its proof are refused.
func TestKanameDirector(t *testing.T) {
	t.Parallel()
	key, err := connsync.NewKey("secret")
	if err != nil {
		t.Fatal(err)
	}
	other, err := connsync.NewKey("other")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		sent, expected *connsync.Key
		want           watch.DirectorFields
		refused        uint64
	}{
		{"open", nil, nil, watch.DirectorFields{Sessions: 3, Kaname: true, Entries: 1_000_000, Lost: 5}, 0},
		{"signed, and nobody asks", key, nil, watch.DirectorFields{Sessions: 3, Kaname: true, Keyed: true, Entries: 1_000_000, Lost: 5}, 0},
		{"signed", key, key, watch.DirectorFields{Sessions: 3, Kaname: true, Keyed: true, Entries: 1_000_000, Lost: 5}, 0},
		{"signed by another", other, key, watch.DirectorFields{}, 3},
		{"not signed", nil, key, watch.DirectorFields{}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := watch.New(watch.Spec{Sources: []watch.Source{fromKaname(t, c.sent, 1, 4, 8)}, Table: session.Options{Key: c.expected}})
			if err := x.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got watch.DirectorFields
			for _, d := range x.Report(nil, 0, session.Expect{}).DirectorList {
				got = watch.DirectorFields{Sessions: d.Sessions, Kaname: d.Kaname, Keyed: d.Keyed, Entries: d.Entries, Lost: d.Lost}
			}
			if got != c.want {
				t.Errorf("director %+v, want %+v", got, c.want)
			}
			if n := x.Health().Table.Refused[connsync.ReasonAuth]; n != c.refused {
				t.Errorf("%d refused, want %d", n, c.refused)
			}
			var metrics strings.Builder
			if err := watch.WriteMetrics(&metrics, x); err != nil {
				t.Fatal(err)
			}
			line := `kaname_watch_datagrams_lost_total{director="192.0.2.11",syncid="51"} 5` + "\n"
			if strings.Contains(metrics.String(), line) != c.want.Kaname {
				t.Errorf("metrics:\n%s", &metrics)
			}
		})
	}
}
