package config_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func load(t *testing.T, text string) (*config.Config, []finding.Finding) {
	t.Helper()
	cfg, tree, fs := config.Load(syntax.MapFiles{"t.conf": text}, "t.conf", config.Options{})
	if cfg == nil || tree == nil {
		t.Fatal("nil config or tree")
	}
	return cfg, fs
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSeeds loads the configurations of the field reports: none has an error,
// and the values that the reports turn on are these.
func TestSeeds(t *testing.T) {
	seed := func(n string) *config.Config {
		cfg, fs := load(t, read(t, "testdata/seeds/"+n+".conf"))
		if finding.Worst(fs) > finding.Warning {
			t.Errorf("seed %s: %v", n, fs)
		}
		return cfg
	}
	c := seed("000")
	if vs := c.VirtualServers[0]; vs.Scheduler != lvs.LC || vs.Method != lvs.DR || len(vs.RealServers) != 2 || vs.Endpoints[0].Addr.String() != "192.168.21.20" {
		t.Errorf("000: %+v", vs)
	}
	c = seed("002")
	if in := c.Instances[0]; in.Auth != config.AuthAH || in.AuthPass != "password" || in.Addresses[0].Dev != "enp0s8" {
		t.Errorf("002: %+v", in)
	}
	if s := c.Global.SyncDaemon; s == nil || s.Interface != "enp0s8" || s.Instance != "VI_1" || s.SyncID != 51 || s.Port != 8848 || s.TTL != 1 || s.Group.String() != "224.0.0.81" {
		t.Errorf("002: sync daemon %+v", s)
	}
	c = seed("003")
	if rs := c.VirtualServers[0].RealServers[0]; !rs.InhibitOnFailure || rs.Method != lvs.NAT || rs.Checkers[0].Retry != 1 {
		t.Errorf("003: %+v", rs)
	}
	c = seed("004")
	if g := c.SyncGroups[0]; len(g.Members) != 2 || strings.Join(g.Notify.Master.Argv, "|") != "/bin/sh|/var/scripts/failover.sh|active" || !c.Instances[0].NoPreempt {
		t.Errorf("004: %+v", g)
	}
}

// TestCaptures loads the configurations with which the VRRP captures were
// made. Those that need what is not built are left out with a warning; none
// has an error.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob("testdata/golden-vrrp/*.conf")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		cfg, fs := load(t, read(t, f))
		leftOut := false
		for _, fd := range fs {
			leftOut = leftOut || strings.Contains(fd.What, "left out and does not run")
			if fd.Severity == finding.Error || fd.Rule != "not-supported" && fd.Rule != "nothing-to-run" && fd.Rule != "master-with-ah" {
				t.Errorf("%s: %s", f, fd)
			}
		}
		if len(cfg.Instances) == 0 && !leftOut {
			t.Errorf("%s: no instance and no reason", f)
		}
	}
}

// TestEveryKeyword writes each keyword of the reference table into its block
// and wants that it is not taken for unknown.
func TestEveryKeyword(t *testing.T) {
	n := 0
	for l := range strings.Lines(read(t, "testdata/keywords.tsv")) {
		f := strings.Split(strings.TrimRight(l, "\n"), "\t")
		if f[0] != "keyword" {
			continue
		}
		n++
		path := strings.Split(f[1], "/")
		if f[1] == "(root)" {
			path = nil
		}
		text, end := "", ""
		for _, b := range path {
			text += b + " " + map[string]string{"virtual_server": "192.0.2.1 80", "real_server": "10.0.0.1 80", "vrrp_instance": "V", "vrrp_sync_group": "G", "vrrp_script": "S"}[b] + " {\n"
			end += "}\n"
		}
		text += f[2] + "\n" + end
		_, fs := load(t, text)
		for _, fd := range fs {
			if fd.Rule == "unknown-keyword" {
				t.Errorf("%s in %s: %s", f[2], f[1], fd)
			}
		}
		if _, ok := config.RepeatOf(strings.ReplaceAll(f[1], "(root)", ""), f[2]); !ok {
			t.Errorf("%s in %s is not in the table", f[2], f[1])
		}
	}
	if n != 531 {
		t.Errorf("%d keywords, want 531", n)
	}
}

// TestNotSupportedOnce wants exactly one finding for a keyword that is known
// and not built, whatever its block holds.
func TestNotSupportedOnce(t *testing.T) {
	base := "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress { 192.0.2.1/24 }\n%s}\n"
	for _, kw := range []string{"use_vmac x\n", "virtual_rules {\nfrom 1.2.3.4 table 5 preference 9\n}\n", "smtp_alert\n", "kernel_rx_buf_size 100\n"} {
		_, fs := load(t, fmt.Sprintf(base, kw))
		if len(fs) != 1 || fs[0].Rule != "not-supported" || fs[0].Severity != finding.Warning || !strings.HasPrefix(fs[0].What, "not supported yet: ") || fs[0].Where.Line != 5 {
			t.Errorf("%q: %v", kw, fs)
		}
	}
}

// TestAllErrorsReported wants every mistake of a file, not only the first.
func TestAllErrorsReported(t *testing.T) {
	_, fs := load(t, "vrrp_instance A {\n}\nvrrp_instance B {\ninterface\n}\nbogus\n")
	lines := map[int]bool{}
	for _, f := range fs {
		lines[f.Where.Line] = true
	}
	for _, l := range []int{1, 3, 4, 6} {
		if !lines[l] {
			t.Errorf("nothing about line %d in %v", l, fs)
		}
	}
}

// TestLarge loads a configuration of the size that DESIGN §7 speaks of.
func TestLarge(t *testing.T) {
	cfg, fs := load(t, large(2000))
	if len(fs) > 0 || len(cfg.VirtualServers) != 2000 || len(cfg.VirtualServers[1999].RealServers) != 4 {
		t.Errorf("%d virtual servers, findings %v", len(cfg.VirtualServers), fs[:min(3, len(fs))])
	}
}

func large(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "virtual_server 10.%d.%d.%d 80 {\n    delay_loop 5\n    lb_algo wlc\n    lb_kind DR\n    protocol TCP\n", i>>16, i>>8&255, i&255)
		for j := range 4 {
			fmt.Fprintf(&b, "    real_server 172.16.%d.%d 80 {\n        weight 1\n        TCP_CHECK {\n            connect_timeout 3\n        }\n    }\n", j, i&255)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func BenchmarkLoad10000(b *testing.B) {
	text := large(10000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		config.Load(syntax.MapFiles{"t.conf": text}, "t.conf", config.Options{})
	}
}

// FuzzLoad wants no panic, complete findings, and a Config that holds what the
// director relies on, for any text and for known texts with lines moved.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/golden/*.txt", "testdata/seeds/*.conf", "testdata/golden-vrrp/*.conf"} {
		names, _ := filepath.Glob(pattern)
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				f.Fatal(err)
			}
			in, _, _ := strings.Cut(string(b), separator)
			f.Add(in, uint64(0))
			f.Add(in, uint64(len(in)))
		}
	}
	f.Fuzz(func(t *testing.T, in string, seed uint64) {
		if seed != 0 {
			in = shuffle(in, seed)
		}
		cfg, tree, fs := config.Load(syntax.MapFiles{"t.conf": in}, "t.conf", config.Options{})
		for _, fd := range slices.Concat(fs, lint.Check(cfg, tree)) {
			if finding.Render(fd) == "" || fd.What == "" || fd.Rule == "" || fd.Where.IsZero() || fd.Severity == 0 {
				t.Fatalf("incomplete finding %+v", fd)
			}
		}
		if finding.Worst(fs) < finding.Error {
			checkRunnable(t, cfg.Runnable())
		}
	})
}

// shuffle swaps a few lines of a text.
func shuffle(in string, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	lines := strings.Split(in, "\n")
	for range 3 {
		i, j := r.IntN(len(lines)), r.IntN(len(lines))
		lines[i], lines[j] = lines[j], lines[i]
	}
	return strings.Join(lines, "\n")
}

// checkRunnable is what everybody who reads a Config may rely on.
func checkRunnable(t *testing.T, cfg *config.Config) {
	t.Helper()
	names := map[string]bool{}
	for _, in := range cfg.Instances {
		names[in.Name] = true
		if in.Interface == "" || in.VRID < 1 || in.VRID > 255 || in.Priority < 1 || in.Priority > 255 || in.Version != 2 ||
			in.AdvertInterval <= 0 || len(in.AuthPass) > 8 || in.DownTimerAdverts < 1 {
			t.Fatalf("instance %+v", in)
		}
		for _, a := range in.Addresses {
			if !a.Prefix.IsValid() || !a.Prefix.Addr().Is4() || a.Dev == "" {
				t.Fatalf("address %+v", a)
			}
		}
		for _, tr := range in.TrackScripts {
			if !hasScript(cfg, tr.Name) {
				t.Fatalf("tracked script %s is not in the config", tr.Name)
			}
		}
	}
	if s := cfg.Global.SyncDaemon; s != nil && (s.Interface == "" || s.Instance != "" && !names[s.Instance] || s.SyncID < 0 || s.SyncID > 255 ||
		s.MaxLen < 0 || s.MaxLen > 65507 || s.Port < 1 || s.Port > 65535 || s.TTL < 1 || s.TTL > 255 || !s.Group.IsMulticast()) {
		t.Fatalf("sync daemon %+v", s)
	}
	if k := cfg.Kaname.Sync; k.Rules.Period > 0 && k.Rules.Threshold >= k.Rules.Period || k.Rules.Retries > 3 || k.Rules.Refresh < 0 ||
		k.QueueLen < 0 || k.Rate < 0 || k.CatchUpPort < 0 || k.CatchUpPort > 65535 {
		t.Fatalf("sync settings %+v", k)
	}
	for _, g := range cfg.SyncGroups {
		for _, m := range g.Members {
			if !names[m] {
				t.Fatalf("group %s has member %s that does not run", g.Name, m)
			}
		}
	}
	keys := map[lvs.ServiceKey]bool{}
	for _, vs := range cfg.VirtualServers {
		checkServer(t, vs, keys)
	}
}

func hasScript(cfg *config.Config, name string) bool {
	for _, s := range cfg.Scripts {
		if s.Name == name && s.Command.Set() && s.Interval > 0 && s.Rise > 0 && s.Fall > 0 {
			return true
		}
	}
	return false
}

func checkServer(t *testing.T, vs *config.VirtualServer, keys map[lvs.ServiceKey]bool) {
	t.Helper()
	if len(vs.Endpoints) == 0 || !vs.Scheduler.Supported() || vs.Method == lvs.TUN || vs.DelayLoop <= 0 || vs.Hysteresis < 0 {
		t.Fatalf("virtual server %+v", vs)
	}
	for _, e := range vs.Endpoints {
		k := lvs.ServiceKey{Protocol: vs.Protocol, Addr: e.Addr, Port: e.Port}
		if !e.Addr.Is4() || e.Port == 0 || keys[k] {
			t.Fatalf("endpoint %v twice or incomplete", k)
		}
		keys[k] = true
	}
	for _, rs := range vs.RealServers {
		if !rs.Addr.Is4() || rs.Weight < 0 || rs.Method == lvs.TUN {
			t.Fatalf("real server %+v", rs)
		}
		for _, c := range rs.Checkers {
			if c.DelayLoop <= 0 || c.Retry < 0 || c.Kind == config.MiscCheck && !c.Misc.Set() ||
				c.Kind != config.MiscCheck && (!c.ConnectTo.IsValid() || c.ConnectTimeout <= 0) || c.Kind == config.HTTPGet && len(c.URLs) == 0 {
				t.Fatalf("checker %+v", c)
			}
		}
	}
}
