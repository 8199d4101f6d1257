package e2e

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A master that is stopped goes on answering until the other is there: of new
// connections at every millisecond only those can be lost that are under way
// at the very change (directors do not share connections yet), and not the
// hundreds of the other's skew time (0.6 s).
func TestOrderlyStopHandsOver(t *testing.T) {
	t.Parallel()
	target := netip.MustParseAddrPort(clusterVIP + ":80")
	l := stage(t, cluster())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	serve(t, l, ":80", "rs1", "rs2")
	d1 := direct(t, lb1, clusterConfig(200, 1, 1))
	moved(t, 10*time.Second, lb1, lb2, clusterVIP)
	direct(t, lb2, clusterConfig(100, 1, 1))
	answers(t, client, target)

	probe := client.Probe(target, time.Millisecond)
	defer probe.Stop()
	start := time.Now()
	if err := probe.AwaitSteady(within(t, 10*time.Second), start, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	before := probe.Since(start)
	if err := d1.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	moved(t, 10*time.Second, lb2, lb1, clusterVIP)
	after := time.Now()
	if err := probe.AwaitSteady(within(t, 10*time.Second), after, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	r := probe.Since(start)
	t.Logf("before: %d of %d unanswered; all: %d of %d, longest gap %s",
		before.Sent-before.Answered, before.Sent, r.Sent-r.Answered, r.Sent, r.Gap)
	if lost := r.Sent - r.Answered; lost > 20 {
		t.Errorf("%d of %d requests were lost in an orderly stop", lost, r.Sent)
	}
	<-d1.Process.Exited()
	if code := d1.Process.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
