// Command watch prints how fast a capture of 1,000,000 sessions goes into the
// session table, and what a session takes in memory; beside it tshark on the
// same file, printing the six fields that `ipvsadm -Lnc` has. Both read the
// file from the page cache. Nothing is asserted.
//
//	go run ./bench/watch [-sessions N] [-rounds N] [-keep FILE]
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kaname-lb/kaname/internal/connsync/pcap"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
)

func main() {
	sessions := flag.Int("sessions", 1_000_000, "sessions in the capture")
	rounds := flag.Int("rounds", 10, "times that kaname reads it; the quickest counts")
	keep := flag.String("keep", "", "leave the capture in this file")
	profile := flag.String("cpuprofile", "", "write a profile of kaname's reading")
	noTshark := flag.Bool("no-tshark", false, "leave tshark out")
	flag.Parse()
	if err := run(*sessions, *rounds, *keep, *profile, *noTshark); err != nil {
		fmt.Fprintln(os.Stderr, "bench/watch:", err)
		os.Exit(1)
	}
}

func run(sessions, rounds int, file, profile string, noTshark bool) error {
	if file == "" {
		dir, err := os.MkdirTemp("", "kaname-bench-watch-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		file = filepath.Join(dir, "sync.pcap")
	}
	made, err := generate(file, sessions)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	fmt.Printf("capture: %d sessions, %d messages of connections in %d datagrams, %.1f MB\n",
		sessions, made.connections, made.datagrams, float64(made.bytes)/1e6)

	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	// Half the messages that fit the file: each session comes about twice.
	guess := int(made.bytes / 72)
	ways := []way{
		{"kaname, growing", 0, 1, nil},
		{"kaname", guess, 1, nil},
		{"kaname, two goroutines", guess, 2, nil},
	}
	for range rounds {
		for i := range ways {
			w := &ways[i]
			got, err := read(file, w.expected, w.parts)
			if err != nil {
				return err
			}
			if got.sessions != sessions || got.connections != made.connections {
				return fmt.Errorf("%s: read %d sessions of %d, %d connections of %d", w.name, got.sessions, sessions, got.connections, made.connections)
			}
			w.results = append(w.results, got)
		}
	}
	pprof.StopCPUProfile()
	for _, w := range ways {
		best(w.results).print(w.name, made)
	}
	if noTshark {
		return nil
	}
	return tshark(file, made, ways)
}

// result is one reading of the capture.
type result struct {
	took        time.Duration
	cpu         time.Duration
	sessions    int
	connections int
	heap        uint64 // bytes of the tables, on Go's heap and outside of it
	huge        string // how much of this process lies in huge pages
}

func (r result) print(name string, made madeCapture) {
	fmt.Printf("%-24s %7.3f s (%.3f s of CPU)  %10.0f messages/s  %4.0f ns each  %5.1f bytes a session, %s in huge pages\n", name,
		r.took.Seconds(), r.cpu.Seconds(), float64(made.connections)/r.took.Seconds(),
		float64(r.took.Nanoseconds())/float64(made.connections), float64(r.heap)/float64(r.sessions), r.huge)
}

// way is one way of reading the capture.
type way struct {
	name            string
	expected, parts int
	results         []result
}

// best is the quickest: the others were disturbed by what else ran.
func best(rs []result) result {
	return slices.MinFunc(rs, func(a, b result) int { return int(a.took - b.took) })
}

// cpuTime is how long this process has computed, on all processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// hugePages is what the kernel says of them.
func hugePages() string {
	b, _ := os.ReadFile("/proc/self/smaps_rollup")
	_, rest, _ := strings.Cut(string(b), "AnonHugePages:")
	line, _, _ := strings.Cut(rest, "\n")
	return cmp.Or(strings.TrimSpace(line), "unknown")
}

// read reads the file into one table, or into a table for each of several parts
// by a goroutine each.
func read(file string, expected, parts int) (result, error) {
	before := heap()
	start, cpu := time.Now(), cpuTime()
	tables, taken := make([]*session.Table, parts), make([]int, parts)
	arenas := make([]watch.Arena, parts)
	var g errgroup.Group
	for i := range parts {
		tables[i] = session.New(session.Options{Memory: arenas[i].Take, Expected: expected / parts, Seed: uint64(start.UnixNano()), Part: i, Parts: parts})
		g.Go(func() (err error) {
			taken[i], err = fill(tables[i], file)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return result{}, err
	}
	r := result{took: time.Since(start), cpu: cpuTime() - cpu, heap: heap() - before}
	for i, t := range tables {
		r.heap += uint64(arenas[i].Used())
		r.sessions += t.Len()
		r.connections += taken[i]
	}
	r.huge = hugePages()
	for i := range arenas {
		arenas[i].Close()
	}
	return r, nil
}

func fill(t *session.Table, file string) (connections int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r, err := pcap.NewReader(f)
	if err != nil {
		return 0, err
	}
	var swept time.Time
	for d := (pcap.Datagram{}); ; {
		if err := r.Next(&d); errors.Is(err, io.EOF) {
			return connections, nil
		} else if err != nil {
			return 0, err
		}
		// As kaname watch does, each second.
		if d.Time.Sub(swept) >= time.Second {
			t.Expire(d.Time)
			swept = d.Time
		}
		n, err := t.Apply(d.Time, d.Src.Addr(), d.Payload)
		if err != nil {
			return 0, err
		}
		connections += n
	}
}

// tshark reads the same file. It prints per datagram, each field a list.
func tshark(file string, made madeCapture, ours []way) error {
	// Leaving out all other dissectors (disabled_protos) makes it no faster.
	args := []string{"-n", "-r", file, "-T", "fields"}
	// pro, expire, state, source, virtual, destination
	for _, f := range []string{"proto", "timeout", "state", "caddr", "cport", "vaddr", "vport", "daddr", "dport"} {
		args = append(args, "-e", "ipvs."+f)
	}
	var quickest result
	for range 2 {
		r, err := runTshark(args, made)
		if err != nil {
			return err
		}
		if quickest.took == 0 || r.took < quickest.took {
			quickest = r
		}
	}
	fmt.Printf("%-24s %7.3f s (%.3f s of CPU)  %10.0f messages/s\n", "tshark", quickest.took.Seconds(), quickest.cpu.Seconds(), float64(made.connections)/quickest.took.Seconds())
	fmt.Println("  tshark", strings.Join(args, " "))
	for _, w := range ours {
		r := best(w.results)
		fmt.Printf("ratio to %-24s %5.1f (wanted: 50), of CPU time %5.1f; %.1f bytes a session (wanted: under 200)\n", w.name,
			quickest.took.Seconds()/r.took.Seconds(), quickest.cpu.Seconds()/r.cpu.Seconds(), float64(r.heap)/float64(r.sessions))
	}
	return nil
}

func runTshark(args []string, made madeCapture) (result, error) {
	out := &lines{}
	var bad bytes.Buffer
	cmd := exec.Command("tshark", args...)
	cmd.Stdout, cmd.Stderr = out, &bad
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("tshark: %w: %s", err, bad.String())
	}
	took := time.Since(start)
	if out.commas < made.connections {
		return result{}, fmt.Errorf("tshark printed %d lines and fields of fewer than %d connections: %.200s", out.n, made.connections, out.first)
	}
	return result{took: took, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// lines counts what tshark prints.
type lines struct {
	n, commas int
	first     string
}

func (l *lines) Write(b []byte) (int, error) {
	if l.first == "" {
		l.first = string(b)
	}
	l.n += bytes.Count(b, []byte{'\n'})
	l.commas += bytes.Count(b, []byte{','})
	return len(b), nil
}
