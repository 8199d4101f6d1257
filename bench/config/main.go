// Command config prints what reading a big configuration costs: 10,000 virtual
// servers with four real servers and one check each, through kaname's steps one
// by one, through the whole of `kaname check`, and through `keepalived -t`
// where that is installed. Nothing is asserted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/configio"
	"github.com/kaname-lb/kaname/internal/config/format"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/config/syntax"
)

func main() {
	services := flag.Int("services", 10_000, "virtual servers")
	servers := flag.Int("servers", 4, "real servers of each")
	flag.Parse()
	if err := run(*services, *servers); err != nil {
		fmt.Fprintln(os.Stderr, "bench/config:", err)
		os.Exit(1)
	}
}

func run(services, servers int) error {
	dir, err := os.MkdirTemp("", "kaname-bench-config-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	text := generate(services, servers)
	file := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	fmt.Printf("configuration: %d virtual servers, %d real servers each, one TCP_CHECK each: %d lines, %.1f MB\n\n",
		services, servers, strings.Count(text, "\n"), float64(len(text))/1e6)
	// The programs first: a child's memory is counted from before it is another
	// program, when it is as big as this one.
	if err := programs(dir, file); err != nil {
		return err
	}
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "step\ttime\tallocated")
	steps(w, file, text)
	return w.Flush()
}

// generate writes a configuration as sites have them, only longer.
func generate(services, servers int) string {
	var b strings.Builder
	b.WriteString("global_defs {\n    router_id lb1\n}\n")
	for i := range services {
		fmt.Fprintf(&b, "virtual_server 10.%d.%d.1 80 {\n    delay_loop 10\n    lb_algo wrr\n    lb_kind DR\n    protocol TCP\n", i>>8&255, i&255)
		for j := range servers {
			n := i*servers + j
			fmt.Fprintf(&b, "    real_server 172.%d.%d.%d 80 {\n        weight %d\n        TCP_CHECK {\n            connect_timeout 3\n        }\n    }\n",
				16+n>>16, n>>8&255, n&255, j+1)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// steps times each step of reading in this process.
func steps(w *tabwriter.Writer, file, text string) {
	var tree *syntax.Tree
	var cfg *config.Config
	step := func(name string, f func()) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		f()
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		fmt.Fprintf(w, "%s\t%.0f ms\t%d MB\n", name, took.Seconds()*1000, (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	step("parse", func() { tree, _ = syntax.Parse(configio.OS{}, file, syntax.Options{Grammar: config.Grammar()}) })
	step("build", func() { cfg, _ = config.Build(tree) })
	step("lint, all rules", func() { lint.Check(cfg, tree) })
	step("format", func() { format.Format(file, text) })
}

// programs runs the whole programs on the file and prints their time and memory.
func programs(dir, file string) error {
	kaname := filepath.Join(dir, "kaname")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", kaname, "./cmd/kaname")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build kaname: %w", err)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "program\ttime\tprocessor\tmemory\tstatus")
	for _, argv := range [][]string{{kaname, "check", file}, {"keepalived", "-t", "-f", file}} {
		if err := program(w, argv); err != nil {
			return err
		}
	}
	return w.Flush()
}

func program(w *tabwriter.Writer, argv []string) error {
	name := filepath.Base(argv[0]) + " " + argv[1]
	if _, err := exec.LookPath(argv[0]); err != nil {
		fmt.Fprintf(w, "%s\tnot installed\n", name)
		return nil
	}
	c := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	start := time.Now()
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("%s: %w", name, err)
	}
	took := time.Since(start)
	s := c.ProcessState
	memory := int64(0)
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		memory = u.Maxrss >> 10 // Linux counts KiB
	}
	fmt.Fprintf(w, "%s\t%.2f s\t%.2f s\t%d MB\t%d\n", name, took.Seconds(), (s.UserTime() + s.SystemTime()).Seconds(), memory, s.ExitCode())
	return nil
}
