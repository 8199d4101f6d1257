package connsync_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var addrs = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func conn(client string) connsync.Conn {
	return connsync.Conn{
		Protocol: lvs.TCP, State: uint16(lvs.StateEstablished), Flags: connsync.MethodDR | connsync.NoOutput, Timeout: 900,
		Client: netip.MustParseAddrPort(client), Virtual: netip.MustParseAddrPort("192.168.10.100:80"), Dest: netip.MustParseAddrPort("192.168.10.1:80"),
	}
}

func TestWriterFillsDatagramsAndReaderReadsThem(t *testing.T) {
	key, err := connsync.NewKey("secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*connsync.Key{nil, key} {
		w := connsync.NewWriter(51, connsync.DefaultLen4, true, k)
		six := conn("[fd00::1]:4000")
		six.Virtual, six.Dest = netip.MustParseAddrPort("[fd00::100]:80"), netip.MustParseAddrPort("[fd00::2]:80")
		six.Options = []byte{connsync.OptionEngineData, 1, 'x', connsync.OptionEngineName, 3, 's', 'i', 'p'}
		want := []connsync.Conn{six}
		if err := w.Add(&six); err != nil {
			t.Fatal(err)
		}
		for err = nil; err == nil; {
			c := conn("10.0.0.1:4000")
			if err = w.Add(&c); err == nil {
				want = append(want, c)
			}
		}
		if !errors.Is(err, connsync.ErrFull) {
			t.Fatal(err)
		}
		trailer := connsync.Trailer{Sender: 1 << 60, Seq: 77, Entries: 1e6, CatchUp: 8848}
		b := w.Finish(trailer)
		if len(b) > connsync.DefaultLen4 || len(b) < connsync.DefaultLen4-36-3 {
			t.Errorf("datagram of %d bytes, want it full at %d", len(b), connsync.DefaultLen4)
		}
		r, err := connsync.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		var got []connsync.Conn
		for c := (connsync.Conn{}); r.Next(&c); {
			got = append(got, c)
		}
		if diff := cmp.Diff(want, got, addrs); diff != "" || r.Err() != nil {
			t.Errorf("read: %v, (-written +read):\n%s", r.Err(), diff)
		}
		tr, keyed, ok := connsync.ParseTrailer(b)
		if !ok || keyed != (k != nil) || tr != trailer {
			t.Errorf("trailer %+v, keyed %v, %v", tr, keyed, ok)
		}
		if !keyed {
			continue
		}
		if !k.Authentic(b) {
			t.Error("an authentic datagram is refused")
		}
		for i := range b {
			b[i] ^= 0x80
			if k.Authentic(b) {
				t.Fatalf("with byte %d changed it is still authentic", i)
			}
			b[i] ^= 0x80
		}
	}
}

func TestConnectionThereAndBack(t *testing.T) {
	ap := netip.MustParseAddrPort
	for _, l := range []lvs.Connection{
		{Protocol: lvs.TCP, State: lvs.StateEstablished, Method: lvs.DR, NoOutput: true, Timeout: 900 * time.Second},
		{Protocol: lvs.UDP, Method: lvs.NAT, Timeout: 300 * time.Second},
		{Protocol: lvs.TCP, State: lvs.TemplateAssured, Method: lvs.TUN, Template: true, Timeout: 50 * time.Second, FWMark: 7},
	} {
		l.Client, l.Virtual, l.Destination, l.Synced, l.Expires = ap("10.0.0.1:1"), ap("10.0.0.2:2"), ap("10.0.0.3:3"), true, l.Timeout
		c := connsync.FromConnection(&l)
		if got := c.Connection(); got != l {
			t.Errorf("%+v came back as %+v", l, got)
		}
		if active := l.State == lvs.StateEstablished && !l.Template; active == (c.Flags&connsync.Inactive != 0) {
			t.Errorf("%+v: flags %#x", l, c.Flags)
		}
	}
}
