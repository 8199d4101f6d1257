package vrrpio_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// keepalived is the real one on a host.
type keepalived struct {
	h   *host
	dir string
	cmd *exec.Cmd
	end chan error
}

// keepalivedConf is its half of the group; authentication as in the field:
// the password is cut to 8 bytes by keepalived, so it is no longer here.
const keepalivedConf = `global_defs {
    router_id peer
}
vrrp_instance VI {
    state BACKUP
    interface v0
    virtual_router_id 51
    priority %d
    advert_int 1
    authentication {
        auth_type %s
        auth_pass secret12
    }
    virtual_ipaddress {
        10.0.0.100/32
    }
}
`

// begin starts keepalived with its own files. What it logs is shown when the
// test fails.
func (k *keepalived) begin(priority int, auth string) {
	k.h.t.Helper()
	conf := filepath.Join(k.dir, "keepalived.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, keepalivedConf, priority, auth), 0o600); err != nil {
		k.h.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(k.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		k.h.t.Fatal(err)
	}
	k.cmd = exec.Command("keepalived", "-n", "-l", "-D", "-P", "-f", conf,
		"-p", filepath.Join(k.dir, "pid"), "-r", filepath.Join(k.dir, "vrrp.pid"))
	k.cmd.Stdout, k.cmd.Stderr = log, log
	// The host's thread starts it: it does not outlive the test, however that ends.
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	k.h.do(func() { err = k.cmd.Start() })
	_ = log.Close()
	if err != nil {
		k.h.t.Fatalf("keepalived: %v", err)
	}
	k.end = make(chan error, 1)
	go func(cmd *exec.Cmd, end chan error) { end <- cmd.Wait() }(k.cmd, k.end)
}

// stop ends it in order.
func (k *keepalived) stop() {
	k.h.t.Helper()
	if k.cmd == nil {
		return
	}
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		k.h.t.Errorf("stop keepalived: %v", err)
	}
	select {
	case <-k.end:
	case <-time.After(10 * time.Second):
		k.h.t.Error("keepalived did not stop in 10 s")
		k.kill()
	}
	k.cmd = nil
}

// kill ends all its processes at once; what they put on the host stays.
func (k *keepalived) kill() {
	k.h.t.Helper()
	pid := k.cmd.Process.Pid
	// The parent first, by a stop: it would start a killed child again, and
	// the child would clean up behind a killed parent.
	err := syscall.Kill(pid, syscall.SIGSTOP)
	children, rerr := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	err = errors.Join(err, rerr)
	for child := range strings.FieldsSeq(string(children)) {
		n, aerr := strconv.Atoi(child)
		err = errors.Join(err, aerr)
		if aerr == nil {
			err = errors.Join(err, syscall.Kill(n, syscall.SIGKILL))
		}
	}
	if err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL)); err != nil {
		k.h.t.Errorf("kill keepalived: %v", err)
	}
	<-k.end
	k.cmd = nil
}

// log returns what it logged so far.
func (k *keepalived) log() string {
	k.h.t.Helper()
	log, err := os.ReadFile(filepath.Join(k.dir, "log"))
	if err != nil {
		k.h.t.Errorf("keepalived's log: %v", err)
	}
	return string(log)
}

// group makes a segment of a host for a director of ours and one for keepalived.
func group(t *testing.T) (*host, *keepalived) {
	t.Helper()
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Skip("needs keepalived, of the package of that name")
	}
	ours, theirs := newHost(t), newHost(t)
	connect(ours, theirs)
	k := &keepalived{h: theirs, dir: t.TempDir()}
	t.Cleanup(func() {
		k.stop()
		if t.Failed() {
			t.Logf("keepalived's log:\n%s", k.log())
		}
	})
	return ours, k
}

// withAuth is the election as the keepalivedConf has it.
func withAuth(priority uint8, auth string) vrrp.Spec {
	s := election(priority)
	s.Instances[0].Password = "secret12"
	s.Instances[0].Auth = vrrp.AuthPass
	if auth == "AH" {
		s.Instances[0].Auth = vrrp.AuthAH
	}
	return s
}

// takesOver waits until a host has the address and the other has not.
func takesOver(t *testing.T, what string, by, from *host) {
	t.Helper()
	eventually(t, what+": takes the address", func() bool { return by.has(vip) })
	eventually(t, what+": the other lets go of it", func() bool { return !from.has(vip) })
}

// clean fails the test when one of our directors dropped a packet of
// keepalived's for anything but its priority.
func clean(t *testing.T, d *director) {
	t.Helper()
	s := d.Status()
	for reason, i := range s.Instances["VI"].Ignored {
		if reason != vrrp.IgnoreLowerPriority {
			t.Errorf("ignored %d packets of keepalived: %v: %s", i.Count, reason, i.Detail)
		}
	}
	if len(s.Unmatched) > 0 {
		t.Errorf("packets of keepalived that matched nothing: %v", s.Unmatched)
	}
	if s.Machine.Instances[0].Received == 0 {
		t.Error("accepted no advert of keepalived at all")
	}
}

// TestInteropOursPreferred: keepalived is master first; our director, with
// more priority, takes over, and gives up by an orderly stop, by losing its
// link, and takes over again each time.
func TestInteropOursPreferred(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"PASS", "AH"} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			h, k := group(t)
			k.begin(100, auth)
			takesOver(t, "keepalived alone", k.h, h)

			d := direct(h, "10.0.0.1", withAuth(150, auth))
			takesOver(t, "ours, preferred", h, k.h)
			clean(t, d)

			d.stop()
			takesOver(t, "keepalived after our stop", k.h, h)
			if !strings.Contains(k.log(), "received priority 0 advertisement") {
				t.Error("keepalived did not hear our priority 0")
			}

			d = direct(h, "10.0.0.1", withAuth(150, auth))
			takesOver(t, "ours, back", h, k.h)
			h.ip("link set v0 down")
			d.Send(vrrp.LinkChanged{Interface: "v0", Up: false})
			takesOver(t, "keepalived after our loss of link", k.h, h)
			h.ip("link set v0 up")
			d.Send(vrrp.LinkChanged{Interface: "v0", Up: true})
			takesOver(t, "ours, link is back", h, k.h)
			clean(t, d)
		})
	}
}

// TestInteropTheirsPreferred: our director is master first; keepalived, with
// more priority, takes over, and gives up by an orderly stop and by being
// killed; ours is there each time.
func TestInteropTheirsPreferred(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"PASS", "AH"} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			h, k := group(t)
			d := direct(h, "10.0.0.1", withAuth(50, auth))
			takesOver(t, "ours alone", h, k.h)

			k.begin(100, auth)
			takesOver(t, "keepalived, preferred", k.h, h)
			clean(t, d)

			k.stop()
			takesOver(t, "ours after keepalived's stop", h, k.h)
			heardRelease(t, d)

			k.begin(100, auth)
			takesOver(t, "keepalived, back", k.h, h)
			k.kill()
			eventually(t, "ours after keepalived's death", func() bool { return h.has(vip) })
			clean(t, d)
		})
	}
}

// TestInteropResume: our master dies without a word and goes on at once.
// keepalived accepts its adverts, sequence numbers included, and never takes over.
func TestInteropResume(t *testing.T) {
	t.Parallel()
	h, k := group(t)
	spec := withAuth(150, "AH")
	d := direct(h, "10.0.0.1", spec)
	takesOver(t, "ours", h, k.h)
	k.begin(100, "AH")
	eventually(t, "keepalived is backup", func() bool { return strings.Contains(k.log(), "Entering BACKUP STATE") })

	last := d.Status().Machine.Instances[0]
	d.mortal.dead.Store(true)
	d.stop()
	d = direct(h, "10.0.0.1", spec, vrrp.Resume{
		Instance: "VI", State: vrrp.Active, Sequence: last.Sequence, IPID: last.IPID,
	})
	d.becomes(vrrp.Active)
	eventually(t, "six adverts, two Active_Down_Intervals", func() bool {
		return d.Status().Instances["VI"].AdvertsSent >= 6
	})
	if log := k.log(); k.h.has(vip) || strings.Contains(log, "Entering MASTER STATE") || strings.Contains(log, "priority 0") {
		t.Error("keepalived took over, or heard a farewell")
	}
}

// TestInteropPasswordDiffers: neither listens to the other, both are master,
// and ours says why.
func TestInteropPasswordDiffers(t *testing.T) {
	t.Parallel()
	h, k := group(t)
	spec := withAuth(50, "PASS")
	spec.Instances[0].Password = "another"
	k.begin(100, "PASS")
	d := direct(h, "10.0.0.1", spec)
	d.becomes(vrrp.Active)
	eventually(t, "keepalived is master as well", func() bool { return k.h.has(vip) })
	if got := d.Status().Instances["VI"].Ignored[vrrp.IgnorePassword]; got.Count == 0 || got.From.String() != "10.0.0.2" {
		t.Errorf("counted %+v, want wrong passwords from keepalived", d.Status().Instances["VI"].Ignored)
	}
}
