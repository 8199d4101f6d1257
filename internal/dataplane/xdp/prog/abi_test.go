package prog_test

import (
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
)

// The layouts that pinned maps of an earlier build have. A change here needs
// another SchemaVersion.
func TestLayout(t *testing.T) {
	sizes := map[string][2]uintptr{
		"flow":         {unsafe.Sizeof(prog.Flow{}), 16},
		"conn":         {unsafe.Sizeof(prog.Conn{}), 64},
		"reply":        {unsafe.Sizeof(prog.Reply{}), 64},
		"conn_set":     {unsafe.Sizeof(prog.ConnSet{}), 576},
		"dest":         {unsafe.Sizeof(prog.Dest{}), 64},
		"dest_count":   {unsafe.Sizeof(prog.DestCount{}), 16},
		"service_key":  {unsafe.Sizeof(prog.ServiceKey{}), 20},
		"service":      {unsafe.Sizeof(prog.Service{}), 32},
		"service_run":  {unsafe.Sizeof(prog.ServiceRun{}), 8},
		"settings":     {unsafe.Sizeof(prog.Settings{}), 128},
		"runtime":      {unsafe.Sizeof(prog.Runtime{}), 64},
		"counters":     {unsafe.Sizeof(prog.Counters{}), 40},
		"meta":         {unsafe.Sizeof(prog.Meta{}), 64},
		"frag_key":     {unsafe.Sizeof(prog.FragKey{}), 12},
		"frag":         {unsafe.Sizeof(prog.Frag{}), 36},
		"event":        {unsafe.Sizeof(prog.Event{}), 40},
		"ask":          {unsafe.Sizeof(prog.Ask{}), 16},
		"arrival":      {unsafe.Sizeof(prog.Arrival{}), 64},
		"inject":       {unsafe.Sizeof(prog.Inject{}), 8},
		"conn.told":    {unsafe.Offsetof(prog.Conn{}.Told), 62},
		"missed_told":  {unsafe.Offsetof(prog.Runtime{}.MissedTold), 4},
		"sync_flags":   {unsafe.Offsetof(prog.Settings{}.SyncFlags), 64},
		"retries":      {unsafe.Offsetof(prog.Settings{}.Retries), 88},
		"set's ways":   {unsafe.Offsetof(prog.ConnSet{}.Way), 64},
		"conn.state":   {unsafe.Offsetof(prog.Conn{}.State), 16},
		"reply.state":  {unsafe.Offsetof(prog.Reply{}.State), 16},
		"conn.l2":      {unsafe.Offsetof(prog.Conn{}.L2Dst), 48},
		"dest.dmac":    {unsafe.Offsetof(prog.Dest{}.Dmac), 40},
		"dest.flags":   {unsafe.Offsetof(prog.Dest{}.Flags), 20},
		"settings[11]": {unsafe.Offsetof(prog.Settings{}.Timeouts) + 4*prog.TimeoutUDP, 60},
	}
	for name, s := range sizes {
		if s[0] != s[1] {
			t.Errorf("%s is at or has %d, want %d", name, s[0], s[1])
		}
	}
}

// The macros of abi.h that Go repeats.
func TestMacros(t *testing.T) {
	b, err := os.ReadFile("../../../../bpf/abi.h")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"SCHEMA_VERSION": "2", "WAYS": "8", "TAG_FREE": "0U", "TAG_CLAIMED": "1U", "LOC_NONE": "0U",
		"LOC_STASH": "0xffffffffU", "SLOT_EMPTY": "0xffffffffU", "SCAN_MAX": "4096",
		"VLAN_NONE": "0U", "VLAN_KEEP": "0xffffU", "TIMEOUT_UDP": "11",
		"INBOX": "256", "TOLD_NEVER": "0U", "TOLD_OVERDUE": "1U", "TOLD_SHIFT": "2", "TOLD_UNIT": "5",
		"TOLD_TIME": "0x3fffU", "REFRESH_MAX": "262112U",
	} {
		m := regexp.MustCompile(`(?m)^#define ` + name + `\s+(\S+)`).FindSubmatch(b)
		if m == nil || string(m[1]) != want {
			t.Errorf("%s is %s, package prog has it as %s", name, m, want)
		}
	}
}

func TestReasonNames(t *testing.T) {
	if len(prog.Reasons) != int(prog.XDPReasonREASON_MAX) {
		t.Errorf("%d names for %d reasons", len(prog.Reasons), prog.XDPReasonREASON_MAX)
	}
	seen := map[string]bool{}
	for i, n := range prog.Reasons {
		if n == "" || seen[n] || strings.ContainsAny(n, " _") {
			t.Errorf("reason %d is called %q", i, n)
		}
		seen[n] = true
	}
	if got := prog.Reason(999).String(); got != "unknown" {
		t.Errorf("reason 999 is %q", got)
	}
}

// Both speakers of the table's protocol find a flow in the same place.
func TestPlace(t *testing.T) {
	w := world(t, progtest.Options{Sets: 4096, Seed: 0xdeadbeef})
	add(t, w, service(progtest.TCP, server(0, prog.MethodNAT)))
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		p := syn(uint16(r.Uint32()))
		run(t, w, progtest.XDP, p)
		e := w.Conn(progtest.FlowOf(p))
		if e == nil {
			t.Fatalf("port %d is not where PlaceOf says", p.SPort)
		}
		set, way := prog.Locate(e.Peer)
		reply := (*prog.Reply)(unsafe.Pointer(&w.Sets()[set].Way[way]))
		if want := progtest.FlowOf(fromServer(0, p, 0)); reply.Key != want {
			t.Fatalf("reply key %+v, want %+v", reply.Key, want)
		}
		if w.Conn(reply.Key) == nil {
			t.Fatalf("the reply entry of port %d is not where PlaceOf says", p.SPort)
		}
		fs, fw := prog.Locate(reply.Peer)
		if &w.Sets()[fs].Way[fw] != e {
			t.Fatalf("the reply entry points at %d/%d", fs, fw)
		}
	}
}
