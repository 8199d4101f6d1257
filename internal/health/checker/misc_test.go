package checker_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/health/checker"
)

func TestMisc(t *testing.T) {
	t.Parallel()
	sh := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for _, tc := range []struct {
		name      string
		spec      checker.MiscSpec
		ok        bool
		weight    int
		hasWeight bool
		want      string
	}{
		{"0", checker.MiscSpec{Argv: sh("exit 0")}, true, 0, false, "exited with status 0"},
		{"1", checker.MiscSpec{Argv: sh("exit 1")}, false, 0, false, "exited with status 1"},
		{"3", checker.MiscSpec{Argv: sh("exit 3")}, false, 0, false, "exited with status 3"},
		{"dynamic 0", checker.MiscSpec{Argv: sh("exit 0"), Dynamic: true}, true, 0, false, "exited with status 0"},
		{"dynamic 1", checker.MiscSpec{Argv: sh("exit 1"), Dynamic: true}, false, 0, false, "exited with status 1"},
		{"dynamic 2", checker.MiscSpec{Argv: sh("exit 2"), Dynamic: true}, true, 0, true, "exited with status 2: weight 0"},
		{"dynamic 255", checker.MiscSpec{Argv: sh("exit 255"), Dynamic: true}, true, 253, true, "exited with status 255: weight 253"},
		{"dynamic killed", checker.MiscSpec{Argv: sh("kill -9 $$"), Dynamic: true}, false, 0, false, "killed by signal 9"},
		{"hangs", checker.MiscSpec{Argv: sh("exec sleep 60"), Timeout: 100 * time.Millisecond}, false, 0, false, "timed out after 100ms"},
		{"missing", checker.MiscSpec{Argv: []string{"/nonexistent/check"}}, false, 0, false, "/nonexistent/check"},
		{"arguments are no shell", checker.MiscSpec{Argv: []string{"/usr/bin/test", "$HOME;", "=", "$HOME;"}}, true, 0, false, "exited with status 0"},
		{"environment", checker.MiscSpec{Argv: sh(`test "$CHECK" = yes`), Env: []string{"CHECK=yes"}}, true, 0, false, "exited with status 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := checker.Run(t.Context(), checker.Target{Kind: checker.Misc, Misc: tc.spec})
			if got.OK != tc.ok || got.Weight != tc.weight || got.HasWeight != tc.hasWeight ||
				!strings.Contains(got.Reason, tc.want) || strings.Contains(got.Reason, "\n") {
				t.Errorf("got %+v, want %t %d %t %q", got, tc.ok, tc.weight, tc.hasWeight, tc.want)
			}
		})
	}
}

func TestMiscCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	got := checker.Run(ctx, checker.Target{Kind: checker.Misc, Misc: checker.MiscSpec{Argv: []string{"/bin/sleep", "60"}}})
	if got.OK || got.Reason != "cancelled" || got.Duration > 30*time.Second {
		t.Errorf("got %+v, want cancelled at once", got)
	}
}

func TestUsable(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	insecure := "" // only what runs as root is looked at
	if os.Geteuid() == 0 {
		insecure = "writable by everybody" // the directory for temporary files
	}
	for _, tc := range []struct {
		name   string
		spec   checker.MiscSpec
		secure bool
		want   string // in the error, empty for none
	}{
		{"good", checker.MiscSpec{Argv: []string{"/bin/true"}}, true, ""},
		{"none", checker.MiscSpec{}, false, "no command"},
		{"missing", checker.MiscSpec{Argv: []string{"/nonexistent/check"}}, false, "no such file"},
		{"not executable", checker.MiscSpec{Argv: []string{plain}}, false, "permission denied"},
		{"no such user", checker.MiscSpec{Argv: []string{"/bin/true"}, User: "no-such-user"}, false, "no-such-user"},
		{"insecure", checker.MiscSpec{Argv: []string{open}}, true, insecure},
		{"insecure, not asked", checker.MiscSpec{Argv: []string{open}}, false, ""},
		{"insecure, not root", checker.MiscSpec{Argv: []string{open}, User: "nobody"}, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.spec.Usable(tc.secure)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}
