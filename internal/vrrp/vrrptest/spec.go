package vrrptest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// describe changes a router's Spec; it counts from the next start or reload.
func (r *router) describe(verb string, args []string) (err error) {
	if len(args) == 0 {
		return errUsage
	}
	// The machine keeps what it was given.
	r.spec.Instances = slices.Clone(r.spec.Instances)
	r.spec.Groups = slices.Clone(r.spec.Groups)
	r.spec.Scripts = slices.Clone(r.spec.Scripts)
	name := args[0]
	switch verb {
	case "startup":
		r.spec.StartupDelay, err = time.ParseDuration(name)
	case "hostdelay":
		r.hostDelay, err = time.ParseDuration(name)
	case "instance":
		return r.setInstance(name, args[1:])
	case "group":
		r.spec.Groups = append(r.spec.Groups, vrrp.GroupSpec{Name: name, Members: args[1:]})
	case "script":
		s := vrrp.ScriptSpec{Name: name, Rise: 1, Fall: 1}
		err = eachOption(args[1:], func(k, v string) (err error) {
			n, err := strconv.Atoi(v)
			if k == "rise" {
				s.Rise = n
			} else {
				s.Fall = n
			}
			return err
		})
		r.spec.Scripts = append(r.spec.Scripts, s)
	case "track":
		return r.track(name, args[1:])
	case "drop":
		r.spec.Instances = slices.DeleteFunc(r.spec.Instances, func(i vrrp.InstanceSpec) bool { return i.Name == name })
		r.spec.Groups = slices.DeleteFunc(r.spec.Groups, func(g vrrp.GroupSpec) bool { return g.Name == name })
		r.spec.Scripts = slices.DeleteFunc(r.spec.Scripts, func(s vrrp.ScriptSpec) bool { return s.Name == name })
	}
	return err
}

func (r *router) setInstance(name string, options []string) error {
	i := r.instance(name)
	if i == nil {
		r.spec.Instances = append(r.spec.Instances, vrrp.InstanceSpec{
			Name: name, AdvertInterval: time.Second, Preempt: true, DownTimerAdverts: 3,
			GARP: vrrp.GARPSpec{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1, LowerPrioRepeat: 5, LowerPrioDelay: 5 * time.Second},
		})
		i = r.instance(name)
	}
	vips := false
	return eachOption(options, func(k, v string) (err error) {
		switch k {
		case "iface":
			i.Interface = v
		case "vrid":
			i.VRID, err = parseByte(v)
		case "prio":
			i.Priority, err = parseByte(v)
		case "vip":
			if !vips {
				i.Addresses, i.Announce, vips = nil, nil, true
			}
			var a netip.Addr
			a, err = netip.ParseAddr(v)
			i.Addresses = append(i.Addresses, a)
			i.Announce = append(i.Announce, a)
		case "advert":
			i.AdvertInterval, err = time.ParseDuration(v)
		case "auth":
			err = setAuth(i, v)
		case "preempt":
			i.Preempt = v == "yes"
		case "delay":
			i.PreemptDelay, err = time.ParseDuration(v)
		case "skipcheck":
			i.SkipCheckAddresses = v == "yes"
		case "noanswer":
			i.LowerPrioNoAdvert = v == "yes"
		case "lastword":
			i.HigherPrioSendAdvert = v == "yes"
		case "primary":
			i.DontTrackPrimary = v == "no"
		case "src":
			i.Source, err = netip.ParseAddr(v)
		case "garp":
			g := &i.GARP
			_, err = fmt.Sscanf(strings.ReplaceAll(v, "/", " "), "%d %v %v %d", &g.Repeat, (*span)(&g.Delay), (*span)(&g.Refresh), &g.RefreshRepeat)
		case "lowgarp":
			g := &i.GARP
			_, err = fmt.Sscanf(strings.ReplaceAll(v, "/", " "), "%d %v", &g.LowerPrioRepeat, (*span)(&g.LowerPrioDelay))
		default:
			err = errUsage
		}
		return err
	})
}

// span is a duration that fmt can scan.
type span time.Duration

// Scan implements fmt.Scanner.
func (s *span) Scan(state fmt.ScanState, _ rune) error {
	token, err := state.Token(true, nil)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(string(token))
	*s = span(d)
	return err
}

func parseByte(s string) (uint8, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err
}

func setAuth(i *vrrp.InstanceSpec, v string) error {
	kind, password, _ := strings.Cut(v, ":")
	switch kind {
	case "none":
		i.Auth = vrrp.AuthNone
	case "pass":
		i.Auth = vrrp.AuthPass
	case "ah":
		i.Auth = vrrp.AuthAH
	default:
		return errUsage
	}
	i.Password = password
	return nil
}

func (r *router) track(of string, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	t := vrrp.TrackSpec{Name: args[1]}
	err := eachOption(args[2:], func(k, v string) (err error) {
		switch k {
		case "weight":
			t.Weight, err = strconv.Atoi(v)
		case "reverse":
			t.Reverse = v == "yes"
		default:
			err = errUsage
		}
		return err
	})
	if err != nil {
		return err
	}
	var ifaces, scripts *[]vrrp.TrackSpec
	if i := r.instance(of); i != nil {
		ifaces, scripts = &i.TrackInterfaces, &i.TrackScripts
	}
	for n := range r.spec.Groups {
		if g := &r.spec.Groups[n]; g.Name == of {
			ifaces, scripts = &g.TrackInterfaces, &g.TrackScripts
		}
	}
	switch {
	case ifaces == nil:
		return fmt.Errorf("no %s to track for", of)
	case args[0] == "iface":
		*ifaces = append(slices.Clip(*ifaces), t)
	case args[0] == "script":
		*scripts = append(slices.Clip(*scripts), t)
	default:
		return errUsage
	}
	return nil
}
