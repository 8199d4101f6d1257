package keepalived

import "strings"

// Parse reads the arguments after the program's name as keepalived does with
// getopt_long(3): letters cluster, words may be abbreviated, options and other
// words may be mixed until "--". The first option that asks for an answer (-v,
// -h, --signum) ends it; wrong ones are told, all of them, and refuse the rest.
func Parse(args []string) Request {
	r := Request{Options: Options{File: DefaultFile, Facility: "daemon", Umask: -1}}
	p := parser{rest: args, to: &r}
	for len(p.rest) > 0 && !r.answered() {
		arg := p.take()
		switch {
		case arg == "--":
			r.Extra = append(r.Extra, p.rest...)
			p.rest = nil
		case strings.HasPrefix(arg, "--"):
			p.word(arg)
		case len(arg) > 1 && arg[0] == '-':
			p.letters(arg[1:])
		default:
			r.Extra = append(r.Extra, arg)
		}
	}
	if r.bad && !r.answered() {
		r.Kind = Refused
	}
	return r
}

// answered reports whether nothing after this option counts.
func (r *Request) answered() bool { return r.Kind > Test }

type parser struct {
	rest []string
	to   *Request
}

func (p *parser) take() string {
	arg := p.rest[0]
	p.rest = p.rest[1:]
	return arg
}

// letters takes "nlD", and "ffile" or "f" with the next argument.
func (p *parser) letters(s string) {
	for s != "" && !p.to.answered() {
		c := s[0]
		s = s[1:]
		o := lookup(func(o *option) bool { return o.short == c })
		switch {
		case o == nil:
			p.refuse("Unknown option -%s", string(rune(c)))
		case o.takes == nothing:
			o.set(p.to, "")
		case o.takes == optional || s != "":
			o.set(p.to, s)
			return
		case len(p.rest) == 0:
			p.refuse("Missing parameter for option -%s", string(rune(c)))
		default:
			o.set(p.to, p.take())
		}
	}
}

// word takes "--long", "--long=value", "--long value", or a part of it that
// begins no other.
func (p *parser) word(arg string) {
	name, v, has := strings.Cut(arg[2:], "=")
	o := find(name)
	switch {
	case o == nil || has && o.takes == nothing:
		p.refuse("Unknown option %s", arg)
	case has && v == "" && o.takes == value:
		p.refuse("Missing parameter for option --%s", o.long)
	case has || o.takes != value:
		o.set(p.to, v)
	case len(p.rest) == 0 || p.rest[0] == "":
		p.refuse("Missing parameter for option --%s", o.long)
		p.rest = p.rest[min(1, len(p.rest)):]
	default:
		o.set(p.to, p.take())
	}
}

func (p *parser) refuse(format string, a ...any) {
	p.to.say(format, a...)
	p.to.bad = true
}

// find returns the option of that name, or the only one that begins so.
func find(name string) *option {
	if o := lookup(func(o *option) bool { return o.long == name }); o != nil {
		return o
	}
	var found *option
	for i := range table {
		o := &table[i]
		if o.ours || name == "" || !strings.HasPrefix(o.long, name) {
			continue
		}
		if found != nil {
			return nil
		}
		found = o
	}
	return found
}

func lookup(match func(*option) bool) *option {
	for i := range table {
		if match(&table[i]) {
			return &table[i]
		}
	}
	return nil
}
