package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/cli/keepalived"
	"github.com/kaname-lb/kaname/internal/director"
	"github.com/kaname-lb/kaname/internal/finding"
)

// TestLiving: a pid file counts when a process of our name has the number.
func TestLiving(t *testing.T) {
	dir := t.TempDir()
	sleep := func(name string) int {
		t.Helper()
		program := filepath.Join(dir, name)
		path, err := exec.LookPath("sleep")
		if err != nil {
			t.Fatal(err)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, program); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd.Process.Pid
	}
	ours, other := sleep("keepalived"), sleep("sleepy")
	for text, want := range map[string]int{
		fmt.Sprintf("%d\n", ours): ours, fmt.Sprintf("%d\n", other): 0, fmt.Sprint(os.Getpid()): 0,
		"": 0, "x\n": 0, "-1\n": 0, "0": 0, "4194305\n": 0,
	} {
		file := filepath.Join(dir, "pid")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if pid, ok := living(file); ok != (want != 0) || ok && pid != want {
			t.Errorf("%q: %d, %v", text, pid, ok)
		}
		if err := removeStale(file); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(file); (err == nil) != (want != 0) {
			t.Errorf("%q: removed when it is stale: %v", text, err)
		}
	}
	if err := removeStale(filepath.Join(dir, "none")); err != nil {
		t.Error(err)
	}
	if _, ok := living(filepath.Join(dir, "none")); ok {
		t.Error("no file, and somebody lives")
	}
}

// TestFaceOptions: what each option of keepalived becomes for the director.
func TestFaceOptions(t *testing.T) {
	for line, check := range map[string]func(director.Options) bool{
		"-P":             func(o director.Options) bool { return o.Only == "vrrp" },
		"-C":             func(o director.Options) bool { return o.Only == "checks" },
		"-P -C":          func(o director.Options) bool { return o.Only == "" },
		"-P --all":       func(o director.Options) bool { return o.Only == "" },
		"-V":             func(o director.Options) bool { return o.KeepAddresses && !o.KeepDataplane },
		"-I":             func(o director.Options) bool { return o.KeepDataplane && !o.KeepAddresses },
		"-d":             func(o director.Options) bool { return o.DumpAtStart },
		"-e":             func(o director.Options) bool { return o.StrictIncludes },
		"-i x":           func(o director.Options) bool { return o.ConfigID == "x" },
		"-s n":           func(o director.Options) bool { return o.Namespace == "n" },
		"-u 022":         func(o director.Options) bool { return o.Umask != nil && *o.Umask == 0o22 },
		"-l":             func(o director.Options) bool { return o.Umask == nil && !o.ShowSecrets },
		"-r a -c b":      func(o director.Options) bool { return o.PIDFiles == director.PIDFiles{VRRP: "a", Checks: "b"} },
		"--show-secrets": func(o director.Options) bool { return o.ShowSecrets },
	} {
		face := keepalived.Parse(strings.Fields(line)).Options
		r := &run{app: &app{env: Env{Stderr: &bytes.Buffer{}}}}
		r.wear(&face)
		if o := r.options(r.logger()); !check(o) {
			t.Errorf("%s: %+v", line, o)
		}
	}
}

// TestFaceLog: findings and errors of the director go to the log, as lines of
// keepalived.
func TestFaceLog(t *testing.T) {
	for _, detail := range []bool{false, true} {
		var b bytes.Buffer
		r := &run{app: &app{env: Env{Stderr: &b}}}
		r.wear(&keepalived.Options{LogConsole: true, NoSyslog: true, LogDetail: detail})
		o := r.options(r.logger())
		o.Report(finding.Finding{Severity: finding.Error, Where: finding.Place{File: "k", Line: 3}, What: "an error"})
		o.Report(finding.Finding{Severity: finding.Note, What: "a note"})
		fmt.Fprintln(o.Stderr, "kaname: one\nkaname: two")
		var got []string
		for line := range strings.Lines(b.String()) {
			stamp, text := line[:len(time.ANSIC)], line[len(time.ANSIC):]
			if _, err := time.Parse(time.ANSIC, stamp); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			got = append(got, strings.TrimSpace(text))
		}
		want := ": (k: Line 3) an error|: kaname: one|: kaname: two"
		if detail {
			want = ": (k: Line 3) an error|: a note|: kaname: one|: kaname: two"
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("-D %v: %s", detail, s)
		}
	}
}

// TestNoNamespace: one that is not there is named, and nothing is looked up.
func TestNoNamespace(t *testing.T) {
	var out, errs bytes.Buffer
	a := &app{env: Env{Stdout: &out, Stderr: &errs}}
	if code := a.moved(&keepalived.Options{Namespace: "kaname-no-such"}); code == 0 || !strings.Contains(errs.String(), "network namespace kaname-no-such") {
		t.Errorf("status %d, %s", code, &errs)
	}
}
