package session

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// field is something that a test can be about: exactly one of its functions
// is set.
type field struct {
	names  []string
	proto  bool
	state  bool
	addr   func(*Session) netip.AddrPort
	number func(*Session) uint64
	limit  uint64 // of number
	span   func(*Session, time.Time) time.Duration
	flag   func(*Session) bool
}

var fields = []field{
	{names: []string{"proto"}, proto: true},
	{names: []string{"state"}, state: true},
	{names: []string{"client", "src"}, addr: func(s *Session) netip.AddrPort { return s.Client }},
	{names: []string{"virtual", "vip"}, addr: func(s *Session) netip.AddrPort { return s.Virtual }},
	{names: []string{"server", "dst"}, addr: func(s *Session) netip.AddrPort { return s.Dest }},
	{names: []string{"director"}, addr: func(s *Session) netip.AddrPort { return netip.AddrPortFrom(s.Director, 0) }},
	{names: []string{"sport"}, limit: 1<<16 - 1, number: func(s *Session) uint64 { return uint64(s.Client.Port()) }},
	{names: []string{"vport"}, limit: 1<<16 - 1, number: func(s *Session) uint64 { return uint64(s.Virtual.Port()) }},
	{names: []string{"dport"}, limit: 1<<16 - 1, number: func(s *Session) uint64 { return uint64(s.Dest.Port()) }},
	{names: []string{"syncid"}, limit: 255, number: func(s *Session) uint64 { return uint64(s.SyncID) }},
	{names: []string{"fwmark"}, limit: 1<<32 - 1, number: func(s *Session) uint64 { return uint64(s.FWMark) }},
	{names: []string{"version"}, limit: 1, number: func(s *Session) uint64 { return uint64(s.Version) }},
	{names: []string{"age"}, span: func(s *Session, now time.Time) time.Duration { return now.Sub(s.First) }},
	{names: []string{"idle"}, span: func(s *Session, now time.Time) time.Duration { return now.Sub(s.Last) }},
	{names: []string{"expire"}, span: func(s *Session, now time.Time) time.Duration { return s.Expires(now) }},
	{names: []string{"template"}, flag: (*Session).IsTemplate},
	{names: []string{"active"}, flag: (*Session).Active},
}

// fieldNames lists the fields for a message.
func fieldNames() string {
	var all []string
	for _, f := range fields {
		all = append(all, f.names...)
	}
	return strings.Join(all, ", ")
}

// test reads FIELD OPERATOR VALUE{,VALUE}.
func (p *filterParser) test() predicate {
	i := slices.IndexFunc(fields, func(f field) bool { return p.is(f.names...) })
	switch {
	case p.tok == "":
		p.fail("a test is missing, as in state=ESTABLISHED")
		return nil
	case i < 0:
		p.fail("no field %q: there are %s", p.tok, fieldNames())
		return nil
	}
	f := fields[i]
	p.next()
	op, opAt := p.tok, p.start
	if !slices.Contains([]string{"=", "==", "!=", "<", "<=", ">", ">="}, op) {
		if f.flag == nil {
			p.fail("after %s want =, !=, <, <=, > or >=", f.names[0])
		}
		return func(s *Session, _ time.Time) bool { return f.flag(s) }
	}
	ordered := op[0] == '<' || op[0] == '>'
	if ordered && f.number == nil && f.span == nil {
		p.failAt(opAt, "%s cannot be compared with %s: want = or !=", f.names[0], op)
		return nil
	}
	var alternatives []predicate
	for {
		p.next()
		alternatives = append(alternatives, p.value(&f, op))
		if p.next(); !p.is(",") {
			break
		}
		if ordered {
			p.fail("%s takes one value", op)
		}
	}
	m := alternatives[0]
	if len(alternatives) > 1 {
		m = func(s *Session, now time.Time) bool {
			return slices.ContainsFunc(alternatives, func(a predicate) bool { return a(s, now) })
		}
	}
	if op == "!=" {
		return func(s *Session, now time.Time) bool { return !m(s, now) }
	}
	return m
}

// value reads one value and returns the test for it; that of != is the one of =.
func (p *filterParser) value(f *field, op string) predicate {
	if p.tok == "" || strings.Contains(filterPunct, p.tok[:1]) {
		p.fail("%s%s: a value is missing", f.names[0], op)
		return nil
	}
	switch {
	case f.proto:
		return p.protocol()
	case f.state:
		return p.state()
	case f.addr != nil:
		return p.address(f)
	case f.flag != nil:
		return p.flag(f)
	case f.span != nil:
		return p.span(f, op)
	}
	n, err := strconv.ParseUint(p.tok, 0, 64)
	if err != nil || n > f.limit {
		p.fail("%s: want a number from 0 to %d, not %q", f.names[0], f.limit, p.tok)
		return nil
	}
	cmp := comparison(op)
	return func(s *Session, _ time.Time) bool { return cmp(int64(f.number(s)), int64(n)) }
}

func comparison(op string) func(a, b int64) bool {
	switch op {
	case "<":
		return func(a, b int64) bool { return a < b }
	case "<=":
		return func(a, b int64) bool { return a <= b }
	case ">":
		return func(a, b int64) bool { return a > b }
	case ">=":
		return func(a, b int64) bool { return a >= b }
	}
	return func(a, b int64) bool { return a == b }
}

var protocolNumbers = map[string]lvs.Protocol{"ip": 0, "tcp": lvs.TCP, "udp": lvs.UDP, "sctp": lvs.SCTP, "esp": 50, "ah": 51}

func (p *filterParser) protocol() predicate {
	n, known := protocolNumbers[strings.ToLower(p.tok)]
	if !known {
		v, err := strconv.ParseUint(p.tok, 10, 8)
		if err != nil {
			p.fail("proto: want tcp, udp, sctp, esp, ah, ip or a number, not %q", p.tok)
		}
		n = lvs.Protocol(v)
	}
	return func(s *Session, _ time.Time) bool { return s.Protocol == n }
}

// stateNames are the names that sessions' states can have.
func stateNames() []string {
	var all []string
	add := func(name string) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for i := range lvs.ConnState(lvs.NumTCPStates) {
		add(i.Name(lvs.TCP))
	}
	for i := range lvs.ConnState(lvs.NumSCTPStates) {
		add(i.Name(lvs.SCTP))
	}
	add(lvs.StateNone.Name(lvs.UDP))
	add(lvs.TemplateAssured.TemplateName())
	return all
}

func (p *filterParser) state() predicate {
	name := strings.ToUpper(p.tok)
	if all := stateNames(); !slices.Contains(all, name) {
		p.fail("no state %q: there are %s", p.tok, strings.Join(all, ", "))
	}
	return func(s *Session, _ time.Time) bool { return s.StateName() == name }
}

func (p *filterParser) address(f *field) predicate {
	if a, err := netip.ParseAddr(p.tok); err == nil {
		return func(s *Session, _ time.Time) bool { return f.addr(s).Addr() == a }
	}
	if n, err := netip.ParsePrefix(p.tok); err == nil {
		return func(s *Session, _ time.Time) bool { return n.Contains(f.addr(s).Addr()) }
	}
	a, err := netip.ParseAddrPort(p.tok)
	if err != nil || f.names[0] == "director" {
		p.fail("%s: want an address, a prefix, or address:port, not %q", f.names[0], p.tok)
	}
	return func(s *Session, _ time.Time) bool { return f.addr(s) == a }
}

func (p *filterParser) flag(f *field) predicate {
	var want bool
	switch {
	case p.is("yes", "true", "1"):
		want = true
	case p.is("no", "false", "0"):
	default:
		p.fail("%s: want yes or no, not %q", f.names[0], p.tok)
	}
	return func(s *Session, _ time.Time) bool { return f.flag(s) == want }
}

func (p *filterParser) span(f *field, op string) predicate {
	d, ok := parseSpan(p.tok)
	if !ok {
		p.fail("%s: want seconds, or a time such as 90s or 5m, not %q", f.names[0], p.tok)
	}
	p.timed = true
	cmp := comparison(op)
	// Whole seconds, as they are shown.
	return func(s *Session, now time.Time) bool {
		return cmp(int64(f.span(s, now)/time.Second), int64(d/time.Second))
	}
}

// parseSpan reads 90, 90s, 5m, 1h30m.
func parseSpan(s string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}
