package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// SIGHUP to the process that was started reloads. A bad file is refused as a
// whole, whatever is wrong with it, and the running configuration goes on; a
// good one runs.
func TestReloadBySignal(t *testing.T) {
	t.Parallel()
	const service = "TCP " + clusterVIP + ":80 wrr"
	l := stage(t, cluster())
	lb1 := l.Host("lb1")
	serve(t, l, ":80", "rs1", "rs2")
	good := clusterConfig(200, 1, 1)
	d := direct(t, lb1, good)
	moved(t, 10*time.Second, lb1, l.Host("lb2"), clusterVIP)
	before := table(t, d)

	hangUp := func(config string, ok bool) {
		t.Helper()
		since := status(t, d).LastReload.Time
		if err := d.WriteConfig(config); err != nil {
			t.Fatal(err)
		}
		if err := d.Process.Signal(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "reloaded", func() error {
			if r := status(t, d).LastReload; !r.Time.After(since) || r.OK != ok {
				return fmt.Errorf("last reload %+v, want ok %t after %s", r, ok, since)
			}
			return nil
		})
	}
	for name, bad := range map[string]string{
		"interface that is not there": strings.Replace(good, "interface eth0", "interface eth7", 1),
		"missing parameter":           strings.Replace(good, "virtual_router_id 7", "virtual_router_id", 1),
		"missing brace":               strings.TrimRight(strings.TrimSpace(good), "}"),
	} {
		if bad == good {
			t.Fatalf("%s: the file is not changed:\n%s", name, good)
		}
		hangUp(bad, false)
		sameServices(t, name, before, table(t, d))
		if !hasAll(lb1, clusterVIP) {
			t.Errorf("%s: lb1 lost the VIP", name)
		}
	}
	hangUp(clusterConfig(200, 7, 1), true)
	if got := table(t, d)[service]["10.0.0.21:80"].weight; got != 7 {
		t.Errorf("after a good file rs1 has weight %d, want 7", got)
	}
	terminate(t, d, clusterVIP)
}
