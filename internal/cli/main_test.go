package cli_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/cli"
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
