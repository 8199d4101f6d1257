package pcap_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/connsync/pcap"
)

// FuzzReader: whatever the file, reading ends, with an error that has a place,
// and each packet was counted.
func FuzzReader(f *testing.F) {
	names, err := filepath.Glob("../testdata/ipvs-sync/*.pcap")
	if err != nil || len(names) == 0 {
		f.Fatal("no captures", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), 8000)])
	}
	one := ip4(17, 0, udp("one"))
	f.Add(join(section(be), iface(be, 101, 0, 9, 0, 1, 9, 0, 0, 0), enhanced(be, 0, 1, one), block(be, 3, append([]byte{0, 0, 0, 31}, one...))))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := pcap.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var d pcap.Datagram
		for {
			if err = r.Next(&d); err != nil {
				break
			}
			if len(d.Payload) > 0xffff+1<<22 || d.Fragments < 1 {
				t.Fatalf("a datagram of %d bytes in %d fragments", len(d.Payload), d.Fragments)
			}
		}
		if !errors.Is(err, io.EOF) && !strings.HasPrefix(err.Error(), "capture: byte ") {
			t.Errorf("an error without a place: %v", err)
		}
		s := r.Stats()
		if s.Datagrams+s.Other+s.Truncated+s.Malformed+s.Fragments < s.Packets || r.BytesRead() > int64(len(b)) {
			t.Errorf("%+v after %d bytes of %d", s, r.BytesRead(), len(b))
		}
	})
}
