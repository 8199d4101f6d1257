package ipvsadm_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/cli/ipvsadm"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func key(p lvs.Protocol, ap string) *lvs.ServiceKey {
	a := netip.MustParseAddrPort(ap)
	return &lvs.ServiceKey{Protocol: p, Addr: a.Addr(), Port: a.Port()}
}

func TestParse(t *testing.T) {
	for line, want := range map[string]ipvsadm.Request{
		"":                            {},
		"-L":                          {},
		"-l -n":                       {Numeric: true},
		"-Ln":                         {Numeric: true},
		"-Lnc":                        {Kind: ipvsadm.Connections, Numeric: true},
		"--list --connection":         {Kind: ipvsadm.Connections},
		"-L -c -n --sort":             {Kind: ipvsadm.Connections, Numeric: true},
		"-Ln --stats":                 {Numeric: true, View: ipvsadm.Stats},
		"-Ln --rate --exact":          {Numeric: true, View: ipvsadm.Rate, Exact: true},
		"-Ln --rate --stats":          {Numeric: true, View: ipvsadm.Stats},
		"-L --tun-info --thresholds":  {View: ipvsadm.Thresholds},
		"-L --nosort":                 {NoSort: true},
		"-L --timeout":                {Kind: ipvsadm.Timeouts},
		"-L --daemon":                 {Kind: ipvsadm.Daemons},
		"-L --syncid 3":               {},
		"-S":                          {Kind: ipvsadm.Save},
		"-S -n":                       {Kind: ipvsadm.Save, Numeric: true},
		"-Sn --sort":                  {Kind: ipvsadm.Save, Numeric: true},
		"-h":                          {Kind: ipvsadm.Help},
		"-hL":                         {Kind: ipvsadm.Help},
		"--version":                   {Kind: ipvsadm.Version},
		"-Ln -t 192.0.2.1:80":         {Numeric: true, Service: key(lvs.TCP, "192.0.2.1:80")},
		"-Ln -t192.0.2.1:80":          {Numeric: true, Service: key(lvs.TCP, "192.0.2.1:80")},
		"-Lnt=192.0.2.1:80":           {Numeric: true, Service: key(lvs.TCP, "192.0.2.1:80")},
		"-L -u 192.0.2.1":             {Service: key(lvs.UDP, "192.0.2.1:0")},
		"-L -u [2001:db8::1]:53":      {Service: key(lvs.UDP, "[2001:db8::1]:53")},
		"-L --sctp-service=1.2.3.4:9": {Service: key(lvs.SCTP, "1.2.3.4:9")},
		"-L -f 7":                     {Service: &lvs.ServiceKey{FWMark: 7, Addr: netip.IPv4Unspecified()}},
		"-L -f 4294967295 -6":         {Service: &lvs.ServiceKey{FWMark: 4294967295, Addr: netip.IPv6Unspecified()}},
	} {
		got, err := ipvsadm.Parse(strings.Fields(line))
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// TestRefusals holds what ipvsadm 1.31 says and exits with; recorded by
// running it.
func TestRefusals(t *testing.T) {
	const try = "Try `ipvsadm -h' or 'ipvsadm --help' for more information."
	for line, want := range map[string]ipvsadm.Error{
		"-L -x":                                 {"-x: missing argument", 255},
		"-L -t":                                 {"-t: missing argument", 255},
		"--nosuch":                              {try, 255},
		"-c":                                    {try, 255},
		"-n":                                    {try, 255},
		"-cn":                                   {try, 255},
		"-t 1.2.3.4:80":                         {try, 255},
		"--timeout":                             {try, 255},
		"--sort -L":                             {try, 255},
		"-":                                     {try, 255},
		"--":                                    {try, 255},
		"-V":                                    {try, 255},
		"--list=3":                              {try, 255},
		"-Lnq":                                  {"-Lnq: unknown option", 255},
		"-Ln --numer":                           {"--numer: unknown option", 255},
		"-L --stats=3":                          {"--stats=3: option does not take an argument", 255},
		"-Lnc --stats":                          {"options conflicts in the list command", 2},
		"-Lnc --thresholds":                     {"options conflicts in the list command", 2},
		"-Ln --timeout --stats":                 {"options conflicts in the list command", 2},
		"-Lnc -t 1.0.0.1:1":                     {"The option 'service-address' conflicts with the 'connection' option in the 'list' command", 2},
		"-Ln --timeout --daemon":                {"The option 'daemon' conflicts with the 'timeout' option in the 'list' command", 2},
		"-Lc --timeout":                         {"The option 'timeout' conflicts with the 'connection' option in the 'list' command", 2},
		"-L -t 10.0.0.1:80 --timeout":           {"The option 'timeout' conflicts with the 'service-address' option in the 'list' command", 2},
		"-Lc --daemon":                          {"The option 'daemon' conflicts with the 'connection' option in the 'list' command", 2},
		"-L -t 10.0.0.1:80 --daemon":            {"The option 'daemon' conflicts with the 'service-address' option in the 'list' command", 2},
		"-Lc --timeout --daemon -t 10.0.0.1:80": {"The option 'service-address' conflicts with the 'connection' option in the 'list' command", 2},
		"-Ln -s rr":                             {"Illegal 'scheduler' option with the 'list' command", 2},
		"-L -s rr -w 3 -g":                      {"Illegal 'scheduler' option with the 'list' command", 2},
		"-L -w 3":                               {"Illegal 'weight' option with the 'list' command", 2},
		"-L -o":                                 {"Illegal 'ops' option with the 'list' command", 2},
		"-L -p":                                 {"Illegal 'persistent' option with the 'list' command", 2},
		"-L -g":                                 {"Illegal 'forwarding-method' option with the 'list' command", 2},
		"-L --pe sip":                           {"Illegal 'pe' option with the 'list' command", 2},
		"-L --mcast-interface eth0":             {"Illegal 'mcast-interface' option with the 'list' command", 2},
		"-L --tun-type gre":                     {"Illegal 'tun-type' option with the 'list' command", 2},
		"-S --stats":                            {"Illegal 'stats' option with the 'save' command", 2},
		"-S -c":                                 {"Illegal 'connection' option with the 'save' command", 2},
		"-S -n --nosort":                        {"Illegal 'nosort' option with the 'save' command", 2},
		"-S -t 1.0.0.1:1":                       {"Illegal 'service-address' option with the 'save' command", 2},
		"-L -S":                                 {"invalid option `-S'", 2},
		"-LnS":                                  {"invalid option `-LnS'", 2},
		"-L -h":                                 {"invalid option `-h'", 2},
		"-L --set":                              {"invalid option `--set'", 2},
		"-Ln foo":                               {"unexpected argument foo", 2},
		"-Ln -- foo":                            {"unexpected argument foo", 2},
		"-L -":                                  {"unexpected argument -", 2},
		"-L -n -n":                              {"multiple 'numeric' options specified", 2},
		"-L --stats --stats":                    {"multiple 'stats' options specified", 2},
		"-L -t 1.0.0.1:1 -u 1.0.0.1:1":          {"multiple 'service-address' options specified", 2},
		"-L -t 1.2.3.4:99999":                   {"illegal virtual server address[:port] specified", 2},
		"-L -t :80":                             {"illegal virtual server address[:port] specified", 2},
		"-L -t 10.0.0.1:":                       {"illegal virtual server address[:port] specified", 2},
		"-L -f 0":                               {"invalid fwmark value `0' specified", 2},
		"-L -f 0x7":                             {"invalid fwmark value `0x7' specified", 2},
		"-L -f -1":                              {"invalid fwmark value `-1' specified", 2},
		"-L -6":                                 {"-6 used before -f", 2},
		"-L -6 -f 7":                            {"-6 used before -f", 2},
	} {
		_, err := ipvsadm.Parse(strings.Fields(line))
		var got *ipvsadm.Error
		if !errors.As(err, &got) || *got != want {
			t.Errorf("%q: got %+v, want %+v", line, err, want)
		}
	}
}

func TestChangesAreRefused(t *testing.T) {
	for _, line := range []string{"-A -t 1.2.3.4:80", "-a", "-D", "-d", "-E", "-e", "-C", "-R", "-Z", "--set 1 2 3", "--start-daemon master"} {
		_, err := ipvsadm.Parse(strings.Fields(line))
		var e *ipvsadm.Error
		if !errors.As(err, &e) || e.Code != 255 || !strings.Contains(e.Text, "kaname reload") {
			t.Errorf("%q: %v, want a refusal that says what to do instead", line, err)
		}
	}
}

// FuzzParse: any command line is a request or an *Error, and never a panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"-Lnc", "-Ln\x00--stats", "-L\x00-t\x00[::1]:80", "-L\x00-f\x007\x00-6", "-S\x00-n", "--", "-t=", "-Lt"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ipvsadm.Parse(strings.Split(s, "\x00"))
		var e *ipvsadm.Error
		switch {
		case err != nil && !errors.As(err, &e):
			t.Errorf("%q: error %T is not an *Error", s, err)
		case err != nil && (e.Text == "" || e.Code == 0):
			t.Errorf("%q: refused without a word: %+v", s, e)
		case err == nil && r.Service != nil && r.Service.FWMark == 0 && !r.Service.Addr.IsValid():
			t.Errorf("%q: service without address", s)
		}
	})
}
