package vrrp_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// frame is one packet of a capture: an IP packet, without its Ethernet header.
type frame struct {
	at time.Time
	ip []byte
}

// readCapture returns the IPv4 and IPv6 packets of a capture (pcap, little
// endian, microseconds, Ethernet).
func readCapture(tb testing.TB, name string) []frame {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "captures", name+".pcap"))
	if err != nil {
		tb.Fatal(err)
	}
	le := binary.LittleEndian
	if len(b) < 24 || le.Uint32(b) != 0xa1b2c3d4 || le.Uint32(b[20:]) != 1 {
		tb.Fatalf("%s: not a capture this reader knows", name)
	}
	var frames []frame
	for b = b[24:]; len(b) > 0; {
		if len(b) < 16 || len(b) < 16+int(le.Uint32(b[8:])) {
			tb.Fatalf("%s: truncated", name)
		}
		at := time.Unix(int64(le.Uint32(b)), int64(le.Uint32(b[4:]))*1000).UTC()
		data := b[16 : 16+le.Uint32(b[8:])]
		b = b[16+len(data):]
		if len(data) < 14 {
			continue
		}
		switch binary.BigEndian.Uint16(data[12:]) {
		case 0x0800, 0x86dd:
			frames = append(frames, frame{at, data[14:]})
		}
	}
	return frames
}

// adverts returns the IPv4 packets of a capture that are adverts.
func adverts(tb testing.TB, name string) []frame {
	tb.Helper()
	var out []frame
	for _, f := range readCapture(tb, name) {
		if f.ip[0]>>4 == 4 && (f.ip[9] == 112 || f.ip[9] == 51) {
			out = append(out, f)
		}
	}
	return out
}
