package ipvsadm

import "strings"

// option is one that ipvsadm knows. name is what its messages call it; several
// long options share one.
type option struct {
	long    string
	short   byte // 0 for none
	name    string
	command bool
	value   bool // takes a value
}

func command(long string, short byte) option {
	return option{long: long, short: short, name: long, command: true}
}

func flag(long string, short byte, name string) option {
	return option{long: long, short: short, name: name}
}

func valued(long string, short byte, name string) option {
	return option{long: long, short: short, name: name, value: true}
}

// table is the command line of ipvsadm 1.31. --persistent takes an optional
// value there; no listing takes the option, so it is a flag here.
var table = []option{
	command("add-service", 'A'), command("edit-service", 'E'), command("delete-service", 'D'),
	command("clear", 'C'), command("list", 'L'), command("list", 'l'), command("add-server", 'a'),
	command("edit-server", 'e'), command("delete-server", 'd'), command("zero", 'Z'),
	command("restore", 'R'), command("save", 'S'), command("help", 'h'), command("version", 'v'),
	command("set", 0), command("start-daemon", 0), command("stop-daemon", 0),

	valued("tcp-service", 't', "service-address"), valued("udp-service", 'u', "service-address"),
	valued("sctp-service", 0, "service-address"), valued("fwmark-service", 'f', "service-address"),
	flag("ipv6", '6', "ipv6"), valued("scheduler", 's', "scheduler"), valued("pe", 0, "pe"),
	flag("persistent", 'p', "persistent"), valued("netmask", 'M', "netmask"),
	valued("real-server", 'r', "real-server"), flag("masquerading", 'm', "forwarding-method"),
	flag("ipip", 'i', "forwarding-method"), flag("gatewaying", 'g', "forwarding-method"),
	valued("weight", 'w', "weight"), valued("u-threshold", 'x', "u-threshold"),
	valued("l-threshold", 'y', "l-threshold"), valued("mcast-interface", 0, "mcast-interface"),
	valued("syncid", 0, "syncid"), valued("mcast-group", 0, "mcast-group"), valued("mcast-port", 0, "mcast-port"),
	valued("mcast-ttl", 0, "mcast-ttl"), valued("sync-maxlen", 0, "sync-maxlen"),
	valued("tun-type", 0, "tun-type"), valued("tun-port", 0, "tun-port"), flag("tun-nocsum", 0, "tun-nocsum"),
	flag("tun-csum", 0, "tun-csum"), flag("tun-remcsum", 0, "tun-remcsum"),
	valued("sched-flags", 'b', "sched-flags"), flag("ops", 'o', "ops"),

	flag("numeric", 'n', "numeric"), flag("connection", 'c', "connection"), flag("timeout", 0, "timeout"),
	flag("daemon", 0, "daemon"), flag("stats", 0, "stats"), flag("rate", 0, "rate"),
	flag("exact", 0, "exact"), flag("thresholds", 0, "thresholds"), flag("persistent-conn", 0, "persistent-conn"),
	flag("tun-info", 0, "tun-info"), flag("nosort", 0, "nosort"), flag("sort", 0, "sort"),
}

// optionOrder is the order in which ipvsadm looks for options that the
// command does not take: the first is the one that it complains about.
var optionOrder = []string{
	"numeric", "connection", "service-address", "scheduler", "persistent", "netmask", "real-server",
	"forwarding-method", "weight", "u-threshold", "l-threshold", "mcast-interface", "timeout", "daemon",
	"stats", "rate", "thresholds", "persistent-conn", "nosort", "exact", "ops", "pe", "sched-flags",
	"mcast-group", "mcast-port", "mcast-ttl", "sync-maxlen", "tun-info", "tun-type", "tun-port",
	"tun-nocsum", "tun-csum", "tun-remcsum",
}

var listable = map[string]bool{
	"numeric": true, "connection": true, "service-address": true, "timeout": true, "daemon": true,
	"stats": true, "rate": true, "thresholds": true, "persistent-conn": true, "nosort": true,
	"exact": true, "tun-info": true,
}

// parser takes options off a command line as popt does: letters cluster
// ("-Lnc"), a letter's value is what follows it, with or without "=", or the
// next argument.
type parser struct {
	rest    []string
	cluster string   // letters left of the argument in as
	as      string   // the argument being read, as messages quote it
	value   string   // of the option that next returned
	words   []string // arguments that are no options
}

// next returns the next option, nil after the last.
func (p *parser) next() (*option, error) {
	if p.cluster != "" {
		return p.letter()
	}
	for len(p.rest) > 0 {
		arg := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case arg == "--":
			p.words = append(p.words, p.rest...)
			p.rest = nil
		case strings.HasPrefix(arg, "--"):
			p.as = arg
			return p.word(arg[2:])
		case len(arg) > 1 && arg[0] == '-':
			p.as, p.cluster = arg, arg[1:]
			return p.letter()
		default:
			p.words = append(p.words, arg)
		}
	}
	return nil, nil
}

func (p *parser) letter() (*option, error) {
	c := p.cluster[0]
	p.cluster = p.cluster[1:]
	o := find(func(o *option) bool { return o.short == c })
	if o == nil {
		return nil, &Error{p.as + ": unknown option", codeRefused}
	}
	p.value = ""
	if !o.value {
		return o, nil
	}
	if p.cluster != "" {
		p.value, p.cluster = strings.TrimPrefix(p.cluster, "="), ""
		return o, nil
	}
	return o, p.take()
}

func (p *parser) word(s string) (*option, error) {
	name, value, has := strings.Cut(s, "=")
	o := find(func(o *option) bool { return o.long == name })
	switch {
	case o == nil:
		return nil, &Error{p.as + ": unknown option", codeRefused}
	case has && !o.value:
		return nil, &Error{p.as + ": option does not take an argument", codeRefused}
	case o.value && !has:
		return o, p.take()
	}
	p.value = value
	return o, nil
}

// take makes the next argument the value.
func (p *parser) take() error {
	if len(p.rest) == 0 {
		return &Error{p.as + ": missing argument", codeRefused}
	}
	p.value, p.rest = p.rest[0], p.rest[1:]
	return nil
}

func find(match func(*option) bool) *option {
	for i := range table {
		if match(&table[i]) {
			return &table[i]
		}
	}
	return nil
}
