package vrrptest

import (
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// router is a director and its host.
type router struct {
	lan     *lan
	name    string
	spec    vrrp.Spec // as described so far
	running vrrp.Spec // what the machine was given
	links   map[string]bool
	sources map[string]netip.Addr
	ifaces  []string // in the order given

	machine   *vrrp.Machine // nil: no process
	life      int           // counts processes and deadlines, to tell old events
	remembers []vrrp.Resume // what a killed process left
	hostDelay time.Duration

	states     map[string]vrrp.State
	priorities map[string]uint8
}

// boot starts a process.
func (r *router) boot(resume []vrrp.Resume) error {
	if r.machine != nil {
		return fmt.Errorf("%s runs already", r.name)
	}
	r.machine, r.running = vrrp.New(r.spec), r.spec
	r.states, r.priorities = map[string]vrrp.State{}, map[string]uint8{}
	for _, i := range r.spec.Instances {
		r.priorities[i.Name] = i.Priority
	}
	for _, iface := range r.ifaces {
		r.step(vrrp.LinkChanged{Interface: iface, Up: r.links[iface]})
		r.step(vrrp.SourceChanged{Interface: iface, Addr: r.sources[iface]})
	}
	r.step(vrrp.Start{Resume: resume})
	return nil
}

func (r *router) kill() {
	if r.machine != nil {
		r.remembers = r.machine.Resumes()
	}
	r.machine = nil
	r.life++
}

func (r *router) receive(iface string, packet []byte) {
	if r.links[iface] {
		r.step(vrrp.PacketReceived{Interface: iface, Packet: packet})
	}
}

// step gives the machine an input and does what it asks for.
func (r *router) step(in vrrp.Input) {
	if r.machine == nil {
		return
	}
	before := r.states
	actions := r.machine.Step(r.lan.now, in)
	if len(actions) > 0 {
		r.states = maps.Clone(before)
	}
	for _, a := range actions {
		r.lan.show(r, a)
		r.apply(a)
	}
	if len(actions) > 0 {
		r.lan.judge(r, in, before, actions)
	}
	r.life++
	life := r.life
	if due, ok := r.machine.Deadline(); ok {
		r.lan.at(due, func() {
			if r.life == life {
				r.step(vrrp.TimerFired{})
			}
		})
	}
}

func (r *router) apply(a vrrp.Action) {
	switch a := a.(type) {
	case vrrp.SendPacket:
		r.lan.transmit(r, a.Interface, a.Packet)
	case vrrp.Transition:
		r.states[a.Instance], r.priorities[a.Instance] = a.To, a.Priority
		if a.To == vrrp.Active {
			m := r.machine
			r.lan.at(r.lan.now.Add(r.hostDelay), func() {
				if r.machine == m {
					r.step(vrrp.AddressesReady{Instance: a.Instance})
				}
			})
		}
	case vrrp.PriorityChanged:
		r.priorities[a.Instance] = a.To
	case vrrp.Announce, vrrp.GroupTransition, vrrp.ScriptChanged, vrrp.Ignored, vrrp.Contended:
	}
}

func (r *router) instance(name string) *vrrp.InstanceSpec {
	for n := range r.spec.Instances {
		if r.spec.Instances[n].Name == name {
			return &r.spec.Instances[n]
		}
	}
	return nil
}
