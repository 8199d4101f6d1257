package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netns"
	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/lvs/sched"
)

// bench is a dataplane in a namespace of its own, attached nowhere, whose
// program is run by BPF_PROG_RUN.
type bench struct {
	*Dataplane
	entry *ebpf.Program
	vip   netip.Addr
}

// shared is the one bench: the verifier takes most of a second over the
// programs. Tests that use it do not run in parallel.
var shared *bench

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		if err := shared.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, "remove the bench:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// newBench returns the bench as new: no service, no connection.
func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: BPF")
	}
	if shared == nil {
		shared = makeBench(t)
	}
	b := *shared
	if err := b.Set(nil); err != nil {
		t.Fatal(err)
	}
	b.forget()
	b.scan = newScanner(b.obj.mem, b.tab)
	defaultTimeouts(b.obj.mem.settings, b.clock)
	return &b
}

func makeBench(t *testing.T) *bench {
	t.Helper()
	dir := fmt.Sprintf("%s/kaname-test-%d-%08x", bpffsRoot, os.Getpid(), rand.Uint32())
	var d *Dataplane
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends in the namespace
		ns, err := netns.New()
		if err == nil {
			d, err = Open(Spec{PinDir: dir, Connections: 1 << 14})
			_ = ns.Close()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	entry, err := d.obj.program(Generic)
	if err != nil {
		t.Fatal(errors.Join(err, d.Remove()))
	}
	return &bench{Dataplane: d, entry: entry, vip: netip.MustParseAddr("192.0.2.1")}
}

// syn runs one SYN to the service through the program and returns the server
// that got it; false is none.
func (b *bench) syn(client netip.AddrPort) (netip.AddrPort, bool, error) {
	if err := b.segment(client, 2); err != nil {
		return netip.AddrPort{}, false, err
	}
	key := prog.Flow{
		Src: prog.Addr4(client.Addr()), Dst: prog.Addr4(b.vip), Sport: prog.Port(client.Port()), Dport: prog.Port(80), Proto: 6,
	}
	if e := b.obj.mem.find(&key); e != nil {
		return b.tab.dests[e.Dest].want.AddrPort(), true, nil
	}
	return netip.AddrPort{}, false, nil
}

// segment runs one TCP segment to the service through the program.
func (b *bench) segment(client netip.AddrPort, flags byte) error {
	frame := make([]byte, 14+20+20)
	copy(frame, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0})
	ip := frame[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], 40)
	copy(ip[12:16], client.Addr().AsSlice())
	copy(ip[16:20], b.vip.AsSlice())
	tcp := ip[20:]
	binary.BigEndian.PutUint16(tcp, client.Port())
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = 5<<4, flags
	_, err := b.entry.Run(&ebpf.RunOptions{Data: frame, DataOut: make([]byte, 128)})
	return err
}

// loads are what the schedulers see of the servers of the service, in list
// order.
func (b *bench) loads(key lvs.ServiceKey) []sched.Load {
	s := b.tab.services[key]
	out := make([]sched.Load, len(s.dests))
	for i, d := range s.dests {
		c := &b.obj.mem.counts[d.slot]
		out[i] = sched.Load{
			Active: uint32(atomic.LoadInt32(&c.Active)), Inactive: uint32(atomic.LoadInt32(&c.Inactive)),
			Overloaded: atomic.LoadUint32(&c.Flags)&prog.DcountOverload != 0,
		}
	}
	return out
}

// Every scheduler in C picks what its model in Go picks, while servers join,
// leave, change weight, are quiesced and overloaded.
func TestSchedulersEqualTheirModels(t *testing.T) {
	b := newBench(t)
	port := uint16(0)
	for _, kind := range []lvs.Scheduler{lvs.RR, lvs.WRR, lvs.LC, lvs.WLC, lvs.SH, lvs.MH} {
		t.Run(string(kind), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				flags := lvs.SchedulerFlags(rapid.IntRange(0, 3).Draw(t, "flags"))
				svc := lvs.ServiceSet{Service: lvs.Service{
					ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: b.vip, Port: 80}, Scheduler: kind, SchedulerFlags: flags,
				}}
				if err := b.Set(nil); err != nil {
					t.Fatal(err)
				}
				b.forget()
				model, err := sched.New(kind, flags, nil)
				if err != nil {
					t.Fatal(err)
				}
				set := func() {
					if err := b.Set([]lvs.ServiceSet{svc}); err != nil {
						t.Fatal(err)
					}
					model.Set(sched.ListOrder(svc.Destinations))
				}
				set()
				some := func(t *rapid.T) int {
					if len(svc.Destinations) == 0 {
						t.Skip("no server")
					}
					return rapid.IntRange(0, len(svc.Destinations)-1).Draw(t, "which")
				}
				next := 0
				t.Repeat(map[string]func(*rapid.T){
					"join": func(t *rapid.T) {
						d := lvs.Destination{
							Addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(next)}), Port: 80, Method: lvs.DR,
							Weight:         rapid.IntRange(0, 6).Draw(t, "weight"),
							UpperThreshold: uint32(rapid.SampledFrom([]int{0, 0, 0, 3}).Draw(t, "upper")),
						}
						if next++; next < 40 {
							svc.Destinations = append(svc.Destinations, d)
							set()
						}
					},
					"leave": func(t *rapid.T) {
						i := some(t)
						svc.Destinations = append(svc.Destinations[:i:i], svc.Destinations[i+1:]...)
						set()
					},
					"weight": func(t *rapid.T) {
						i := some(t)
						svc.Destinations = append([]lvs.Destination(nil), svc.Destinations...)
						svc.Destinations[i].Weight = rapid.IntRange(0, 6).Draw(t, "weight")
						set()
					},
					"connect": func(t *rapid.T) {
						for range rapid.IntRange(1, 8).Draw(t, "n") {
							port++
							client := netip.AddrPortFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "client"))), port)
							want, ok := model.Pick(sched.Flow{Client: client.Addr(), Port: client.Port()}, b.loads(svc.ServiceKey))
							got, found, err := b.syn(client)
							if err != nil {
								t.Fatal(err)
							}
							if found != ok || ok && got != model.Destinations()[want].AddrPort() {
								t.Fatalf("%s %v: client %v went to %v (%v), the model says %v (%v) of %v", kind, flags, client, got, found, want, ok, model.Destinations())
							}
						}
					},
				})
			})
		})
	}
}

// forget empties the connection table and frees every slot, as the scanner
// does in time.
func (b *bench) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.obj.mem.conns)
	for i := range b.obj.mem.counts {
		b.obj.mem.counts[i] = prog.DestCount{}
	}
	for _, d := range b.tab.dests {
		if d != nil {
			_ = b.tab.reap(d)
		}
	}
}
