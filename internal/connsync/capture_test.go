package connsync_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
)

// captured is one UDP datagram of a capture.
type captured struct {
	from    netip.Addr
	payload []byte
}

// captures are the datagrams of all captures in testdata that were not
// fragmented, by scenario.
func captures(t testing.TB) map[string][]captured {
	t.Helper()
	files, err := filepath.Glob("testdata/ipvs-sync/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	out := map[string][]captured{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for b = b[24:]; len(b) >= 16; {
			n := binary.LittleEndian.Uint32(b[8:])
			if d, ok := udp(b[16 : 16+n]); ok {
				out[filepath.Base(file)] = append(out[filepath.Base(file)], d)
			}
			b = b[16+n:]
		}
	}
	return out
}

// udp is the datagram in an Ethernet frame.
func udp(frame []byte) (d captured, ok bool) {
	ip := frame[14:]
	var l4 []byte
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		if ip[9] != 17 || binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
			return d, false
		}
		d.from, l4 = netip.AddrFrom4([4]byte(ip[12:16])), ip[int(ip[0]&15)*4:binary.BigEndian.Uint16(ip[2:])]
	case 0x86dd:
		if ip[6] != 17 {
			return d, false
		}
		d.from, l4 = netip.AddrFrom16([16]byte(ip[8:24])), ip[40:40+binary.BigEndian.Uint16(ip[4:])]
	default:
		return d, false
	}
	d.payload = l4[8:binary.BigEndian.Uint16(l4[4:])]
	return d, true
}

// TestCapturesAsABackupTakesThem takes every recorded datagram; only the
// hand-made ones have anything to refuse.
func TestCapturesAsABackupTakesThem(t *testing.T) {
	for name, datagrams := range captures(t) {
		b := backup(connsync.BackupSpec{})
		n := uint64(0)
		for _, d := range datagrams {
			n += uint64(len(b.Take(start, d.from, d.payload, nil)))
		}
		refused := map[string]uint64{}
		for r, n := range b.Refused {
			if n > 0 {
				refused[connsync.Reason(r).String()] = n
			}
		}
		if n == 0 || n > b.Connections {
			t.Errorf("%s: %d connections of %d", name, n, b.Connections)
		}
		if name != "n-injected.pcap" && len(refused) > 0 {
			t.Errorf("%s: refused: %v", name, refused)
		}
		if want := uint64(len(datagrams)); b.Datagrams != want {
			t.Errorf("%s: %d datagrams, want %d", name, b.Datagrams, want)
		}
	}
}

// TestInjected is the hand-made scenario at the backup of syncid 77: it has one
// datagram for each thing that a receiver does not take.
func TestInjected(t *testing.T) {
	b := backup(connsync.BackupSpec{SyncID: 77})
	for _, d := range captures(t)["n-injected.pcap"] {
		b.Take(start, d.from, d.payload, nil)
	}
	got := map[string]uint64{}
	for r, n := range b.Refused {
		if n > 0 {
			got[connsync.Reason(r).String()] = n
		}
	}
	want := map[string]uint64{
		"size": 1, "syncid": 2, // whole
		"type": 1, "connection-version": 1, "cut": 1, "option": 2, // from there on
		"unknown-option": 1, "engine": 1, "state": 1, "protocol": 1, "one-packet": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

func FuzzRead(f *testing.F) {
	for _, datagrams := range captures(f) {
		for _, d := range datagrams[:min(len(datagrams), 60)] {
			f.Add(d.payload)
		}
	}
	f.Add(datagram(51, newKey(f, "s"), 1, 1))
	f.Add(datagram(51, nil, 1, 1))
	f.Fuzz(func(t *testing.T, d []byte) {
		r, err := connsync.Read(d)
		if err != nil {
			var e *connsync.Error
			if !errors.As(err, &e) || e.Reason == connsync.ReasonNone {
				t.Fatalf("error %v", err)
			}
		} else {
			n := 0
			for c := (connsync.Conn{}); r.Next(&c); n++ {
				c.Refusal(r.Version)
				_, _, _ = c.Sequence()
				l := c.Connection()
				_ = l.StateName()
			}
			if n != r.Taken() || n*24 > len(d) {
				t.Fatalf("%d connections in %d bytes, %d taken", n, len(d), r.Taken())
			}
		}
		for _, key := range []*connsync.Key{nil, newKey(t, "s")} {
			b := backup(connsync.BackupSpec{Key: key})
			b.Take(start, peerA, d, nil)
			b.Tick(start)
		}
	})
}
