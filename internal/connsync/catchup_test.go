package connsync_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func TestHelloAndWelcome(t *testing.T) {
	h := connsync.Hello{Keyed: true, SyncID: 51, Nonce: [32]byte{1, 2, 3}}
	b := h.Append(nil)
	if got, err := connsync.ParseHello(b); err != nil || got != h {
		t.Errorf("hello %+v, %v", got, err)
	}
	w := connsync.Welcome{Keyed: true, SyncID: 51, Status: connsync.StatusBusy, Nonce: [32]byte{9}, Life: 1 << 60, Seq: 7, Entries: 1_000_000}
	c := w.Append(nil)
	if got, err := connsync.ParseWelcome(c); err != nil || got != w {
		t.Errorf("welcome %+v, %v", got, err)
	}
	for name, bad := range map[string][]byte{"empty": nil, "short": b[:39], "magic": append([]byte{1}, b[1:]...), "version": append([]byte("kan\x02\x02"), b[5:]...)} {
		if _, err := connsync.ParseHello(bad); err == nil {
			t.Errorf("hello: %s is accepted", name)
		}
	}
	for name, bad := range map[string][]byte{"empty": nil, "short": c[:63], "hello": append(b, make([]byte, 24)...), "version": append([]byte("kan\x03\x02"), c[5:]...)} {
		if _, err := connsync.ParseWelcome(bad); err == nil {
			t.Errorf("welcome: %s is accepted", name)
		}
	}
	for s := connsync.StatusBusy; s < connsync.StatusHasNoKey+2; s++ {
		if s.Err() == nil {
			t.Errorf("status %d is no error", s)
		}
	}
}

// seals are those of both ends of a stream.
func seals(t testing.TB, key *connsync.Key, hello, welcome string) (backup, master *connsync.Seal) {
	t.Helper()
	backup, master, err := connsync.Seals(key, []byte(hello), []byte(welcome))
	if err != nil {
		t.Fatal(err)
	}
	return backup, master
}

func TestFramesThereAndBack(t *testing.T) {
	for name, key := range map[string]*connsync.Key{"plain": nil, "keyed": newKey(t, "s")} {
		t.Run(name, func(t *testing.T) {
			_, out := seals(t, key, "h", "w")
			_, in := seals(t, key, "h", "w")
			w := connsync.NewFrameWriter(out)
			var want, got []lvs.Connection
			for i := 0; ; i++ {
				c := kept(i, time.Duration(i)*time.Millisecond)
				if i%3 == 0 {
					six := conn("[fd00::1]:4000")
					six.Virtual, six.Dest = conn("[fd00::100]:80").Client, conn("[fd00::2]:80").Client
					c = six.Connection()
					c.Expires = time.Hour
				}
				want = append(want, c)
				if w.Add(&c) {
					break
				}
			}
			mixed := want[0]
			mixed.Destination = want[1].Destination
			at := connsync.Cursor{Kept: true, At: 77}
			b := bytes.Clone(w.Finish(connsync.FrameConnections, at, 0))
			if len(b) > connsync.MaxFrame || len(b) < connsync.MaxFrame-200 {
				t.Errorf("frame of %d bytes, want it full", len(b))
			}
			if n, err := connsync.FrameSize(b); err != nil || n != len(b) {
				t.Errorf("size %d of %d, %v", n, len(b), err)
			}
			f, err := connsync.ParseFrame(b, in)
			if err != nil || f.Type != connsync.FrameConnections || f.Cursor != at || f.Total != uint64(len(want)) || f.Count != len(want) {
				t.Fatalf("frame %+v, %v", f.Type, err)
			}
			got, err = f.Connections(nil)
			if diff := cmp.Diff(want, got, addrs); diff != "" || err != nil {
				t.Errorf("%v (-written +read):\n%s", err, diff)
			}
			w.Add(&mixed)
			if w.Len() != 0 {
				t.Error("a connection of two families is in the frame")
			}
			b = w.Finish(connsync.FrameEnd, connsync.Cursor{}, 0)
			if f, err = connsync.ParseFrame(b, in); err != nil || f.Type != connsync.FrameEnd || f.Total != uint64(len(want)) || f.Count != 0 {
				t.Errorf("end %+v, %v", f, err)
			}
		})
	}
}

// TestSealsAreOfOneStreamOneDirectionAndOnePlace tries to use a sealed frame
// where it does not belong.
func TestSealsAreOfOneStreamOneDirectionAndOnePlace(t *testing.T) {
	key := newKey(t, "s")
	frame := func() []byte {
		_, out := seals(t, key, "h", "w")
		w := connsync.NewFrameWriter(out)
		c := kept(1, time.Minute)
		w.Add(&c)
		return w.Finish(connsync.FrameConnections, connsync.Cursor{At: 1}, 0)
	}
	_, in := seals(t, key, "h", "w")
	if _, err := connsync.ParseFrame(frame(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := connsync.ParseFrame(frame(), in); err == nil {
		t.Error("a frame is accepted twice")
	}
	toMaster, _ := seals(t, key, "h", "w")
	_, otherHello := seals(t, key, "H", "w")
	_, otherWelcome := seals(t, key, "h", "W")
	_, otherKey := seals(t, newKey(t, "x"), "h", "w")
	for name, s := range map[string]*connsync.Seal{
		"the other direction": toMaster, "another hello": otherHello, "another welcome": otherWelcome, "another key": otherKey,
	} {
		if _, err := connsync.ParseFrame(frame(), s); err == nil || !strings.Contains(err.Error(), "seal") {
			t.Errorf("with %s it is accepted: %v", name, err)
		}
	}
	for i := range frame() {
		b := frame()
		b[i] ^= 0x40
		_, in := seals(t, key, "h", "w")
		if _, err := connsync.ParseFrame(b, in); err == nil {
			t.Fatalf("with byte %d changed it is accepted", i)
		}
	}
}

func TestHostileFrames(t *testing.T) {
	head := func(size uint32, count uint16) []byte {
		b := make([]byte, connsync.FrameHead)
		b[0], b[1], b[2], b[3] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size)
		b[4], b[6], b[7] = byte(connsync.FrameConnections), byte(count>>8), byte(count)
		return b
	}
	for _, size := range []uint32{0, 19, connsync.MaxFrame + 1, 1<<32 - 1} {
		if n, err := connsync.FrameSize(head(size, 0)); err == nil {
			t.Errorf("size %d is accepted as %d", size, n)
		}
	}
	for name, b := range map[string][]byte{"empty": {}, "short": head(20, 0)[:19], "longer than it says": append(head(20, 0), 0)} {
		if _, err := connsync.ParseFrame(b, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	f, err := connsync.ParseFrame(head(20, 65535), nil)
	if err != nil {
		t.Fatal(err)
	}
	if cs, err := f.Connections(nil); err == nil || len(cs) != 0 {
		t.Errorf("%d connections out of nothing, %v", len(cs), err)
	}
}

func FuzzCatchUpFrame(f *testing.F) {
	for _, key := range []*connsync.Key{nil, newKey(f, "s")} {
		_, out := seals(f, key, "h", "w")
		w := connsync.NewFrameWriter(out)
		for i := range 5 {
			c := kept(i, time.Minute)
			w.Add(&c)
		}
		f.Add(bytes.Clone(w.Finish(connsync.FrameConnections, connsync.Cursor{At: 5}, 0)))
		f.Add(bytes.Clone(w.Finish(connsync.FrameEnd, connsync.Cursor{}, 0)))
		f.Add(bytes.Clone(w.Finish(connsync.FrameRequest, connsync.Cursor{Kept: true}, 9)))
	}
	key := newKey(f, "s")
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 4 {
			if n, err := connsync.FrameSize(b); err == nil && (n < connsync.FrameHead || n > connsync.MaxFrame) {
				t.Errorf("size %d", n)
			}
		}
		_, in := seals(t, key, "h", "w")
		for _, seal := range []*connsync.Seal{nil, in} {
			frame, err := connsync.ParseFrame(b, seal)
			if err != nil {
				continue
			}
			cs, _ := frame.Connections(nil)
			if len(cs) > frame.Count || len(cs)*36 > len(b) {
				t.Errorf("%d connections in %d bytes", len(cs), len(b))
			}
		}
	})
}
