package connsync_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/connsynctest"
	"github.com/kaname-lb/kaname/internal/connsync/pcap"
)

// everyCapture calls f with the messages of each capture.
func everyCapture(tb testing.TB, f func(name string, messages []pcap.Datagram)) {
	tb.Helper()
	for _, name := range connsynctest.Scenarios(tb, captures) {
		f(name, connsynctest.Messages(tb, captures, name))
	}
}

// TestCapturesAsABackupTakesThem takes every recorded datagram; only the
// hand-made ones have anything to refuse.
func TestCapturesAsABackupTakesThem(t *testing.T) {
	everyCapture(t, func(name string, datagrams []pcap.Datagram) {
		b := backup(connsync.BackupSpec{})
		n := uint64(0)
		for _, d := range datagrams {
			n += uint64(len(b.Take(start, d.Src.Addr(), d.Payload, nil)))
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
		if name != "n-injected" && len(refused) > 0 {
			t.Errorf("%s: refused: %v", name, refused)
		}
		if want := uint64(len(datagrams)); b.Datagrams != want {
			t.Errorf("%s: %d datagrams, want %d", name, b.Datagrams, want)
		}
	})
}

// TestInjected is the hand-made scenario at the backup of syncid 77: it has one
// datagram for each thing that a receiver does not take.
func TestInjected(t *testing.T) {
	b := backup(connsync.BackupSpec{SyncID: 77})
	for _, d := range connsynctest.Messages(t, captures, "n-injected") {
		b.Take(start, d.Src.Addr(), d.Payload, nil)
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
	everyCapture(f, func(_ string, datagrams []pcap.Datagram) {
		for _, d := range datagrams[:min(len(datagrams), 60)] {
			f.Add(d.Payload)
		}
	})
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
