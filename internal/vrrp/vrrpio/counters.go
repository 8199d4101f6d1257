package vrrpio

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// counters is what a Driver counts, for the instances of the present Spec.
type counters struct {
	ifaces     []Interface
	ifaceOf    map[string]string // by instance
	instances  map[string]*instanceCount
	interfaces map[string]*InterfaceStats
	unmatched  map[vrrp.IgnoreReason]Ignored
}

type instanceCount struct {
	InstanceStats
	logged map[vrrp.IgnoreReason]bool // since the last change of state
}

func newCounters() counters {
	return counters{
		ifaceOf:    map[string]string{},
		instances:  map[string]*instanceCount{},
		interfaces: map[string]*InterfaceStats{},
		unmatched:  map[vrrp.IgnoreReason]Ignored{},
	}
}

// configure takes the instances and interfaces of a Spec. Those that were
// there before keep their counts.
func (c *counters) configure(s vrrp.Spec) {
	ah := map[string]bool{}
	c.ifaceOf = map[string]string{}
	for _, i := range s.Instances {
		c.ifaceOf[i.Name] = i.Interface
		ah[i.Interface] = ah[i.Interface] || i.Auth == vrrp.AuthAH
		if c.instances[i.Name] == nil {
			c.instances[i.Name] = newInstanceCount()
		}
		if c.interfaces[i.Interface] == nil {
			c.interfaces[i.Interface] = &InterfaceStats{}
		}
	}
	maps.DeleteFunc(c.instances, func(name string, _ *instanceCount) bool { _, ok := c.ifaceOf[name]; return !ok })
	maps.DeleteFunc(c.interfaces, func(name string, _ *InterfaceStats) bool { _, ok := ah[name]; return !ok })
	c.ifaces = nil
	for name, ah := range ah {
		c.ifaces = append(c.ifaces, Interface{Name: name, AH: ah})
	}
	slices.SortFunc(c.ifaces, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
}

func newInstanceCount() *instanceCount {
	return &instanceCount{
		InstanceStats: InstanceStats{Ignored: map[vrrp.IgnoreReason]Ignored{}},
		logged:        map[vrrp.IgnoreReason]bool{},
	}
}

// instance returns an instance's counters. One that the Spec does not have any
// more (it says farewell) gets some that nobody reads.
func (c *counters) instance(name string) *instanceCount {
	if i := c.instances[name]; i != nil {
		return i
	}
	return newInstanceCount()
}

func (c *counters) iface(instance string) string { return c.ifaceOf[instance] }

func (c *counters) delivered(iface string, now time.Time) {
	if i := c.interfaces[iface]; i != nil {
		i.Delivered++
		i.LastDelivered = now
	}
}

func (c *counters) sent(a vrrp.SendPacket, err error) {
	i := c.instance(a.Instance)
	if err != nil {
		i.SendErrors++
		return
	}
	i.AdvertsSent++
	if a.Priority == 0 {
		i.PriorityZeroSent++
	}
}

func (c *counters) transition(a vrrp.Transition) {
	i := c.instance(a.Instance)
	clear(i.logged)
	if a.To == vrrp.Active {
		i.BecameMaster++
	}
	if a.From == vrrp.Active {
		i.ReleasedMaster++
	}
}

func (c *counters) contended(now time.Time, a vrrp.Contended) {
	i := c.instance(a.Instance)
	i.Contended++
	i.LastContended, i.LastContender = now, a.From
}

// ignored reports whether it is the first of its kind since the instance's
// last change of state; without an instance, the first ever.
func (c *counters) ignored(now time.Time, a vrrp.Ignored) (first bool) {
	if a.Instance == "" {
		old := c.unmatched[a.Reason]
		c.unmatched[a.Reason] = Ignored{Count: old.Count + 1, Last: now, From: a.From, Detail: a.Detail}
		return old.Count == 0
	}
	i := c.instance(a.Instance)
	i.Ignored[a.Reason] = Ignored{Count: i.Ignored[a.Reason].Count + 1, Last: now, From: a.From, Detail: a.Detail}
	first = !i.logged[a.Reason]
	i.logged[a.Reason] = true
	return first
}

// status returns a copy that shares nothing.
func (c *counters) status(now time.Time, m vrrp.Status, troubles map[string]string) *Status {
	s := &Status{
		Time: now, Machine: m,
		Instances:  make(map[string]InstanceStats, len(c.instances)),
		Interfaces: make(map[string]InterfaceStats, len(c.interfaces)),
		Unmatched:  maps.Clone(c.unmatched),
	}
	for name, i := range c.instances {
		stats := i.InstanceStats
		stats.Ignored = maps.Clone(i.Ignored)
		s.Instances[name] = stats
	}
	for name, i := range c.interfaces {
		stats := *i
		stats.Trouble = troubles[name]
		s.Interfaces[name] = stats
	}
	return s
}
