package lab

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// filterTable is the nftables table of the lab in a host.
const filterTable = "kaname-lab"

// Drop is one packet filter rule: packets that match all that is set are
// dropped. Direction is seen from the host.
type Drop struct {
	Incoming bool   // else outgoing
	Iface    string // empty: any
	Protocol uint8  // IP protocol number, 112 is VRRP; 0: any
	Port     uint16 // destination port, for TCP and UDP; 0: any
}

// AddDrop puts a rule into the host's packet filter.
func (h *Host) AddDrop(d Drop) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(h.ns)))
	if err != nil {
		return fmt.Errorf("host %s: nftables: %w", h.spec.Name, err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: filterTable})
	hook, name := nftables.ChainHookOutput, "output"
	if d.Incoming {
		hook, name = nftables.ChainHookInput, "input"
	}
	chain := c.AddChain(&nftables.Chain{
		Name: name, Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: hook, Priority: nftables.ChainPriorityFilter,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: d.exprs()})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("host %s: nftables rule: %w", h.spec.Name, err)
	}
	return nil
}

// ClearDrops removes all rules that AddDrop made in the host.
func (h *Host) ClearDrops() error {
	if err := h.clearFilters(); err != nil {
		return fmt.Errorf("host %s: %w", h.spec.Name, err)
	}
	return nil
}

func (h *Host) clearFilters() error {
	c, err := nftables.New(nftables.WithNetNSFd(int(h.ns)))
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	tables, err := c.ListTables()
	if err != nil {
		return fmt.Errorf("nftables tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == filterTable {
			c.DelTable(t)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

func (d Drop) exprs() []expr.Any {
	var e []expr.Any
	equal := func(load expr.Any, data []byte) {
		e = append(e, load, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data})
	}
	if d.Iface != "" {
		key := expr.MetaKeyOIFNAME
		if d.Incoming {
			key = expr.MetaKeyIIFNAME
		}
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, d.Iface)
		equal(&expr.Meta{Key: key, Register: 1}, name)
	}
	if d.Protocol != 0 {
		equal(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, []byte{d.Protocol})
	}
	if d.Port != 0 {
		load := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
		equal(load, binary.BigEndian.AppendUint16(nil, d.Port))
	}
	return append(e, &expr.Verdict{Kind: expr.VerdictDrop})
}
