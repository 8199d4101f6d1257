package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// Everything promised by `kaname lab demo` happens, and it leaves nothing.
func TestDemo(t *testing.T) {
	t.Parallel()
	if binary == "" {
		t.Skip("needs root: makes network namespaces and loads BPF programs")
	}
	cmd := exec.CommandContext(within(t, 2*time.Minute), binary, "lab", "demo")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kaname lab demo: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	for _, want := range []string{
		"virtual_server 192.0.2.100 80", // the configuration, before the reader's eyes
		"rs1 answered 10, rs2 10",
		"ESTABLISHED",
		"lb1 lost",
		"kaname watch --table",
		"The held connection goes on",
		"lb1 stopped (SIGTERM)",
		"Failover gap:",
		"IP Virtual Server version",
		"are gone.",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not say %q", want)
		}
	}
	all, err := lab.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.PID == cmd.Process.Pid {
			t.Errorf("the demo left %+v", r)
		}
	}
}
