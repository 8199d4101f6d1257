package observe

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/kaname-lb/kaname/internal/config/lint"
)

// patience bounds what waits for somebody else: a name server, nft.
const patience = 3 * time.Second

// Host answers the questions about the host that the process runs on, in the
// network namespace of the calling thread.
func Host(ctx context.Context, q lint.Questions) lint.Host {
	g := gatherer{root: "/", host: lint.Host{
		Users: map[string]bool{}, Groups: map[string]bool{}, Sysctls: map[string]string{}, Kernel: map[string]bool{},
		Resolved: map[string]bool{}, Unknown: map[string]string{},
	}}
	name, err := os.Hostname()
	if err != nil {
		g.unknown("name", err)
	}
	g.host.Name = name
	g.network(q)
	g.accounts(q)
	g.programs(q)
	g.files(q)
	g.listeners(q)
	g.sysctls(q)
	g.kernel()
	g.processes()
	g.configured(q)
	g.names(ctx, q)
	g.firewall(ctx, q)
	return g.host
}

// gatherer collects facts. Files of the system are looked for below root.
type gatherer struct {
	root string
	host lint.Host
}

func (g *gatherer) path(name string) string { return filepath.Join(g.root, name) }

// read returns a file's text, "" when it cannot be read.
func (g *gatherer) read(name string) string {
	b, err := os.ReadFile(g.path(name))
	if err != nil {
		return "" // a fact that is not there
	}
	return string(b)
}

func (g *gatherer) unknown(topic string, why error) { g.host.Unknown[topic] = why.Error() }
