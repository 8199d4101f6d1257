package config_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/kaname-lb/kaname/internal/config"
	effective "github.com/kaname-lb/kaname/internal/config/dump"
	"github.com/kaname-lb/kaname/internal/config/format"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// hostile is a configuration that nobody writes to be served by it.
type hostile struct {
	name  string
	files func() syntax.MapFiles // t.conf is the main one
	// want are pieces of findings that there must be.
	want []string
	// modern says that the file is small enough for format.Modern, which loads
	// it several times.
	modern bool
}

// one is a file of its own.
func one(text string) func() syntax.MapFiles {
	return func() syntax.MapFiles { return syntax.MapFiles{"t.conf": text} }
}

// made is a file that is only made when its turn comes.
func made(text func() string) func() syntax.MapFiles {
	return func() syntax.MapFiles { return syntax.MapFiles{"t.conf": text()} }
}

const mega = 1 << 20

// many is enough for what takes time by the square of it to show. With 100,000
// nothing took longer than ten seconds.
const many = 20_000

// instanceWith is a good vrrp_instance with one line more.
func instanceWith(line string) string {
	return "vrrp_instance V {\n    interface eth0\n    virtual_router_id 51\n    priority 100\n    virtual_ipaddress {\n        192.0.2.1/24\n    }\n    " + line + "\n}\n"
}

var hostileFiles = []hostile{
	{"an include of itself", one("include t.conf\n"), []string{"t.conf includes itself"}, true},
	{"an include loop", func() syntax.MapFiles {
		return syntax.MapFiles{"t.conf": "include b.conf\n", "b.conf": "include ./t.conf\n"}
	}, []string{"t.conf includes itself"}, true},
	{"a pattern that matches its own file", one("include *.conf\n"), []string{"t.conf includes itself"}, true},
	{"includes that double", func() syntax.MapFiles {
		m := syntax.MapFiles{"t.conf": "include a0.conf\n"}
		for i := range 31 {
			next := fmt.Sprintf("include a%d.conf\n", i+1)
			m[fmt.Sprintf("a%d.conf", i)] = next + next
		}
		return m
	}, []string{"the rest is not read"}, false},
	{"an include of everything with a thousand alternatives", one("include {a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b,c,d}\n"), []string{"no file matches"}, true},
	{"10,000 braces within each other", one(strings.Repeat("a {\n", 10000) + strings.Repeat("}\n", 10000)), []string{"nested deeper than 64"}, true},
	{"10,000 braces on a line", one("vrrp_instance V " + strings.Repeat("{", 10000) + "\n"), []string{"belongs to no keyword"}, true},
	{"10,000 closing braces", one(strings.Repeat("}", 10000) + "\n"), []string{"closes nothing", "the rest is not shown"}, true},
	{"a sequence of four milliards", one("~SEQ(I,0,4000000000) virtual_server 10.0.0.1 $I { }\n"), []string{"is no number"}, true},
	{"a sequence of two milliards", one("~SEQ(I,0,2000000000) router_id $I\n"), []string{"the rest is not read"}, false},
	{"a sequence that gives nothing", one("~SEQ(I,0,2000000000) #\n"), []string{"the rest is not read"}, false},
	{"sequences within each other", one("~SEQ(A,1,9999) ~SEQ(B,1,9999) ~SEQ(C,1,9999) $A $B $C\n"), []string{"the rest is not read"}, false},
	{"a definition by itself", one("$A=$A\n$B=${B}x\nrouter_id $A ${B}\n"), []string{"is defined by itself"}, true},
	{"definitions in a circle", one("$A=${B}\n$B=${A}\n${A}\n"), []string{"is defined by itself"}, true},
	{"a definition of several lines by itself", one("$A= \\\nx \\\n$A\n$A\n"), []string{"nested too deep"}, true},
	{"definitions that double", made(func() string {
		var b strings.Builder
		b.WriteString("$A0=ha\n")
		for i := range 40 {
			fmt.Fprintf(&b, "$A%d=${A%d}${A%d}\n", i+1, i, i)
		}
		return b.String() + "router_id ${A40}\n"
	}), []string{"a line longer than 65536"}, true},
	{"definitions of lines that double", made(func() string {
		var b strings.Builder
		b.WriteString("$A0=track_script \\\n{ } \\\n\n")
		for i := range 30 {
			fmt.Fprintf(&b, "$A%d=${A%d} \\\n${A%d} \\\n\n", i+1, i, i)
		}
		return b.String() + "vrrp_instance V {\n${A30}\n}\n"
	}), nil, false},
	{"a line of 100 MB", made(func() string { return strings.Repeat("x", 100*mega) + "\nvrrp_instance V {\n}\n" }), []string{"line of 104857600 bytes is left out"}, false},
	{"100 MB of words on a line", made(func() string { return strings.Repeat("x ", 50*mega) }), []string{"line of 104857600 bytes is left out"}, false},
	{"100 MB of short lines", made(func() string { return strings.Repeat("x\n", 50*mega) }), []string{"the rest is not read"}, false},
	{"100 MB of empty lines", made(func() string { return strings.Repeat("\n", 100*mega) }), []string{"the rest is not read"}, false},
	{"100 MB of comments", made(func() string { return strings.Repeat("# nothing but words of a comment\n", 100*mega/32) }), []string{"the rest is not read"}, false},
	{"100 MB of NULs", made(func() string { return strings.Repeat("\x00", 100*mega) }), []string{"line of 104857600 bytes is left out"}, false},
	{"a big file included again and again", func() syntax.MapFiles {
		return syntax.MapFiles{"t.conf": strings.Repeat("include big.conf\n", 10000), "big.conf": strings.Repeat("# nothing but words of a comment\n", 8*mega/32)}
	}, []string{"the rest is not read"}, false},
	{"binary rubbish", made(func() string { return rubbish(4 * mega) }), []string{"NUL byte"}, false},
	{"a little binary rubbish", made(func() string { return rubbish(4096) }), []string{"NUL byte"}, true},
	{"a name of 1 MB", made(func() string { return "vrrp_instance " + strings.Repeat("n", mega) + " {\n}\n" }), []string{"bytes is left out"}, true},
	{"a name of 60 kB", made(func() string { return strings.Replace(instanceWith(""), " V ", " "+strings.Repeat("n", 60000)+" ", 1) }), []string{"keepalived cuts a line"}, true},
	{"a keyword of 60 kB", one(instanceWith(strings.Repeat("k", 60000))), []string{"unknown keyword kkk"}, true},
	{"a value of 60 kB", one(instanceWith("advert_int " + strings.Repeat("1", 60000))), []string{"advert_int"}, true},
	{"30,000 words", one(instanceWith("garp_master_delay 1" + strings.Repeat(" x", 30000))), []string{"takes nothing more"}, true},
	{"invalid UTF-8 in a keyword", one(instanceWith("prior\xffity 100")), []string{"not valid UTF-8"}, true},
	{"invalid UTF-8 in a name", one(strings.Replace(instanceWith(""), " V ", " V\xc3( ", 1)), []string{"not valid UTF-8"}, true},
	{"invalid UTF-8 in a path", one(instanceWith("notify /bin/\xe9cole")), []string{"not valid UTF-8"}, true},
	{"invalid UTF-8 in a value", one(instanceWith("priority 10\xff")), []string{"not valid UTF-8"}, true},
	{"Latin-1 in a comment", one(instanceWith("# priorit\xe9")), nil, true},
	{"a byte order mark", one("\ufeff" + instanceWith("")), []string{"byte order mark"}, true},
	{"UTF-16, little end first", one(wide(instanceWith(""), false)), []string{"UTF-16"}, true},
	{"UTF-16, big end first", one(wide(instanceWith(""), true)), []string{"UTF-16"}, true},
	{"a full-width space", one(instanceWith("priority\u3000100")), []string{"U+3000 looks like a space"}, true},
	{"a non-breaking space", one(instanceWith("priority\u00a0100")), []string{"U+00A0 looks like a space"}, true},
	{"smart quotes", one(instanceWith("notify “/bin/true”")), []string{"“ is no quote here"}, true},
	{"smart single quotes", one(instanceWith("notify ‘/bin/true’")), []string{"‘ is no quote here"}, true},
	{"full-width digits", one(strings.Replace(instanceWith(""), "51", "５１", 1)), []string{"５ is no digit here"}, true},
	{"full-width braces", one("vrrp_instance V ｛\n｝\n"), []string{"｛ is no brace here"}, true},
	{"a right-to-left mark", one(instanceWith("prior\u200fity 100")), []string{"U+200F is invisible"}, true},
	{"a right-to-left override", one(instanceWith("auth_pass \u202e4321")), []string{"U+202E is invisible"}, true},
	{"a zero-width space", one(instanceWith("priority \u200b100")), []string{"U+200B is invisible"}, true},
	{"lines that end with CR", one(strings.ReplaceAll(instanceWith(""), "\n", "\r")), []string{"carriage return"}, true},
	{"a group of a /8", one("virtual_server_group G {\n10.0.0.0/8 80\n}\n"), []string{"more than 65536 addresses"}, true},
	{"a group of an IPv6 /64", one("virtual_server_group G {\n2001:db8::/64 80\n}\n"), []string{"more than 65536 addresses"}, true},
	{"groups of a /16 each", made(func() string {
		var b strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&b, "virtual_server_group G%d {\n10.0.0.0/16 80\n}\nvirtual_server group G%d {\nreal_server 10.1.0.1 80 {\n}\n}\n", i, i)
		}
		return b.String()
	}), []string{"more than 65536 addresses"}, false},
	{"one group served 2,000 times", made(func() string {
		var b strings.Builder
		b.WriteString("virtual_server_group G {\n10.0.0.0/16 80\n}\n")
		for range 2000 {
			b.WriteString("virtual_server group G {\nreal_server 10.1.0.1 80 {\n}\n}\n")
		}
		return b.String()
	}), []string{"serve more than 262144 addresses"}, false},
	{"many addresses", made(func() string {
		var b strings.Builder
		for i := range 10 * many {
			fmt.Fprintf(&b, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
		}
		return strings.Replace(instanceWith(""), "192.0.2.1/24\n", b.String(), 1)
	}), []string{"255"}, false},
	{"one address many times", made(func() string {
		return strings.Replace(instanceWith(""), "192.0.2.1/24\n", strings.Repeat("10.0.0.1\n", 1_000_000), 1)
	}), nil, false},
	{"many instances", repeated(many, func(i int) string {
		return strings.Replace(instanceWith(""), " V ", fmt.Sprintf(" V%d ", i), 1)
	}), nil, false},
	{"many instances of one name", repeated(many, func(int) string { return instanceWith("") }), nil, false},
	{"many scripts", repeated(many, func(i int) string { return fmt.Sprintf("vrrp_script S%d {\nscript /bin/true\n}\n", i) }), nil, false},
	{"many scripts that are tracked", made(func() string {
		var b, track strings.Builder
		for i := range many {
			fmt.Fprintf(&b, "vrrp_script S%d {\nscript /bin/true\n}\n", i)
			fmt.Fprintf(&track, "S%d weight 1\n", i)
		}
		return b.String() + instanceWith("track_script {\n"+track.String()+"}")
	}), nil, false},
	{"a group of many instances", made(func() string {
		var b, members strings.Builder
		for i := range many {
			fmt.Fprintf(&b, "vrrp_instance V%d {\ninterface eth%d\nvirtual_router_id %d\nvirtual_ipaddress {\n10.%d.%d.%d/32\n}\n}\n", i, i>>8, i&255, i>>16, i>>8&255, i&255)
			fmt.Fprintf(&members, "V%d\n", i)
		}
		return b.String() + "vrrp_sync_group G {\ngroup {\n" + members.String() + "}\n}\n"
	}), nil, false},
	{"many real servers", made(func() string {
		var b strings.Builder
		for i := range many {
			fmt.Fprintf(&b, "real_server 10.%d.%d.%d 80 {\nTCP_CHECK {\n}\n}\n", i>>16, i>>8&255, i&255)
		}
		return "virtual_server 192.0.2.1 80 {\nlb_kind DR\n" + b.String() + "}\n"
	}), nil, false},
	{"one real server many times", made(func() string {
		return "virtual_server 192.0.2.1 80 {\nlb_kind DR\n" + strings.Repeat("real_server 10.0.0.1 80 {\n}\n", many) + "}\n"
	}), nil, false},
	{"many virtual servers", repeated(many, func(i int) string {
		return fmt.Sprintf("virtual_server 10.%d.%d.%d 80 {\nreal_server 10.200.0.1 80 {\n}\n}\n", i>>16, i>>8&255, i&255)
	}), nil, false},
	{"one virtual server many times", repeated(many, func(int) string {
		return "virtual_server 192.0.2.1 80 {\nreal_server 10.200.0.1 80 {\n}\n}\n"
	}), nil, false},
	{"many groups without users", repeated(many, func(i int) string { return fmt.Sprintf("vrrp_sync_group G%d {\ngroup {\nV\n}\n}\n", i) }), nil, false},
	{"many routes and rules", made(func() string {
		return instanceWith("virtual_routes {\n" + strings.Repeat("10.0.0.0/8 via 192.0.2.2 dev eth0\n", many) + "}\nvirtual_rules {\n" + strings.Repeat("from 10.0.0.0/8 table 1\n", many) + "}")
	}), nil, false},
	{"many keywords again", one(instanceWith(strings.Repeat("priority 100\n", many))), nil, false},
	{"many settings of global_defs again", one("global_defs {\n" + strings.Repeat("router_id x\n", many) + "}\n"), nil, false},
	{"many global_defs", one(strings.Repeat("global_defs {\nvrrp_version 3\n}\n", many)), nil, false},
	{"many unicast peers", made(func() string {
		var b strings.Builder
		for i := range many {
			fmt.Fprintf(&b, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
		}
		return instanceWith("unicast_peer {\n" + b.String() + "}")
	}), nil, false},
	{"many marks", repeated(many, func(i int) string { return fmt.Sprintf("@id%d router_id x\n", i) }), nil, false},
	{"many definitions", repeated(many, func(i int) string { return fmt.Sprintf("$D%d=x\n", i) }), nil, false},
	{"many includes of nothing", repeated(many, func(i int) string { return fmt.Sprintf("include d%d.conf\n", i) }), nil, false},
}

// repeated is n texts one behind the other.
func repeated(n int, text func(i int) string) func() syntax.MapFiles {
	return made(func() string {
		var b strings.Builder
		for i := range n {
			b.WriteString(text(i))
		}
		return b.String()
	})
}

// rubbish is n random bytes, the same each time.
func rubbish(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return string(b)
}

// wide is a text in UTF-16 with a byte order mark.
func wide(s string, bigEnd bool) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
		if bigEnd {
			b.Write([]byte{byte(u >> 8), byte(u)})
		} else {
			b.Write([]byte{byte(u), byte(u >> 8)})
		}
	}
	return b.String()
}

// What one hostile file may cost.
const (
	mostFindings = 20_000
	longest      = 4 << 10 // bytes of one finding as it is shown
	mostMemory   = 3 << 30 // bytes of heap, garbage among them
)

// TestHostileFiles wants that nothing in a file makes kaname panic, hang or
// grow without bounds, and that it says what is wrong.
func TestHostileFiles(t *testing.T) {
	for _, tt := range hostileFiles {
		t.Run(tt.name, func(t *testing.T) {
			if heap() > mostMemory/4 {
				debug.FreeOSMemory()
			}
			files := tt.files()
			said := survive(t, files, tt.modern)
			for _, w := range tt.want {
				if !strings.Contains(said, w) {
					t.Errorf("nothing says %q in\n%.2000s", w, said)
				}
			}
			if n := heap(); n > mostMemory {
				t.Errorf("%d MiB of heap", n>>20)
			}
		})
	}
}

// heap returns the bytes that the heap has of the host, garbage among them.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}

// survive puts files through everything that reads a configuration and returns
// what the findings say.
func survive(t *testing.T, files syntax.MapFiles, modern bool) string {
	cfg, tree, fs := config.Load(files, "t.conf", config.Options{Origins: true})
	fs = append(fs, lint.Check(cfg, tree)...)
	lint.Number(fs)
	finding.Sort(fs, tree.Files)
	if len(fs) > mostFindings {
		t.Errorf("%d findings", len(fs))
	}
	var said strings.Builder
	for _, f := range fs {
		s := finding.Render(f)
		if len(s) > longest || len(f.Source) > longest {
			t.Errorf("%s: a finding of %d bytes: %.300s", f.Rule, len(s), s)
			break
		}
		said.WriteString(s)
	}
	_ = effective.Tree(cfg, effective.Options{}).String()
	text := files["t.conf"]
	out := format.Format("t.conf", text)
	if modern {
		if again := format.Format("t.conf", out); again != out {
			t.Error("formatting again changes the text")
		}
		format.Modern(files, "t.conf", text, format.Options{})
	}
	return said.String()
}
