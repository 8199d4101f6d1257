package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/snapshot"
)

func newStatus(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the director on one screen",
		Long: "status shows lasting problems with their causes and fixes, the VRRP instances and\n" +
			"groups, the virtual servers with their real servers, how traffic is carried, and which\n" +
			"connections other directors know.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			snap, err := client.Status(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(a.env.Stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(snap)
			}
			return writeStatus(a.env.Stdout, snap)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the whole snapshot as JSON")
	return c
}

// writeStatus prints a snapshot. Times are shown as of the snapshot's own.
func writeStatus(w io.Writer, s *snapshot.Snapshot) error {
	out := bufio.NewWriter(w)
	v := statusView{out: out, s: s}
	v.head()
	v.conditions()
	v.instances()
	v.groups()
	v.scripts()
	v.services()
	v.dataplane()
	v.sync()
	return out.Flush()
}

type statusView struct {
	out *bufio.Writer
	s   *snapshot.Snapshot
}

// since says how long ago t was, "-" when it is not known.
func (v statusView) since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return lasted(v.s.Time.Sub(t))
}

func (v statusView) head() {
	r := v.s.LastReload
	fmt.Fprintf(v.out, "kaname %s, pid %d, up %s\n", v.s.Version, v.s.PID, v.since(v.s.Started))
	fmt.Fprintf(v.out, "configuration %s, read %s ago%s\n", printable(v.s.ConfigFile), v.since(r.Time), count(r.Warnings, ", %d warning"))
	if !r.OK {
		fmt.Fprintf(v.out, "last reload refused, the configuration before it goes on: %s\n", printable(r.Error))
	}
}

// count formats n with a text that ends in its unit, nothing when n is 0.
func count(n int, format string) string {
	if n == 0 {
		return ""
	}
	s := fmt.Sprintf(format, n)
	if n != 1 {
		s += "s"
	}
	return s
}

func (v statusView) title(name string) { fmt.Fprintf(v.out, "\n%s\n", name) }

func (v statusView) conditions() {
	if len(v.s.Conditions) == 0 {
		return
	}
	v.title("Conditions")
	for _, c := range v.s.Conditions {
		fmt.Fprintf(v.out, "  %s\n", printable(strings.TrimSpace(c.Code+" "+c.Object)+", for "+v.since(c.Since)))
		t := table{indent: "    "}
		t.row("what", c.What)
		if c.Cause != "" {
			t.row("cause", c.Cause)
		}
		if c.Fix != "" {
			t.row("fix", c.Fix)
		}
		t.write(v.out)
	}
}

func (v statusView) instances() {
	if len(v.s.Instances) == 0 {
		return
	}
	v.title("VRRP instances")
	t := table{indent: "  "}
	t.row("INSTANCE", "STATE", "FOR", "INTERFACE", "VRID", "PRIORITY", "ADVERTS", "MASTER", "ADDRESSES")
	for _, i := range v.s.Instances {
		prio := strconv.Itoa(i.EffectivePriority)
		if i.Priority != i.EffectivePriority {
			prio += " (of " + strconv.Itoa(i.Priority) + ")"
		}
		t.row(i.Name, i.State, v.since(i.Since), i.Interface, strconv.Itoa(i.VRID), prio,
			fmt.Sprintf("%d sent, %d heard", i.AdvertsSent, i.AdvertsReceived), master(i), addresses(i))
		if i.Reason != "" {
			t.line(i.Reason)
		}
		if ignored := counts(i.Ignored); ignored != "" {
			t.line("adverts ignored: " + ignored)
		}
	}
	t.write(v.out)
}

func master(i snapshot.Instance) string {
	switch {
	case i.State == "MASTER":
		return "this host"
	case i.Master.IsValid():
		return i.Master.String()
	}
	return "-"
}

// addresses shortens a long list: status is one screen.
func addresses(i snapshot.Instance) string {
	const shown = 3
	var all []string
	for _, p := range i.Addresses[:min(len(i.Addresses), shown)] {
		all = append(all, p.String())
	}
	if more := len(i.Addresses) - shown; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// counts lists the counters that are not 0, sorted by name.
func counts(m map[string]uint64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] != 0 {
			all = append(all, name+" "+thousands(m[name]))
		}
	}
	return strings.Join(all, ", ")
}

func (v statusView) groups() {
	if len(v.s.Groups) == 0 {
		return
	}
	v.title("Sync groups")
	t := table{indent: "  "}
	t.row("GROUP", "STATE", "FOR", "MEMBERS")
	for _, g := range v.s.Groups {
		t.row(g.Name, g.State, v.since(g.Since), strings.Join(g.Members, ", "))
	}
	t.write(v.out)
}

func (v statusView) scripts() {
	if len(v.s.Scripts) == 0 {
		return
	}
	v.title("Scripts")
	t := table{indent: "  "}
	t.row("SCRIPT", "STATE", "FOR", "RESULT")
	for _, s := range v.s.Scripts {
		state := "down"
		switch {
		case !s.Known:
			state = "no result yet"
		case s.Up:
			state = "up"
		}
		t.row(s.Name, state, v.since(s.Since), s.Detail)
	}
	t.write(v.out)
}

func (v statusView) services() {
	if len(v.s.Services) == 0 {
		return
	}
	v.title("Virtual servers")
	t := table{indent: "  "}
	for i, vs := range v.s.Services {
		if i > 0 {
			t.row("")
		}
		t.row(serviceLine(vs))
		t.row("  REAL SERVER", "STATE", "WEIGHT", "FOR", "LAST CHECK")
		for _, rs := range vs.Servers {
			state := "down"
			if rs.Up {
				state = "up"
			}
			reason := rs.Reason
			if reason == "" && rs.Checks == 0 {
				reason = "no check has run"
			}
			t.row("  "+rs.Addr.String(), state, weight(rs), v.since(rs.Since), reason)
		}
	}
	t.write(v.out)
}

// serviceLine is "192.0.2.1 80: TCP 192.0.2.1:80, wlc, DR, quorum 1 lost".
func serviceLine(vs snapshot.VirtualServer) string {
	var keys []string
	for _, k := range vs.Keys {
		keys = append(keys, k.String())
	}
	const shown = 3
	if more := len(keys) - shown; more > 0 {
		keys = append(keys[:shown], fmt.Sprintf("and %d more", more))
	}
	line := vs.Name + ": " + strings.Join(append(keys, string(vs.Scheduler), vs.Method), ", ")
	switch {
	case vs.QuorumUp:
		line += fmt.Sprintf(", quorum %d", vs.Quorum)
	default:
		line += fmt.Sprintf(", quorum of %d LOST", vs.Quorum)
	}
	switch {
	case vs.SorryInUse:
		line += ", sorry server " + vs.SorryServer + " IN USE"
	case vs.SorryServer != "":
		line += ", sorry server " + vs.SorryServer
	}
	return line
}

// weight is what the dataplane has, with the configured one where that differs.
func weight(rs snapshot.RealServer) string {
	switch {
	case !rs.InTable:
		return fmt.Sprintf("out (of %d)", rs.ConfiguredWeight)
	case rs.Weight != rs.ConfiguredWeight:
		return fmt.Sprintf("%d (of %d)", rs.Weight, rs.ConfiguredWeight)
	}
	return strconv.Itoa(rs.Weight)
}

func (v statusView) dataplane() {
	d := v.s.Dataplane
	if d.Backend == "" {
		return
	}
	v.title("Dataplane")
	how := ""
	if d.Adopted {
		how = ", taken over from the process before"
	}
	fmt.Fprintf(v.out, "  backend %s%s\n", d.Backend, how)
	t := table{indent: "  "}
	for _, i := range d.Interfaces {
		t.row("interface "+i.Name, i.Mode, i.Why)
	}
	t.write(v.out)
	c := d.Connections
	fmt.Fprintf(v.out, "  connections %d of %d", c.Entries, c.Capacity)
	if c.Capacity > 0 {
		fmt.Fprintf(v.out, " (%.1f %%)", 100*float64(c.Entries)/float64(c.Capacity))
	}
	for _, n := range []struct {
		count uint64
		what  string
	}{
		{c.Stash, "in the stash"},
		{c.Reclaimed, "half-open given up for new ones"},
		{c.Stateless, "balanced without an entry"},
	} {
		if n.count > 0 {
			fmt.Fprintf(v.out, ", %d %s", n.count, n.what)
		}
	}
	fmt.Fprintln(v.out)
	if reasons := counts(d.Reasons); reasons != "" {
		fmt.Fprintf(v.out, "  packets not balanced: %s\n", printable(reasons))
	}
}
