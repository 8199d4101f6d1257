package cli

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// defaultFor is how long a live table is gathered unless told otherwise: a
// quiet kernel director announces 2 to 3 s late.
const defaultFor = 5 * time.Second

// check reads the command line as a whole.
func (w *watchCall) check(words []string) error {
	w.live = w.read == ""
	w.table = w.table || w.wide
	views := 0
	for _, on := range []bool{w.table, w.follow, w.summary, w.screen, w.json && !w.follow && !w.summary} {
		if on {
			views++
		}
	}
	switch {
	case views > 1:
		return usageError("--table, --follow, --summary, --json and --screen are different views: choose one (--json goes with --follow and --summary)")
	case !w.live && (w.lasting != 0 || w.every != 0):
		return usageError("--for and --every have no meaning with --read, which ends with the capture")
	case !w.live && w.pcapInterface != "":
		return usageError("--read and --pcap-interface: choose one")
	case w.every != 0 && (w.follow || w.screen):
		return usageError("--every repeats a table or a summary, and nothing else")
	case w.count < 0 || w.top < 0 || w.every < 0 || w.lasting < 0 || w.execParallel < 1 || w.execTimeout <= 0 || w.maxSessions < 1:
		return usageError("--count, --top, --every, --for, --exec-parallel, --exec-timeout, --max-sessions: numbers and times are positive")
	}
	w.defaultView(views)
	return w.parseFilter(words)
}

// defaultView chooses what is shown when nothing was asked for: to act or to
// serve is enough by itself.
func (w *watchCall) defaultView(views int) {
	if w.top > 0 && views == 0 {
		w.summary, views = true, 1
	}
	switch {
	case views > 0 || w.rules.any() || w.rulesFile != "" || w.listen != "":
	case w.live && isTerminal(w.env.Stdout) && isTerminal(w.env.Stdin):
		w.screen = true
	default:
		w.table = true
	}
	once := w.table || w.summary || w.json && !w.follow
	if w.live && once && w.lasting == 0 && w.every == 0 {
		w.lasting = defaultFor
	}
}

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// parseFilter joins the tests that stand on the command line. Each part is
// parsed by itself first, so that a mistake is named in the words it was made in.
func (w *watchCall) parseFilter(words []string) error {
	parts := []string{strings.Join(words, " "), w.filter}
	for _, field := range testFlags {
		if v := *w.tests[field]; v != "" {
			parts = append(parts, field+"="+v)
		}
	}
	parts = slices.DeleteFunc(parts, func(p string) bool { return strings.TrimSpace(p) == "" })
	for _, p := range parts {
		if _, err := session.ParseFilter(p); err != nil {
			return usageError("%q: %w", p, err)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	text := parts[0]
	if len(parts) > 1 {
		text = "(" + strings.Join(parts, ") and (") + ")"
	}
	var err error
	w.chosen, err = session.ParseFilter(text)
	return err
}

// spec prepares everything that can be wrong.
func (w *watchCall) spec() (watch.Spec, error) {
	s := watch.Spec{
		Table:    session.Options{MaxSessions: w.maxSessions, Seed: rand.Uint64()},
		Parallel: w.execParallel, Webhook: watch.NewWebhook(), Command: watch.Command{Timeout: w.execTimeout},
		Note: w.note,
	}
	if file, ok := w.env.Stderr.(*os.File); ok && !w.screen {
		s.Command.Output = file
	}
	for _, id := range w.syncIDs {
		if id > 255 {
			return s, usageError("--syncid %d: want 0 to 255", id)
		}
		s.Table.SyncIDs = append(s.Table.SyncIDs, uint8(id))
	}
	if w.keyFile != "" {
		text, err := w.readFile(w.keyFile)
		if err != nil {
			return s, err
		}
		if s.Table.Key, err = connsync.NewKey(strings.TrimSpace(text)); err != nil {
			return s, fmt.Errorf("%s: %w", w.keyFile, err)
		}
	}
	var err error
	if s.Rules, err = w.allRules(); err != nil {
		return s, err
	}
	if err := w.loadConfig(); err != nil {
		return s, err
	}
	s.Sources, err = w.sources()
	if w.size > 0 {
		// Half the messages that fit the file: each session comes about twice.
		s.Table.Expected, s.Table.Memory = int(w.size/72), new(watch.Arena).Take
	}
	return s, err
}

func (w *watchCall) readFile(name string) (string, error) {
	f, err := w.env.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return string(b), nil
}

// allRules are those of the command line and those of the file.
func (w *watchCall) allRules() ([]session.Rule, error) {
	rules, err := w.rules.done()
	if err != nil {
		return nil, err
	}
	if w.rulesFile != "" {
		text, err := w.readFile(w.rulesFile)
		if err != nil {
			return nil, err
		}
		more, fs := session.ParseRules(w.rulesFile, text)
		writeFindings(w.env.Stderr, fs)
		if finding.Worst(fs) == finding.Error {
			return nil, &exitError{code: ExitFailed}
		}
		rules = append(rules, more...)
	}
	for _, r := range rules {
		if r.Webhook != "" {
			if err := watch.CheckURL(r.Webhook); err != nil {
				return nil, usageError("trigger %s: %w", r.Name, err)
			}
		}
	}
	return rules, nil
}

// loadConfig learns which servers there are. A file with errors still names
// them.
func (w *watchCall) loadConfig() error {
	if w.config == "" {
		return nil
	}
	id := w.configID
	if id == "" {
		id = w.app.configID()
	}
	cfg, _, fs := config.Load(w.env.Files, w.config, w.loadOptions(id))
	if len(cfg.VirtualServers) == 0 {
		writeFindings(w.env.Stderr, fs)
		return fmt.Errorf("%s: no virtual_server in it: there is nothing to compare sessions with", w.config)
	}
	if finding.Worst(fs) == finding.Error {
		w.note(fmt.Sprintf("%s has errors (kaname check %s): what it names is used all the same", w.config, w.config))
	}
	for _, vs := range cfg.VirtualServers {
		if vs.FWMark != 0 {
			w.expect.Services = append(w.expect.Services, lvs.ServiceKey{FWMark: vs.FWMark})
		}
		for _, e := range vs.Endpoints {
			w.expect.Services = append(w.expect.Services, serviceOf(vs, e))
		}
		for _, rs := range vs.RealServers {
			w.expect.Servers = append(w.expect.Servers, netip.AddrPortFrom(rs.Addr, rs.Port))
		}
		if vs.Sorry != nil {
			w.expect.Servers = append(w.expect.Servers, netip.AddrPortFrom(vs.Sorry.Addr, vs.Sorry.Port))
		}
	}
	return nil
}

// serviceOf is what the sessions of an endpoint are of.
func serviceOf(vs *config.VirtualServer, e config.Endpoint) lvs.ServiceKey {
	if !e.Addr.IsValid() {
		return lvs.ServiceKey{FWMark: e.FWMark}
	}
	return lvs.ServiceKey{Protocol: vs.Protocol, Addr: e.Addr, Port: e.Port}
}

// sources opens what is listened to.
func (w *watchCall) sources() ([]watch.Source, error) {
	m := watch.Multicast{Interfaces: w.interfaces}
	for _, text := range w.groups {
		g, err := netip.ParseAddr(text)
		if err != nil || !g.IsMulticast() {
			return nil, usageError("--group %q: want a multicast address, such as 224.0.0.81 or ff02::51", text)
		}
		m.Groups = append(m.Groups, g)
	}
	for _, text := range w.ports {
		ports, err := watch.ParsePorts(text)
		if err != nil {
			return nil, usageError("--port: %w", err)
		}
		m.Ports = append(m.Ports, ports...)
	}
	slices.Sort(m.Ports)
	m.Ports = slices.Compact(m.Ports)
	var s watch.Source
	var err error
	switch {
	case !w.live:
		s, err = w.capture(m.Ports)
	case w.pcapInterface != "":
		s, err = watch.OpenTap(w.pcapInterface, m.Ports)
		if errors.Is(err, unix.EPERM) {
			err = &exitError{ExitNoPermission, err}
		}
	default:
		var l *watch.Listener
		if l, err = watch.Listen(m); err == nil {
			s, w.expect.MTU = l, l.MTU()
		}
	}
	if err != nil {
		return nil, err
	}
	w.expect.Source = s.String()
	if w.live {
		w.expect.Listening = time.Now()
	}
	return []watch.Source{s}, nil
}

func (w *watchCall) capture(ports []uint16) (watch.Source, error) {
	if w.read == "-" {
		w.recorded = watch.NewCapture("standard input", w.env.Stdin, ports)
		return w.recorded, nil
	}
	f, err := w.env.Open(w.read)
	if err != nil {
		return nil, err
	}
	c := watch.NewCapture(w.read, f, ports)
	if file, ok := f.(*os.File); ok {
		if st, err := file.Stat(); err == nil && st.Mode().IsRegular() {
			w.size = st.Size()
		}
	}
	if w.size > 0 && isTerminal(w.env.Stderr) && !w.screen && !w.quiet {
		c.Progress = w.progress(w.size)
	}
	w.recorded = c
	return c, nil
}

// ruleFlags gathers --on, --exec and --webhook in the order in which they stand.
type ruleFlags struct {
	rules []session.Rule
	open  bool // the last rule came from --on
}

func (r *ruleFlags) any() bool { return len(r.rules) > 0 }

// set takes one of the flags.
func (r *ruleFlags) set(flag, text string) error {
	switch flag {
	case "on":
		f, err := session.ParseFilter(text)
		if err == nil {
			err = f.Timeless()
		}
		if err != nil {
			return err
		}
		r.rules, r.open = append(r.rules, session.Rule{Name: fmt.Sprintf("on-%d", len(r.rules)+1), When: f}), true
		return nil
	case "exec":
		if !r.open {
			return errors.New("there is no --on before it")
		}
		return once(&r.rules[len(r.rules)-1].Exec, text)
	}
	if !r.open {
		r.rules = append(r.rules, session.Rule{Name: fmt.Sprintf("webhook-%d", len(r.rules)+1), On: session.AllKinds, Webhook: text})
		return nil
	}
	return once(&r.rules[len(r.rules)-1].Webhook, text)
}

func once(to *string, text string) error {
	if *to != "" {
		return errors.New("the --on before it has one already: repeat the --on for another")
	}
	*to = text
	return nil
}

// done returns the rules, if each has something to do.
func (r *ruleFlags) done() ([]session.Rule, error) {
	for _, x := range r.rules {
		if x.Exec == "" && x.Webhook == "" {
			return nil, usageError("--on %q: nothing to do: follow it with --exec or --webhook", x.When)
		}
	}
	return slices.Clone(r.rules), nil
}

// ruleFlag is one of the flags (pflag.Value).
type ruleFlag struct {
	rules *ruleFlags
	name  string
}

func (f ruleFlag) Set(text string) error { return f.rules.set(f.name, text) }
func (f ruleFlag) String() string        { return "" }
func (f ruleFlag) Type() string          { return f.name }
