// Command requests prints HTTP requests per second through a lab of network
// namespaces, with and without a director in the path: each forwarding method
// beside the same hosts without it. Clients, servers and director share this
// machine's processors, so read ratios of one run, not absolute figures.
//
// It needs root and builds the kaname binary itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"text/tabwriter"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

const (
	vip    = "192.0.2.100"
	natVIP = "192.0.2.101"
)

// Three hosts on the segment "front"; the director leads on to "back".
func topology() lab.Topology {
	return lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "front"}, {Name: "back"}},
		Hosts: []lab.HostSpec{
			{
				Name:   "client",
				Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "front", Addrs: []string{"192.0.2.10/24"}}},
				Routes: []lab.RouteSpec{{To: "198.51.100.0/24", Via: "192.0.2.1"}},
			},
			lab.HostSpec{
				Name: "director",
				Ifaces: []lab.IfaceSpec{
					{Name: "eth0", Segment: "front", Addrs: []string{"192.0.2.1/24", vip + "/24", natVIP + "/24"}},
					{Name: "eth1", Segment: "back", Addrs: []string{"198.51.100.1/24"}},
				},
			}.AsRouter(),
			lab.HostSpec{
				Name:   "direct",
				Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "front", Addrs: []string{"192.0.2.20/24"}}},
			}.AsDRServer(vip),
			lab.HostSpec{
				Name:   "behind",
				Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "back", Addrs: []string{"198.51.100.20/24"}}},
			}.AsNATServer("198.51.100.1"),
		},
	}
}

const config = `
virtual_server ` + vip + ` 80 {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 192.0.2.20 80 {
    }
}
virtual_server ` + natVIP + ` 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 198.51.100.20 80 {
    }
}
`

func main() {
	length := flag.Duration("t", 6*time.Second, "`TIME` of each measurement, in three rounds")
	clients := flag.Int("c", 16, "clients at a time")
	flag.Parse()
	if err := run(*length, *clients); err != nil {
		fmt.Fprintln(os.Stderr, "requests:", err)
		os.Exit(1)
	}
}

func run(length time.Duration, clients int) (err error) {
	ctx := context.Background()
	l, err := lab.Build(topology(), lab.Options{Name: "bench"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	defer lab.CloseOnSignal()()
	binary, err := lab.BuildKaname(l.Dir())
	if err != nil {
		return err
	}
	for _, s := range []struct{ host, port string }{{"direct", "80"}, {"behind", "80"}, {"behind", routedPort}} {
		if _, err := l.Host(s.host).Serve(lab.ServerSpec{Listen: "0.0.0.0:" + s.port}); err != nil {
			return err
		}
	}
	d, err := l.Host("director").StartDirector(ctx, binary, config)
	if err != nil {
		return err
	}
	if err := warm(ctx, l); err != nil {
		return err
	}
	if err := measure(ctx, l, length, clients); err != nil {
		return err
	}
	status, err := d.Tool(ctx, "ipvs", "-Ln", "--stats")
	fmt.Print("\n", status)
	return err
}

// warm asks once everywhere, so that neighbours are known.
func warm(ctx context.Context, l *lab.Lab) error {
	for _, p := range paths() {
		if err := ask(ctx, l, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func ask(ctx context.Context, l *lab.Lab, p path) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		once, stop := context.WithTimeout(ctx, time.Second)
		_, err := l.Host("client").Get(once, p.target)
		stop()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

type path struct {
	name   string
	target netip.AddrPort
}

// routedPort is another than the balanced one: as under LVS, a client that
// reuses the port of a NAT connection towards the same real server and port
// would have the reply translated.
const routedPort = "81"

func paths() []path {
	return []path{
		{"straight to the server", netip.MustParseAddrPort("192.0.2.20:80")},
		{"DR through kaname", netip.MustParseAddrPort(vip + ":80")},
		{"routed by the kernel", netip.MustParseAddrPort("198.51.100.20:" + routedPort)},
		{"NAT through kaname", netip.MustParseAddrPort(natVIP + ":80")},
	}
}

// rounds is how often each path is measured, in turn with the others: the best
// counts, since whatever else the machine does only ever slows it down.
const rounds = 3

// figures of one path: requests per second with a connection each, and on
// connections that are kept.
type figures struct {
	each, kept float64
	failed     int
}

func measure(ctx context.Context, l *lab.Lab, length time.Duration, clients int) error {
	all := paths()
	best := make([]figures, len(all))
	for round := range rounds {
		for i, p := range all {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, p.name)
			load := lab.Load{Target: p.target, Clients: clients, Duration: length / rounds}
			each := l.Host("client").Load(ctx, load)
			load.KeepAlive = true
			kept := l.Host("client").Load(ctx, load)
			best[i].each = max(best[i].each, each.PerSecond())
			best[i].kept = max(best[i].kept, kept.PerSecond())
			best[i].failed += each.Failed() + kept.Failed()
			for _, e := range append(each.Errors, kept.Errors...) {
				fmt.Fprintf(os.Stderr, "  %s: %s at %s: %v\n", e.Outcome, e.Local, e.At.Round(time.Millisecond), e.Err)
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "path\tnew connections/s\tkeep-alive requests/s\tfailed\t")
	for i, p := range all {
		with := ""
		if i%2 == 1 {
			with = fmt.Sprintf("  %.2f x, %.2f x of the line above", best[i].each/best[i-1].each, best[i].kept/best[i-1].kept)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%d\t%s\n", p.name, best[i].each, best[i].kept, best[i].failed, with)
	}
	return w.Flush()
}
