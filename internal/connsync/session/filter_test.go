package session_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func sample() session.Session {
	ap := netip.MustParseAddrPort
	return session.Session{
		Protocol: lvs.TCP, State: lvs.StateEstablished, Flags: connsync.MethodDR, FWMark: 7, SyncID: 51, Version: 1,
		Client: ap("10.1.2.3:40000"), Virtual: ap("192.168.10.100:80"), Dest: ap("192.168.10.1:8080"),
		Director: lb1, First: at(0), Last: at(100), Timeout: 900 * time.Second,
	}
}

func TestFilterMatches(t *testing.T) {
	now := at(130) // age 130, idle 30, expires in 870
	udp := sample()
	udp.Protocol, udp.State, udp.Client = lvs.UDP, 0, netip.MustParseAddrPort("[fd00::1]:53")
	template := sample()
	template.Flags |= connsync.Template | connsync.Inactive
	for filter, want := range map[string][3]bool{ // TCP, UDP, template
		"":                       {true, true, true},
		"proto=tcp":              {true, false, true},
		"proto=6":                {true, false, true},
		"proto != TCP":           {false, true, false},
		"proto=udp,sctp":         {false, true, false},
		"state=ESTABLISHED":      {true, false, false},
		"state=established,udp":  {true, true, false},
		"state!=UDP":             {true, false, true},
		"state=ASSURED":          {false, false, true},
		"src=10.1.2.3":           {true, false, true},
		"client=10.0.0.0/8":      {true, false, true},
		"src=10.1.2.3:40000":     {true, false, true},
		"src=10.1.2.3:1":         {},
		"src=fd00::/16":          {false, true, false},
		"src=[fd00::1]:53":       {false, true, false},
		"src!=10.0.0.0/8":        {false, true, false},
		"dst=192.168.10.1":       {true, true, true},
		"server=192.168.10.2":    {},
		"vip=192.168.10.100:80":  {true, true, true},
		"virtual=192.168.10.101": {},
		"sport>1024":             {true, false, true},
		"sport=53,40000":         {true, true, true},
		"vport<80":               {},
		"vport<=80":              {true, true, true},
		"dport>=8080":            {true, true, true},
		"dport == 8080":          {true, true, true},
		"syncid=51":              {true, true, true},
		"fwmark!=0x7":            {},
		"version=0":              {},
		"director=10.7.0.0/24":   {true, true, true},
		"director!=10.7.0.11":    {},
		"age=130":                {true, true, true},
		"age>2m":                 {true, true, true},
		"age>2m10s":              {},
		"idle<30":                {},
		"idle<=30s":              {true, true, true},
		"expire>=870":            {true, true, true},
		"expire<870":             {},
		"template":               {false, false, true},
		"template=no":            {true, true, false},
		"not template":           {true, true, false},
		"active":                 {true, true, false},
		"active!=yes":            {false, false, true},

		// or binds less tightly than and, not tightest.
		"proto=udp or proto=tcp and vport=81":   {false, true, false},
		"(proto=udp or proto=tcp) and vport=81": {},
		"not proto=udp and vport=80":            {true, false, true},
		"not (proto=udp and vport=80)":          {true, false, true},
		"!proto=udp && !(template || vport=81)": {true, false, false},
		"NOT NOT state=UDP":                     {false, true, false},
		"state=ESTABLISHED and dst=192.168.10.1 and not (src=10.0.0.0/9 or vport=443)": {},
		"state=ESTABLISHED and dst=192.168.10.1 and not (src=11.0.0.0/8 or vport=443)": {true, false, false},
	} {
		f, err := session.ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		a := sample()
		if got := [3]bool{f.Match(&a, now), f.Match(&udp, now), f.Match(&template, now)}; got != want {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
		if f.String() != filter {
			t.Errorf("%q is shown as %q", filter, f)
		}
	}
	var none *session.Filter
	if a := sample(); !none.Match(&a, now) || none.String() != "" {
		t.Error("no filter does not match")
	}
}

func TestFilterMistakes(t *testing.T) {
	for filter, want := range map[string]string{
		"stat=ESTABLISHED":          `column 1: no field "stat": there are proto, state, client, src, virtual`,
		"state ESTABLISHED":         "column 7: after state want =, !=, <, <=, > or >=",
		"state=OPEN":                `column 7: no state "OPEN": there are NONE, ESTABLISHED, SYN_SENT`,
		"state=":                    "column 7: state=: a value is missing",
		"state=and":                 `column 7: no state "and"`,
		"state<UDP":                 "column 6: state cannot be compared with <: want = or !=",
		"vport=80 dst=10.0.0.1":     `column 10: want and, or, or the end, not "dst"`,
		"vport=70000":               "column 7: vport: want a number from 0 to 65535, not \"70000\"",
		"vport=1 and":               "column 12: a test is missing",
		"(vport=1":                  "column 1: this parenthesis is not closed",
		"vport=1)":                  `column 8: want and, or, or the end, not ")"`,
		"()":                        `column 2: no field ")"`,
		"src=10.0.0":                "column 5: client: want an address, a prefix, or address:port, not \"10.0.0\"",
		"director=10.0.0.1:80":      "column 10: director: want an address",
		"age=long":                  `column 5: age: want seconds, or a time such as 90s or 5m, not "long"`,
		"age=-5s":                   "column 5: age: want seconds",
		"vport>80,81":               "column 9: > takes one value",
		"vport=80,":                 "column 10: vport=: a value is missing",
		"template=perhaps":          `column 10: template: want yes or no, not "perhaps"`,
		"template<1":                "column 9: template cannot be compared with <",
		"proto=ftp":                 "column 7: proto: want tcp, udp",
		"syncid=256":                "column 8: syncid: want a number from 0 to 255",
		"=":                         `column 1: no field "="`,
		strings.Repeat("(", 200):    "column 102: too deeply nested",
		strings.Repeat("not ", 200): "column 405: too deeply nested",
	} {
		f, err := session.ParseFilter(filter)
		fe, ok := errors.AsType[*session.FilterError](err)
		if f != nil || !ok || !strings.HasPrefix(err.Error(), "filter: "+want) || fe.Text != filter || fe.Offset > len(filter) {
			t.Errorf("%s: got %v, want %s", filter, err, want)
		}
	}
}

// FuzzFilter: any text is a filter that answers, or a mistake with a place.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"state=ESTABLISHED and dst=192.168.10.1 and not (src=10.0.0.0/8 or vport=443)",
		"age>1h30m or idle<=5 && expire != 10s", "!template || active=no", "proto=tcp,udp,132 src!=[fd00::1]:80", "((((", "a=b,,",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		flt, err := session.ParseFilter(text)
		if err != nil {
			fe, ok := errors.AsType[*session.FilterError](err)
			if !ok || fe.Offset < 0 || fe.Offset > len(text) || fe.Msg == "" {
				t.Errorf("%q: %#v", text, err)
			}
			return
		}
		s := sample()
		is := flt.Match(&s, at(130))
		if strings.TrimSpace(text) == "" {
			return
		}
		not, err := session.ParseFilter("not (" + text + ")")
		if err == nil && not.Match(&s, at(130)) == is {
			t.Errorf("%q and its negation both are %v", text, is)
		}
	})
}
