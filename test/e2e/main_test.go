package e2e

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/kaname-lb/kaname/internal/lab"
)

// binary is the kaname under test, built once a run.
var binary string

func TestMain(m *testing.M) {
	if listen := os.Getenv(echoEnv); listen != "" {
		os.Exit(echoServer(listen))
	}
	flag.Parse()
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // every test skips and says why
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kaname-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = lab.BuildKaname(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// The stories wait most of their time, for checks and elections.
	if f := flag.Lookup("test.parallel"); f != nil && os.Getenv("KANAME_E2E_PARALLEL") == "" {
		if err := f.Value.Set("4"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	stop := lab.CloseOnSignal()
	defer stop()
	return m.Run()
}

// echoEnv makes the test binary an echo server on the address that it holds: a
// process of its own, since one process has not enough files for both ends of
// 10,000 connections.
const echoEnv = "KANAME_E2E_ECHO"

func echoServer(listen string) int {
	ln, err := net.Listen("tcp4", listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go func() {
			defer c.Close()
			// The error is the client's end, which is for the client to judge.
			_, _ = io.Copy(c, c)
		}()
	}
}
