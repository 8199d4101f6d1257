package keepalived

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is what is asked for.
type Kind uint8

// The kinds of requests.
const (
	Run     Kind = iota // be a director
	Test                // -t: read the configuration, say what is wrong, exit
	Version             // -v
	Help                // -h
	SigNum              // --signum
	Refused             // Messages say why; exit status 1
)

// Options are keepalived's, in the order of its help, then ours.
type Options struct {
	File               string // -f; "/etc/keepalived/keepalived.conf"
	VRRP, Check, NoBFD bool   // -P, -C, -B: run only these
	All                bool
	LogConsole         bool   // -l
	LogDetail          bool   // -D
	Facility           string // -S: "daemon" (default), "user", "local0" … "local7"
	NoSyslog           bool   // -G
	Umask              int    // -u; -1: not given
	ReleaseVIPs        bool   // -X
	KeepVRRP, KeepIPVS bool   // -V, -I
	NoRespawn          bool   // -R
	DontFork           bool   // -n
	DumpConf           bool   // -d
	PID                string // -p; "" is the default, as below
	VRRPPID            string // -r
	CheckersPID        string // -c
	BFDPID             string // -b
	AddressMonitoring  bool   // -a
	SNMP               bool   // -x
	AgentSocket        string // -A
	Namespace          string // -s
	CoreDump           bool   // -m
	CorePattern        string // -M
	AllConfig          bool   // -e
	ConfigID           string // -i
	TestLog            string // -tFILE; "" is standard error

	Instance, RunDir, PinDir string // as `kaname run` has them
	ShowSecrets              bool   // passwords in clear in dumps
}

// Request is a parsed command line.
type Request struct {
	Options
	Kind Kind
	// Number is the answer to --signum.
	Number int
	// Messages go to standard error first, whatever is asked for.
	Messages []string
	// Extra are words that are no options; they are told and ignored.
	Extra []string

	bad bool // an option was wrong: refuse at the end
}

// DefaultFile is the configuration without -f.
const DefaultFile = "/etc/keepalived/keepalived.conf"

// signals are what --signum knows: glibc's numbers (SIGRTMIN is 34 there).
var signals = map[string]int{
	"STOP": 15, "RELOAD": 1, "DATA": 10, "STATS": 12, "STATS_CLEAR": 63, "JSON": 36,
}

func (r *Request) say(format string, a ...any) {
	r.Messages = append(r.Messages, fmt.Sprintf(format, a...))
}

func (r *Request) test(file string) {
	r.Kind, r.TestLog = Test, file
}

func (r *Request) signum(name string) {
	n, known := signals[name]
	if !known {
		r.say("Unknown sigfunc %s", name)
		r.Kind = Refused
		return
	}
	r.Kind, r.Number = SigNum, n
}

// facility takes what -S names. One that is none is told and not used.
func (r *Request) facility(name string) {
	n := strings.TrimPrefix(name, "local")
	switch {
	case name == "user" || name == "daemon":
		r.Facility = name
	case len(n) == 1 && n[0] >= '0' && n[0] <= '7':
		r.Facility = "local" + n
	default:
		r.say("Invalid log facility '%s'", name)
	}
}

func (r *Request) umask(s string) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil || n > 0o777 {
		r.say("Invalid --umask option %s", s)
		return
	}
	r.Umask = int(n)
}

func (r *Request) logFile(string) {
	r.say("-g requires configure option --enable-log-file: log to syslog, or to standard error with -l")
	r.bad = true
}

func (r *Request) genhash(string) {
	r.say("-T (genhash) is not here: the digest of a page is what `curl -s URL | md5sum` prints")
	r.Kind = Refused
}
