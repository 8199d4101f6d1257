package kernellab

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/lab"
)

// scenarios are played in a guest each.
var scenarios = []struct {
	name string
	run  func(*testing.T)
}{
	{"facts", testFacts},
	{"kernel-to-kernel", failover("kernel", "kernel")},
	{"kernel-to-kaname", failover("kernel", "kaname")},
	{"kaname-to-kernel", failover("kaname", "kernel")},
	{"kept", testKept},
	{"announcements", testAnnouncements},
}

// binaryVariable names the kaname under test: for the guest, and for who wants
// to test one that is built already.
const binaryVariable = "KANAME_BINARY"

// kaname is the kaname under test, built once a run on the machine.
var kaname = os.Getenv(binaryVariable)

func inGuest() bool { return os.Getenv("KLAB") != "" }

func TestMain(m *testing.M) {
	flag.Parse()
	if kaname != "" {
		os.Exit(m.Run())
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kaname-kernellab-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if kaname, err = lab.BuildKaname(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func TestKernelLab(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if inGuest() {
				s.run(t)
				return
			}
			t.Parallel()
			boot(t, s.name)
		})
	}
}

// boot runs one scenario in a guest. That the guest says PASS is asked for, so
// that a scenario that did not run is no success.
func boot(t *testing.T, scenario string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "./run", "-t", "240", "-e", binaryVariable+"="+kaname, "-o", t.TempDir(),
		self, "-test.v", "-test.run", "^TestKernelLab$/^"+scenario+"$", "-test.timeout", "220s")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if pass := "--- PASS: TestKernelLab/" + scenario + " "; err != nil || !strings.Contains(out.String(), pass) {
		t.Fatalf("the scenario did not pass in the guest (%v):\n%s", err, out.String())
	}
	if testing.Verbose() {
		t.Logf("in the guest:\n%s", out.String())
	}
}
