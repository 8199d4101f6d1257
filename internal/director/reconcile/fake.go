package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// FakeHost is a Network and a Dataplane that keep what they are told and
// refuse what a kernel would refuse. Its String is the host as sorted text.
// The zero value is a host with nothing on it.
type FakeHost struct {
	// Foreign are addresses that somebody else put there. They are never
	// listed as ours; adding one of them, or removing it, is an error.
	Foreign []desired.Address

	ours       map[place]desired.Address
	services   map[lvs.ServiceKey]lvs.ServiceSet
	timeouts   lvs.Timeouts
	interfaces []string
	ops        int
}

// Errors of a FakeHost.
var (
	errExists  = errors.New("address exists")
	errMissing = errors.New("no such address")
	errForeign = errors.New("address is not ours")
)

// Ops returns how many changing calls were made so far.
func (h *FakeHost) Ops() int { return h.ops }

// Steal removes one of our addresses behind our back, as `ip address del`
// would.
func (h *FakeHost) Steal(a desired.Address) { delete(h.ours, placeOf(a)) }

// Addresses implements Network.
func (h *FakeHost) Addresses() ([]desired.Address, error) {
	// In an order that nobody may rely on.
	return slices.Collect(maps.Values(h.ours)), nil
}

// Add implements Network. An address cannot stand twice on an interface.
func (h *FakeHost) Add(a desired.Address) error {
	h.ops++
	if h.foreign(a) {
		return errForeign
	}
	if _, there := h.ours[placeOf(a)]; there {
		return errExists
	}
	if h.ours == nil {
		h.ours = map[place]desired.Address{}
	}
	h.ours[placeOf(a)] = a
	return nil
}

// Remove implements Network.
func (h *FakeHost) Remove(a desired.Address) error {
	h.ops++
	if h.foreign(a) {
		return errForeign
	}
	if _, there := h.ours[placeOf(a)]; !there {
		return errMissing
	}
	delete(h.ours, placeOf(a))
	return nil
}

func (h *FakeHost) foreign(a desired.Address) bool {
	return slices.ContainsFunc(h.Foreign, func(f desired.Address) bool { return placeOf(f) == placeOf(a) })
}

// Set implements Dataplane.
func (h *FakeHost) Set(services []lvs.ServiceSet) error {
	h.ops++
	h.services = map[lvs.ServiceKey]lvs.ServiceSet{}
	for _, s := range clone(services) {
		h.services[s.ServiceKey] = s
	}
	return nil
}

// SetTimeouts implements Dataplane.
func (h *FakeHost) SetTimeouts(t lvs.Timeouts) error {
	h.ops++
	h.timeouts = t
	return nil
}

// SetInterfaces implements Dataplane.
func (h *FakeHost) SetInterfaces(names []string) error {
	h.ops++
	h.interfaces = slices.Clone(names)
	return nil
}

// String returns the host in the words of desired.State, foreign addresses
// marked.
func (h *FakeHost) String() string {
	st := desired.State{
		Addresses: slices.SortedFunc(maps.Values(h.ours), desired.Address.Compare),
		Services: slices.SortedFunc(maps.Values(h.services), func(a, b lvs.ServiceSet) int {
			return a.ServiceKey.Compare(b.ServiceKey)
		}),
		Timeouts:   h.timeouts,
		Interfaces: slices.Sorted(slices.Values(h.interfaces)),
	}
	var b strings.Builder
	for _, a := range slices.SortedFunc(slices.Values(h.Foreign), desired.Address.Compare) {
		fmt.Fprintf(&b, "foreign %s\n", a)
	}
	return b.String() + st.String()
}

// Faulty is a Network and a Dataplane that fail with probability P before they
// pass a call on, and after it has taken effect with the same probability: an
// error says nothing about what happened.
type Faulty struct {
	Network
	Dataplane
	P    float64
	Rand *rand.Rand
}

var errFault = errors.New("injected fault")

func (f *Faulty) around(call func() error) error {
	if f.Rand.Float64() < f.P {
		return fmt.Errorf("%w before", errFault)
	}
	if err := call(); err != nil {
		return err
	}
	if f.Rand.Float64() < f.P {
		return fmt.Errorf("%w after", errFault)
	}
	return nil
}

// Addresses implements Network.
func (f *Faulty) Addresses() (addrs []desired.Address, err error) {
	err = f.around(func() error {
		addrs, err = f.Network.Addresses()
		return err
	})
	return addrs, err
}

// Add implements Network.
func (f *Faulty) Add(a desired.Address) error {
	return f.around(func() error { return f.Network.Add(a) })
}

// Remove implements Network.
func (f *Faulty) Remove(a desired.Address) error {
	return f.around(func() error { return f.Network.Remove(a) })
}

// Set implements Dataplane.
func (f *Faulty) Set(services []lvs.ServiceSet) error {
	return f.around(func() error { return f.Dataplane.Set(services) })
}

// SetTimeouts implements Dataplane.
func (f *Faulty) SetTimeouts(t lvs.Timeouts) error {
	return f.around(func() error { return f.Dataplane.SetTimeouts(t) })
}

// SetInterfaces implements Dataplane.
func (f *Faulty) SetInterfaces(names []string) error {
	return f.around(func() error { return f.Dataplane.SetInterfaces(names) })
}
