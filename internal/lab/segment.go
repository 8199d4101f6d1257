package lab

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// bridgeName is the switch in a segment's namespace.
const bridgeName = "br0"

// Segment is one layer-2 segment: a bridge in a namespace of its own.
type Segment struct {
	name   string
	lab    *Lab
	thread *thread
	ns     netns.NsHandle
	nl     *netlink.Handle
	bridge netlink.Link
	ports  int
}

func newSegment(l *Lab, spec SegmentSpec) (*Segment, error) {
	s := &Segment{name: spec.Name, lab: l, ns: netns.None()}
	path := l.namespacePath(spec.Name)
	var err error
	if s.thread, err = newThread(func() error { return enterNew(path) }); err != nil {
		return nil, err
	}
	if err := s.setup(path); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Segment) setup(path string) (err error) {
	if s.ns, err = netns.GetFromPath(path); err != nil {
		return fmt.Errorf("open namespace: %w", err)
	}
	if s.nl, err = netlink.NewHandleAt(s.ns); err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	// The switch itself has no business on the network: no IPv6 of its own.
	if err := s.thread.do(func() error { return writeSysctl("net.ipv6.conf.default.disable_ipv6", "1") }); err != nil {
		return err
	}
	snooping := false
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	if err := s.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if s.bridge, err = s.nl.LinkByName(bridgeName); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if err := s.nl.LinkSetUp(s.bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return nil
}

// plug makes a cable from the bridge to an interface of a host and returns
// the bridge's end, still down.
func (s *Segment) plug(h *Host, spec IfaceSpec) (netlink.Link, error) {
	s.ports++
	port := h.spec.Name + "-" + spec.Name
	if len(port) > 15 {
		port = fmt.Sprintf("port%d", s.ports)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	attrs.MasterIndex = s.bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: spec.Name, PeerNamespace: netlink.NsFd(h.ns)}
	if err := s.nl.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("cable to segment %s: %w", s.name, err)
	}
	link, err := s.nl.LinkByName(port)
	if err != nil {
		return nil, fmt.Errorf("cable to segment %s: %w", s.name, err)
	}
	return link, nil
}

func (s *Segment) close() {
	if s.nl != nil {
		s.nl.Close()
	}
	if s.ns.IsOpen() {
		if err := s.ns.Close(); err != nil {
			s.lab.log.Warn("segment not closed", "segment", s.name, "reason", err)
		}
	}
	s.thread.stop()
}
