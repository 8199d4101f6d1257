package reconcile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Op is one thing to do. It is a closed set.
//
//sumtype:decl
type Op interface {
	isOp()
	// String says what is done, as logs and errors name it.
	String() string
}

// AddAddress puts a virtual address on the host.
type AddAddress struct{ Address desired.Address }

// RemoveAddress takes one of our addresses from the host.
type RemoveAddress struct{ Address desired.Address }

// SetTimeouts gives the dataplane its timeouts.
type SetTimeouts struct{ Timeouts lvs.Timeouts }

// SetServices makes Services the whole of what is balanced. Added, Changed and
// Removed count what is different, for the log.
type SetServices struct {
	Services                []lvs.ServiceSet
	Added, Changed, Removed int
}

// SetInterfaces makes Names the interfaces that the dataplane is attached to.
type SetInterfaces struct{ Names []string }

func (AddAddress) isOp()    {}
func (RemoveAddress) isOp() {}
func (SetTimeouts) isOp()   {}
func (SetServices) isOp()   {}
func (SetInterfaces) isOp() {}

// String returns "add address eth0 192.0.2.1/24".
func (o AddAddress) String() string { return "add address " + o.Address.String() }

// String returns "remove address eth0 192.0.2.1/24".
func (o RemoveAddress) String() string { return "remove address " + o.Address.String() }

// String returns "set timeouts tcp 900s tcpfin 120s udp 300s".
func (o SetTimeouts) String() string {
	t := o.Timeouts
	return "set timeouts tcp " + t.TCP.String() + " tcpfin " + t.TCPFin.String() + " udp " + t.UDP.String()
}

// String returns "set services (1 added, 0 changed, 2 removed)".
func (o SetServices) String() string {
	return "set services (" + strconv.Itoa(o.Added) + " added, " + strconv.Itoa(o.Changed) +
		" changed, " + strconv.Itoa(o.Removed) + " removed)"
}

// String returns "set interfaces eth0 eth1".
func (o SetInterfaces) String() string {
	if len(o.Names) == 0 {
		return "set interfaces (none)"
	}
	return "set interfaces " + strings.Join(o.Names, " ")
}

// Actual is what the host has, as far as known. A nil Dataplane part has never
// been set and differs from every State: an adopted dataplane is told once
// what it should carry, and finds itself whether that is news.
type Actual struct {
	// Addresses are ours on the host.
	Addresses []desired.Address
	// AddressesUnknown is set when they could not be read: nothing is added
	// or removed on a guess.
	AddressesUnknown bool
	Services         *[]lvs.ServiceSet
	Timeouts         *lvs.Timeouts
	Interfaces       *[]string
}

// Diff returns what must be done, in this order, to get from actual to want:
// addresses (added, then removed), timeouts, services, interfaces. Services
// stand before interfaces so that a packet never meets an attached program
// that knows no service yet.
func Diff(actual Actual, want desired.State) []Op {
	var ops []Op
	if !actual.AddressesUnknown {
		ops = diffAddresses(actual.Addresses, want.Addresses)
	}
	if actual.Timeouts == nil || *actual.Timeouts != want.Timeouts {
		ops = append(ops, SetTimeouts{want.Timeouts})
	}
	if op, differ := diffServices(actual.Services, want.Services); differ {
		ops = append(ops, op)
	}
	if actual.Interfaces == nil || !slices.Equal(*actual.Interfaces, want.Interfaces) {
		ops = append(ops, SetInterfaces{want.Interfaces})
	}
	return ops
}

// place is what the kernel holds an address by: two that share it cannot
// stand beside each other.
type place struct{ dev, prefix string }

func placeOf(a desired.Address) place { return place{a.Interface, a.Prefix.String()} }

// diffAddresses adds before it removes, except where an address changes its
// label or scope: the old one is in the new one's place and must go first.
func diffAddresses(actual, want []desired.Address) []Op {
	have := map[place]desired.Address{}
	for _, a := range actual {
		have[placeOf(a)] = a
	}
	var add, remove []Op
	wanted := map[place]bool{}
	for _, a := range slices.SortedFunc(slices.Values(want), desired.Address.Compare) {
		if wanted[placeOf(a)] {
			continue
		}
		wanted[placeOf(a)] = true
		old, there := have[placeOf(a)]
		if there && old == a {
			continue
		}
		if there {
			add = append(add, RemoveAddress{old})
		}
		add = append(add, AddAddress{a})
	}
	for _, a := range slices.SortedFunc(slices.Values(actual), desired.Address.Compare) {
		if !wanted[placeOf(a)] {
			remove = append(remove, RemoveAddress{a})
		}
	}
	return append(add, remove...)
}

// diffServices counts what is different and returns whether anything is.
func diffServices(actual *[]lvs.ServiceSet, want []lvs.ServiceSet) (SetServices, bool) {
	op := SetServices{Services: want}
	if actual == nil {
		op.Added = len(want)
		return op, true
	}
	have := make(map[lvs.ServiceKey]lvs.ServiceSet, len(*actual))
	for _, set := range *actual {
		have[set.ServiceKey] = set
	}
	for _, set := range want {
		old, there := have[set.ServiceKey]
		switch {
		case !there:
			op.Added++
		case !sameService(old, set):
			op.Changed++
		}
		delete(have, set.ServiceKey)
	}
	op.Removed = len(have)
	return op, op.Added+op.Changed+op.Removed > 0
}

func sameService(a, b lvs.ServiceSet) bool {
	return a.Service == b.Service && slices.Equal(a.Destinations, b.Destinations)
}
