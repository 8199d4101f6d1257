package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kaname-lb/kaname/internal/lab"
)

// binary is the kaname under test, built once a run.
var binary string

func TestMain(m *testing.M) {
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
	binary = filepath.Join(dir, "kaname")
	build := exec.Command("go", "build", "-o", binary, "github.com/kaname-lb/kaname/cmd/kaname")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build kaname:", err)
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
