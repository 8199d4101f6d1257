package prog_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
)

// each runs a test for both hooks and both protocols.
func each(t *testing.T, f func(t *testing.T, h progtest.Hook, proto uint8)) {
	for _, h := range hooks {
		for name, proto := range map[string]uint8{"tcp": progtest.TCP, "udp": progtest.UDP} {
			t.Run(fmt.Sprintf("%s/%s", h, name), func(t *testing.T) { f(t, h, proto) })
		}
	}
}

func TestDR(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		w := world(t, progtest.Options{})
		a := add(t, w, service(proto, server(0, prog.MethodDR)))
		first := fromClient(proto, 4000, progtest.SYN)
		expect(t, w, h, first, sent(h), toServer(0, prog.MethodDR, first))
		second := fromClient(proto, 4000, progtest.ACK)
		expect(t, w, h, second, sent(h), toServer(0, prog.MethodDR, second))
		odd := second
		odd.Payload = []byte("odd")
		expect(t, w, h, odd, sent(h), toServer(0, prog.MethodDR, odd))

		if proto == progtest.TCP {
			wantCount(t, w, a.Dests[0], 1, 0)
		} else {
			wantCount(t, w, a.Dests[0], 0, 1)
		}
		n := uint64(len(first.IPBytes()) + len(second.IPBytes()) + len(odd.IPBytes()))
		want := prog.Counters{Conns: 1, InPkts: 3, InBytes: n}
		for name, i := range map[string]uint32{"dstats": a.Dests[0], "sstats": a.ID} {
			got, err := w.Traffic(name, i)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
		}
		if e := w.Conn(progtest.FlowOf(first)); e == nil || e.InPkts != 3 || e.Ifindex != progtest.Ifindex ||
			e.L2Src != clientMAC || e.L2Dst != directorMAC {
			t.Errorf("entry %+v", e)
		}
		wantReasons(t, w, map[string]uint64{})
		audit(t, w)
	})
}

func TestNAT(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		w := world(t, progtest.Options{})
		a := add(t, w, service(proto, server(0, prog.MethodNAT)))
		for _, flags := range []uint8{progtest.SYN, progtest.ACK, progtest.ACK | progtest.PSH} {
			in := fromClient(proto, 4000, flags)
			in.Dst = vmac // replies leave with the address the client spoke to
			expect(t, w, h, in, sent(h), toServer(0, prog.MethodNAT, in))

			out := fromServer(0, in, flags|progtest.ACK)
			want := out
			want.Dst, want.Src, want.TTL = clientMAC, vmac, out.TTL-1
			want.SrcIP, want.SPort = vip, 80
			expect(t, w, h, out, sent(h), want)
		}
		got, err := w.Traffic("sstats", a.ID)
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(3 * len(fromClient(proto, 4000, 0).IPBytes()))
		if d := cmp.Diff(prog.Counters{Conns: 1, InPkts: 3, InBytes: n, OutPkts: 3, OutBytes: n}, got); d != "" {
			t.Errorf("service counters (-want +got):\n%s", d)
		}
		wantReasons(t, w, map[string]uint64{})
		audit(t, w)
	})
}
