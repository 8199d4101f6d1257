package lint

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

var runRules = []rule{
	{"command-outlasts-timeout", finding.Warning, commandOutlastsTimeout},
	{"one-failure-decides", finding.Note, oneFailureDecides},
	{"verdict-not-in-status", finding.Warning, verdictNotInStatus},
}

// limit is how long a run of a vrrp_script may last.
func limit(s *config.Script) time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return s.Interval
}

// options are those with which programs bound their own running time in seconds.
var options = map[string][]string{
	"curl": {"-m", "--max-time", "--connect-timeout"},
	"wget": {"-T", "--timeout"},
	"nc":   {"-w"}, "ncat": {"-w"}, "netcat": {"-w"},
	"ping": {"-w"}, "ping6": {"-w"},
}

// commandOutlastsTimeout: the command gives itself more time than the script has.
func commandOutlastsTimeout(c *checker) {
	for _, s := range c.cfg.Scripts {
		how, d := allowed(commandWords(s.Command.Argv))
		if d <= limit(s) {
			continue
		}
		why, fix := "timeout", fmt.Sprintf("timeout %g and an interval that is not shorter", d.Seconds())
		if s.Timeout == 0 {
			why = "interval, for want of a timeout"
		}
		c.reportFor(s.Command.Where, fmt.Sprintf("vrrp_script %s: %s allows %s, but the run is killed after %s (%s) and counts as failed", s.Name, how, d, limit(s), why),
			fmt.Sprintf("vrrp_script %s at %s", s.Name, s.Where), fix)
	}
}

// commandWords are the words of a command, those of a shell's -c too.
func commandWords(argv []string) []string {
	if shell, ok := shellScript(argv); ok {
		return strings.Fields(shell)
	}
	return argv
}

// shellScript returns what a command gives a shell to read.
func shellScript(argv []string) (string, bool) {
	if len(argv) >= 3 && slices.Contains(shells[:6], path.Base(argv[0])) && argv[1] == "-c" {
		return argv[2], true
	}
	return "", false
}

// allowed returns the longest time that a program in words allows itself, and
// how it says so.
func allowed(words []string) (how string, longest time.Duration) {
	program := ""
	for i, w := range words {
		base := path.Base(w)
		alone := base == "timeout" || base == "sleep" // their time is the next word
		if alone || options[base] != nil {
			program = base
		}
		name, value, joined := strings.Cut(w, "=")
		if !joined && i+1 < len(words) {
			value = words[i+1]
		}
		if !alone && !slices.Contains(options[program], name) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSuffix(value, "s"), 64)
		d := time.Duration(v * float64(time.Second))
		if err != nil || v > 86400 || d <= longest {
			continue
		}
		how, longest = program+" "+name+" "+value, d
		if alone {
			how = program + " " + value
		}
	}
	return how, longest
}

// oneFailureDecides: a single slow run takes the addresses away.
func oneFailureDecides(c *checker) {
	for _, s := range c.cfg.Scripts {
		if s.Fall == 1 && limit(s) <= time.Second && !s.Reverse {
			c.reportFor(s.Where, fmt.Sprintf("vrrp_script %s: one run that takes longer than %s counts as a failure, as can happen on any host under load", s.Name, limit(s)),
				fmt.Sprintf("interval %g, timeout %g, fall 1", s.Interval.Seconds(), limit(s).Seconds()), "fall 2 or more, or a longer interval")
		}
	}
}

// verdictNotInStatus: only the exit status counts, and this one is always 0.
func verdictNotInStatus(c *checker) {
	for _, cmd := range c.commands() {
		if cmd.keyword != "script" && cmd.keyword != "misc_path" {
			continue
		}
		shell, ok := shellScript(cmd.Argv)
		if !ok {
			continue
		}
		if last := lastCommand(shell); last != "" {
			c.report(cmd.Where, fmt.Sprintf("%s: the command always succeeds, since %q is what decides its exit status at last; what it prints is not looked at", cmd.keyword, last), "end with the test itself, whose status is 0 or not")
		}
	}
}

// otherStatus is what can end a shell before its last command.
var otherStatus = regexp.MustCompile(`\b(exit|return)\s+[^0\s]|\bset\s+-\w*e|\bexec\b|\bfalse\b`)

// lastCommand returns the end of a shell's text when that always succeeds.
func lastCommand(shell string) string {
	shell = strings.TrimSpace(shell)
	if otherStatus.MatchString(shell) {
		return ""
	}
	for _, end := range []string{"|| true", "|| :", "|| exit 0", "; exit 0", "; true", "; :"} {
		if strings.HasSuffix(shell, end) {
			return end
		}
	}
	i := max(strings.LastIndex(shell, "||"), strings.LastIndex(shell, ";"))
	if i < 0 {
		return ""
	}
	last := strings.TrimLeft(shell[i:], "|; ")
	if !strings.HasPrefix(last, "echo ") || strings.ContainsAny(last, "|&") {
		return ""
	}
	return last
}
