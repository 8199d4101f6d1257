package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
)

const watchHelp = `watch listens to the sync multicast of directors (LVS or kaname) from any host of
the segment and keeps the table of sessions. It needs no privilege but to join a
group, and directors do not notice it.

  kaname watch                               a live screen (on a terminal), else a table
  kaname watch --table --for 30s             a table as ipvsadm -Lnc prints it
  kaname watch --follow --json               what happens, a JSON object a line
  kaname watch --summary --read sync.pcap    a recording, in numbers
  kaname watch state=ESTABLISHED and dst=192.168.10.1
  kaname watch --on 'state=CLOSE' --exec 'logger reset by $KANAME_SOURCE'

A filter is tests joined with and, or, not: proto, state, src, vip, dst,
director, sport, vport, dport, syncid, fwmark, version, age, idle, expire,
template, active. docs/watch.md has the grammar, the JSON, the environment of
commands and the metrics.

Exit status: 0 ended as asked; 1 a source or the output failed, or a file is
wrong; 4 --pcap-interface without CAP_NET_RAW; 64 the command line makes no sense.`

// testFlags are the tests of a filter that are flags too.
var testFlags = []string{"src", "vip", "dst", "state", "vport"}

// watchCall is one call of `kaname watch`.
type watchCall struct {
	*app
	// Where from.
	groups, ports, interfaces []string
	pcapInterface, read       string
	keyFile                   string
	syncIDs                   []uint
	maxSessions               int
	size                      int64 // of the file that is read, if known
	config, configID          string
	// What is shown.
	table, wide, follow, json, summary, screen, findings, quiet bool
	top, count                                                  int
	every, lasting                                              time.Duration
	filter                                                      string
	tests                                                       map[string]*string
	// What is done.
	rules        ruleFlags
	rulesFile    string
	execParallel int
	execTimeout  time.Duration
	listen       string

	// What becomes of it.
	live     bool
	recorded *watch.Capture
	chosen   *session.Filter
	expect   session.Expect
	x        *watch.Watch
	follower *watch.Follower
	out      io.Writer
	told     map[string]bool // findings
}

func newWatch(a *app) *cobra.Command {
	w := &watchCall{app: a, tests: map[string]*string{}, told: map[string]bool{}}
	c := &cobra.Command{
		Use:   "watch [FILTER]",
		Short: "See the sessions of directors from outside, and act on them",
		Long:  watchHelp,
		Args:  args(cobra.ArbitraryArgs),
		RunE:  func(c *cobra.Command, words []string) error { return w.play(c.Context(), words) },
	}
	w.sourceFlags(c)
	w.viewFlags(c)
	w.triggerFlags(c)
	return c
}

func (w *watchCall) sourceFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&w.groups, "group", []string{"224.0.0.81"}, "multicast `GROUP` to join, IPv4 or IPv6")
	f.StringSliceVar(&w.ports, "port", []string{"8848"}, "UDP `PORT`, or a range (8848-8851, for net.ipv4.vs.sync_ports)")
	f.StringSliceVarP(&w.interfaces, "interface", "i", nil, "`NAME` of an interface to join on (default every one that is up, can do multicast and has an address)")
	f.StringVar(&w.pcapInterface, "pcap-interface", "", "record packets of the interface `NAME` instead of joining a group; needs CAP_NET_RAW")
	f.StringVarP(&w.read, "read", "r", "", "read the capture `FILE` (pcap, pcapng; - is standard input)")
	f.StringVar(&w.keyFile, "key-file", "", "`FILE` with the sync_key: refuse datagrams without its proof of origin")
	f.UintSliceVar(&w.syncIDs, "syncid", nil, "take these `ID`s alone")
	f.IntVar(&w.maxSessions, "max-sessions", session.DefaultMaxSessions, "`N` sessions at most")
	f.StringVar(&w.config, "config", "", "keepalived.conf `FILE`: sessions to servers that it does not name become findings")
	f.StringVar(&w.configID, "config-id", "", "`ID` that @ID lines are compared with (default the host name up to the first dot)")
}

func (w *watchCall) viewFlags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&w.table, "table", false, "print the table in the layout of ipvsadm -Lnc")
	f.BoolVar(&w.wide, "wide", false, "the table with syncid, director, first and last seen")
	f.BoolVar(&w.follow, "follow", false, "print what happens, a line an event")
	f.BoolVar(&w.json, "json", false, "print JSON: an object an event with --follow, the summary with --summary, else an object a session")
	f.BoolVar(&w.summary, "summary", false, "print counts by virtual server, real server and director")
	f.IntVar(&w.top, "top", 0, "the `N` clients with the most sessions, below the summary")
	f.BoolVar(&w.screen, "screen", false, "the live screen, also with --on, --rules or --listen")
	f.DurationVar(&w.lasting, "for", 0, "end after this `TIME` (table, summary: default 5s)")
	f.DurationVar(&w.every, "every", 0, "print the table or summary again and again, this `TIME` apart")
	f.IntVar(&w.count, "count", 0, "end after `N` events, or with --every after N tables")
	f.StringVar(&w.filter, "filter", "", "`EXPR`ession that chooses sessions, as the words of the command line do")
	for _, field := range testFlags {
		w.tests[field] = f.String(field, "", "short for the test "+field+"=`VALUE`")
	}
	f.BoolVar(&w.findings, "findings", false, "tell what is found wrong as soon as it is, not only at the end")
	f.BoolVarP(&w.quiet, "quiet", "q", false, "no first and last line on standard error")
}

func (w *watchCall) triggerFlags(c *cobra.Command) {
	f := c.Flags()
	f.Var(ruleFlag{&w.rules, "on"}, "on", "a trigger: when a session begins to match `EXPR`, do the --exec and --webhook that follow; may be repeated")
	f.Var(ruleFlag{&w.rules, "exec"}, "exec", "`COMMAND` for sh, the session in its environment and as JSON on its standard input")
	f.Var(ruleFlag{&w.rules, "webhook"}, "webhook", "`URL` that the session is sent to as JSON; before any --on: everything that happens")
	f.StringVar(&w.rulesFile, "rules", "", "`FILE` of triggers, with thresholds")
	f.IntVar(&w.execParallel, "exec-parallel", 4, "`N` commands at a time, and as many webhooks")
	f.DurationVar(&w.execTimeout, "exec-timeout", 10*time.Second, "`TIME` after which a command and all it started is ended")
	f.StringVar(&w.listen, "listen", "", "serve /metrics, /sessions and /summary by HTTP on this `ADDRESS:PORT`")
}

// play carries one call out.
func (w *watchCall) play(ctx context.Context, words []string) error {
	if err := w.check(words); err != nil {
		return err
	}
	spec, err := w.spec()
	if err != nil {
		return err
	}
	return w.show(ctx, spec)
}
