package lint

import (
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// TestAllowed: how long commands of real files give themselves.
func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		command, how string
		longest      time.Duration
	}{
		{"/usr/bin/curl -sf -m 5 http://127.0.0.1/", "curl -m 5", 5 * time.Second},
		{"/usr/bin/curl --max-time=2.5 http://127.0.0.1/", "curl --max-time 2.5", 2500 * time.Millisecond},
		{"/usr/bin/curl --connect-timeout 1 -m 3 http://127.0.0.1/", "curl -m 3", 3 * time.Second},
		{"/usr/bin/timeout 10s /usr/local/bin/check", "timeout 10s", 10 * time.Second},
		{"/bin/sh -c 'sleep 3; pidof nginx'", "", 0}, // "3;" is for a shell to read
		{"/bin/sh -c 'sleep 3 && pidof nginx'", "sleep 3", 3 * time.Second},
		{"/bin/nc -z -w 4 127.0.0.1 80", "nc -w 4", 4 * time.Second},
		{"/usr/bin/curl -sf http://127.0.0.1/", "", 0},
		{"/usr/local/bin/check -m 30", "", 0}, // whose -m that is nobody knows
		{"/usr/bin/pidof timeout", "", 0},
		{"/usr/bin/killall -0 haproxy", "", 0},
	} {
		argv, err := syntax.SplitCommand(tt.command)
		if err != nil {
			t.Fatal(err)
		}
		if how, longest := allowed(commandWords(argv)); how != tt.how || longest != tt.longest {
			t.Errorf("%s: got %q %s, want %q %s", tt.command, how, longest, tt.how, tt.longest)
		}
	}
}

// TestLastCommand: what makes a shell succeed whatever was found.
func TestLastCommand(t *testing.T) {
	for shell, want := range map[string]string{
		"pidof nginx && echo up || echo down":            "echo down",
		"curl -sf http://127.0.0.1/ > /dev/null; exit 0": "; exit 0",
		"pidof nginx || true":                            "|| true",
		"pidof nginx; echo $?":                           "echo $?",
		"pidof nginx || exit 1":                          "",
		"echo ruok | nc 127.0.0.1 2181 | grep imok":      "",
		"pidof nginx || { echo down; exit 1; }":          "",
		"test -e /run/ready; echo x | grep -q y":         "",
		"test -e /run/drain && exit 1; exit 0":           "",
		"set -e; pidof nginx; exit 0":                    "",
		"pidof nginx || exit $?; true":                   "",
		"pidof nginx":                                    "",
	} {
		if got := lastCommand(shell); got != want {
			t.Errorf("%s: got %q, want %q", shell, got, want)
		}
	}
}

func TestGuessable(t *testing.T) {
	for s, want := range map[string]bool{
		"1111": true, "1234": true, "12345": true, "87654321": true, "secret": true, "PASSWORD": true, "k@l!ve1": true, "42": true, "ab": true, "2024": true,
		"c0rrect": false, "84213097": false, "x7Gq2": false, "h4x0r": false,
	} {
		if got := guessable(s); got != want {
			t.Errorf("%s: got %t", s, got)
		}
	}
}
