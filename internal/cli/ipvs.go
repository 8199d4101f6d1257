package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/cli/ipvsadm"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

const ipvsHelp = `Lists the director's table in the layout of ipvsadm.

  kaname ipvs -L|-l [virtual-service] [options]
  kaname ipvs -S [-n]

virtual-service:
  -t, --tcp-service ADDRESS[:PORT]     -u, --udp-service ADDRESS[:PORT]
  --sctp-service ADDRESS[:PORT]        -f, --fwmark-service MARK [-6]

options:
  -n, --numeric        addresses and ports as numbers
  -c, --connection     the connection entries
  --stats, --rate      counters; rates per second    --exact  no K, M, G, T
  --thresholds, --persistent-conn, --tun-info        other columns
  --timeout, --daemon  timeouts; sync daemons
  --nosort             in the director's order

Exit status: 0; 1 no such service; 2 or 255 refused command line (as ipvsadm);
3 no director runs here; 4 no permission.
`

// ipvsVersion is what `ipvsadm --version` says: scripts look for it.
const ipvsVersion = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n"

func newIPVS(a *app) *cobra.Command {
	return &cobra.Command{
		Use:                "ipvs [-Ln | -Lnc | ...]",
		Short:              "List the table in ipvsadm's layout",
		Long:               ipvsHelp,
		DisableFlagParsing: true, // letters cluster as ipvsadm's do
		RunE: func(c *cobra.Command, given []string) error {
			rest, err := a.takeOwnFlags(given)
			if err != nil {
				return err
			}
			return a.ipvs(c.Context(), rest)
		},
	}
}

// takeOwnFlags takes --instance and --run-dir out of a command line that
// cobra has not parsed.
func (a *app) takeOwnFlags(given []string) ([]string, error) {
	own := map[string]*string{"--instance": &a.instance, "--run-dir": &a.runDir}
	var rest []string
	for i := 0; i < len(given); i++ {
		name, value, has := strings.Cut(given[i], "=")
		to := own[name]
		switch {
		case to == nil:
			rest = append(rest, given[i])
		case has:
			*to = value
		case i+1 == len(given):
			return nil, usageError("%s: a value is missing", name)
		default:
			i++
			*to = given[i]
		}
	}
	return rest, nil
}

func (a *app) ipvs(ctx context.Context, given []string) error {
	r, err := ipvsadm.Parse(given)
	if err != nil {
		return a.faceError(err)
	}
	switch r.Kind {
	case ipvsadm.Help:
		_, err := fmt.Fprint(a.env.Stdout, ipvsHelp)
		return err
	case ipvsadm.Version:
		_, err := fmt.Fprint(a.env.Stdout, ipvsVersion)
		return err
	case ipvsadm.List, ipvsadm.Save, ipvsadm.Connections, ipvsadm.Timeouts, ipvsadm.Daemons:
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	names := ipvsadm.Numeric
	if !r.Numeric {
		var stop func()
		names, stop = a.names(ctx)
		defer stop()
	}
	if r.Kind == ipvsadm.Connections {
		return ipvsadm.WriteConnections(a.env.Stdout, client.Connections(ctx), names)
	}
	return a.ipvsTable(ctx, client, r, names)
}

// ipvsTable prints what is asked of services and of the snapshot.
func (a *app) ipvsTable(ctx context.Context, client *api.Client, r ipvsadm.Request, names ipvsadm.Names) error {
	snap, err := client.Status(ctx)
	if err != nil {
		return err
	}
	switch r.Kind {
	case ipvsadm.Timeouts:
		return ipvsadm.WriteTimeouts(a.env.Stdout, snap.Dataplane.Timeouts)
	case ipvsadm.Daemons:
		return ipvsadm.WriteDaemons(a.env.Stdout, daemons(snap.Sync))
	default:
	}
	services, err := client.Services(ctx)
	if err != nil {
		return err
	}
	if r.Kind == ipvsadm.Save {
		return ipvsadm.WriteSave(a.env.Stdout, services, names)
	}
	if r.Service != nil {
		services = slices.DeleteFunc(services, func(s lvs.ServiceStatus) bool { return !sameService(s.ServiceKey, *r.Service) })
		if len(services) == 0 {
			return a.faceError(&ipvsadm.Error{Text: "No such service", Code: 1})
		}
	}
	return ipvsadm.WriteList(a.env.Stdout, r, snap.Dataplane.Connections.Capacity, services, names)
}

// daemons are the sync daemons that run: our one is two in the kernel's eyes
// when it has both roles.
func daemons(s *snapshot.Sync) []ipvsadm.Daemon {
	if s == nil {
		return nil
	}
	var all []ipvsadm.Daemon
	for _, role := range []string{"master", "backup"} {
		if strings.Contains(s.Role, role) {
			all = append(all, ipvsadm.Daemon{Role: role, Interface: s.Interface, SyncID: s.SyncID, MaxLen: s.MaxLen, Group: s.Group, TTL: s.TTL})
		}
	}
	return all
}

// sameService compares keys as a command line can write them: a mark says
// nothing of protocol and address but the family.
func sameService(have, asked lvs.ServiceKey) bool {
	if asked.FWMark != 0 || have.FWMark != 0 {
		return have.FWMark == asked.FWMark && have.Addr.Is6() == asked.Addr.Is6()
	}
	return have == asked
}

// faceError prints what ipvsadm would, without our name before it.
func (a *app) faceError(err error) error {
	var e *ipvsadm.Error
	if !errors.As(err, &e) {
		return err
	}
	fmt.Fprintln(a.env.Stderr, e.Text)
	return &exitError{code: e.Code}
}

// lookupBudget is how long names of addresses are looked up in all; after it
// a listing goes on with numbers instead of waiting for a dead resolver.
const lookupBudget = 5 * time.Second

// names returns the namings of a listing without -n, and what ends their use.
func (a *app) names(ctx context.Context) (ipvsadm.Names, func()) {
	ctx, cancel := context.WithTimeout(ctx, lookupBudget)
	hosts := map[netip.Addr]string{}
	ports := a.services()
	return ipvsadm.Names{
		Host: func(addr netip.Addr) string {
			name, known := hosts[addr]
			if !known && ctx.Err() == nil {
				name = a.env.HostOf(ctx, addr)
				hosts[addr] = name
			}
			return name
		},
		Port: func(p lvs.Protocol, port uint16) string { return ports[portKey{p, port}] },
	}, cancel
}

type portKey struct {
	protocol lvs.Protocol
	port     uint16
}

// services reads /etc/services; without it ports stay numbers.
func (a *app) services() map[portKey]string {
	f, err := a.env.Open("/etc/services")
	if err != nil {
		return nil
	}
	defer f.Close()
	protocols := map[string]lvs.Protocol{"tcp": lvs.TCP, "udp": lvs.UDP, "sctp": lvs.SCTP}
	names := map[portKey]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line, _, _ := strings.Cut(sc.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		num, proto, _ := strings.Cut(fields[1], "/")
		port, err := strconv.ParseUint(num, 10, 16)
		p, known := protocols[proto]
		if err != nil || !known {
			continue
		}
		k := portKey{p, uint16(port)}
		if _, named := names[k]; !named { // the first name is the one that getservbyport gives
			names[k] = fields[0]
		}
	}
	return names
}
