package lab

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// acceptNative makes the switch's end of a cable take frames that a native
// XDP program at the host's end transmits: a veth end without a program of
// its own drops them in silence. The program passes everything on.
func (c *cable) acceptNative() error {
	const xdpPass = 2
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "lab_pass", Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("XDP pass program: %w", err)
	}
	err = c.segment.thread.do(func() error {
		return netlink.LinkSetXdpFdWithFlags(c.end, prog.FD(), unix.XDP_FLAGS_DRV_MODE)
	})
	// The interface keeps the program.
	if err := errors.Join(err, prog.Close()); err != nil {
		return fmt.Errorf("XDP pass program at the switch port: %w", err)
	}
	return nil
}
