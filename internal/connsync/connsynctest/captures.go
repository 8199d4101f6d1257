// Package connsynctest gives tests the captures of the synchronisation of
// kernels, with what the kernels themselves held (internal/connsync/testdata).
package connsynctest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/pcap"
)

// Scenarios are the names of the captures in a directory. There is always one.
func Scenarios(tb testing.TB, dir string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no captures in %s: %v", dir, err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".pcap"))
	}
	return names
}

// Messages are the sync messages of a capture: the UDP datagrams to a multicast
// group.
func Messages(tb testing.TB, dir, name string) []pcap.Datagram {
	tb.Helper()
	f, err := os.Open(filepath.Join(dir, name+".pcap"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	r, err := pcap.NewReader(f)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	var all []pcap.Datagram
	for {
		var d pcap.Datagram
		if err := r.Next(&d); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		if d.Dst.Addr().IsMulticast() {
			d.Payload = bytes.Clone(d.Payload)
			all = append(all, d)
		}
	}
}

// Entry is a connection of a kernel's table.
type Entry struct {
	Proto   string  `json:"proto"`
	Expire  float64 `json:"expire_s"`
	State   string  `json:"state"`
	Client  string  `json:"client"`
	Virtual string  `json:"virtual"`
	Dest    string  `json:"dest"`
	// Origin is LOCAL or SYNC, "" when the entry was gone by then.
	Origin string `json:"origin"`
}

// Snapshot is a kernel's table at a moment.
type Snapshot struct {
	Label string  `json:"label"`
	Host  string  `json:"host"` // lb1 the master, lb2 the backup
	Unix  float64 `json:"time"`
	Conns []Entry `json:"conns"`
}

// Time is the moment of the snapshot.
func (s *Snapshot) Time() time.Time { return time.UnixMicro(int64(s.Unix * 1e6)) }

// Tables are the connection tables of a host of a scenario, in order of time.
func Tables(tb testing.TB, dir, name, host string) []Snapshot {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	var truth struct{ Snapshots []Snapshot }
	if err := json.Unmarshal(b, &truth); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	var all []Snapshot
	for _, s := range truth.Snapshots {
		if s.Host == host {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		tb.Fatalf("%s: no table of %s", name, host)
	}
	return all
}

// Decoded are the lines that another decoder made of a capture's messages.
func Decoded(tb testing.TB, dir, name string) [][]byte {
	tb.Helper()
	f, err := os.Open(filepath.Join(dir, name+".decoded.jsonl.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	var lines [][]byte
	for s := bufio.NewReader(z); ; {
		line, err := s.ReadBytes('\n')
		if len(line) > 0 {
			lines = append(lines, line)
		}
		if errors.Is(err, io.EOF) {
			return lines
		} else if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
}
