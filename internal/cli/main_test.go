package cli_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/cli"
	"github.com/kaname-lb/kaname/internal/cli/keepalived"
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/configio"
)

// TestMainIsAFunction: the program needs nothing of the process but its Env.
func TestMainIsAFunction(t *testing.T) {
	for _, c := range []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{"no arguments at all", nil, cli.ExitOK, "Available Commands:", ""},
		{"a name only", []string{"/usr/sbin/kaname"}, cli.ExitOK, "Available Commands:", ""},
		{"the other face", []string{"/usr/sbin/ipvsadm", "--version"}, cli.ExitOK, "ipvsadm v1.31", ""},
		{"the other face, nobody there", []string{"ipvsadm", "--run-dir", t.TempDir()}, cli.ExitNotRunning, "", "no kaname runs here"},
		{"keepalived's version", []string{"/usr/sbin/keepalived", "--version"}, cli.ExitOK, "", "Keepalived v2.2.7 (kaname "},
		{"keepalived's help", []string{"keepalived", "-h"}, cli.ExitOK, "", "--signum=NAME"},
		{"keepalived's signals", []string{"keepalived", "--signum=JSON"}, cli.ExitOK, "36\n", ""},
		{"keepalived, no such option", []string{"keepalived", "-Z"}, 1, "", "Unknown option -Z\n"},
		{"keepalived, other words", []string{"keepalived", "-t", "-f", "testdata/face/good.conf", "more"}, 0, "Unexpected argument(s): more\n", ""},
		{"keepalived -t", []string{"keepalived", "-t", "-f", "testdata/face/good.conf"}, 0, "", ""},
		{"keepalived -t of a bad file", []string{"keepalived", "-t", "-f", "testdata/face/bad.conf"}, 5, "", "(testdata/face/bad.conf: Line 4) "},
		{"keepalived -t of no file", []string{"keepalived", "-t", "-f", "testdata/face/none.conf"}, 4, "", "(testdata/face/none.conf) no such file"},
		{"keepalived -t, a log that cannot be", []string{"keepalived", "-ttestdata", "-f", "testdata/face/good.conf"}, 1, "", "kaname: the log of -t: open testdata: is a directory: name a file"},
		{"keepalived -t, no such namespace", []string{"keepalived", "-s", "kaname-none", "-t", "-f", "testdata/face/good.conf"}, 0, "", "no such file or directory: make it with ip netns add kaname-none\n"},
		{"keepalived, no such namespace", []string{"keepalived", "-s", "kaname-none", "-G", "-f", "testdata/face/good.conf", "-p", "/nonexistent/k"}, 1, "", "kaname: network namespace kaname-none: no such file or directory: make it with"},
		{"a file that is not there", []string{"kaname", "check", t.TempDir() + "/no.conf"}, cli.ExitFailed, "refused, 1 error", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := cli.Main(t.Context(), env(&out, &errs), c.args)
			if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.err) || c.err == "" && errs.Len() > 0 {
				t.Errorf("status %d\nstdout: %s\nstderr: %s", code, &out, &errs)
			}
		})
	}
}

func env(out, errs io.Writer) cli.Env {
	return cli.Env{
		Stdin: strings.NewReader(""), Stdout: out, Stderr: errs,
		Getenv:   func(string) string { return "" },
		Files:    configio.OS{},
		Open:     func(string) (io.ReadCloser, error) { return nil, errors.New("no such file") },
		HostName: func() (string, error) { return "", errors.New("no name") },
		Host: keepalived.Host{
			Interface: func(name string) (bool, bool) { return name == "eth0", false },
			Program:   func(string) error { return nil },
			Secure:    func(string, config.User) error { return nil },
			User:      func(string, string) error { return nil },
		},
	}
}

// TestTestLog: -tFILE writes there, and FILE is nobody else's.
func TestTestLog(t *testing.T) {
	var out, errs bytes.Buffer
	log := t.TempDir() + "/log"
	code := cli.Main(t.Context(), env(&out, &errs), []string{"keepalived", "-t" + log, "-f", "testdata/face/bad.conf"})
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if code != 5 || errs.Len()+out.Len() > 0 || !strings.Contains(string(text), "(testdata/face/bad.conf: Line 4) ") {
		t.Errorf("status %d, stderr %q, log %q", code, &errs, text)
	}
	if st, err := os.Stat(log); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

// TestLostOutput: what could not be printed is no success.
func TestLostOutput(t *testing.T) {
	var errs bytes.Buffer
	if code := cli.Main(t.Context(), env(closed{}, &errs), []string{"kaname", "version"}); code != cli.ExitFailed || !strings.Contains(errs.String(), "pipe is closed") {
		t.Errorf("status %d, stderr %q", code, &errs)
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("pipe is closed") }
