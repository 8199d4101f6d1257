package observe

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// kernel finds out what the kernel can do, by trying where that changes nothing.
func (g *gatherer) kernel() {
	g.host.Kernel["bpf"] = hasBPF()
	g.host.Kernel["ip_vs"] = g.hasModule("ip_vs")
}

// hasBPF calls bpf with a command that no kernel has.
func hasBPF() bool {
	const noCommand = 1 << 20
	_, _, errno := unix.Syscall(unix.SYS_BPF, noCommand, 0, 0)
	return !errors.Is(errno, unix.ENOSYS)
}

// hasModule reports whether the kernel has a module loaded, built in, or on disk.
func (g *gatherer) hasModule(name string) bool {
	if _, err := os.Stat(g.path("sys/module/" + name)); err == nil {
		return true
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false
	}
	dir := "lib/modules/" + unix.ByteSliceToString(u.Release[:])
	for _, list := range []string{"modules.builtin", "modules.dep"} {
		if strings.Contains(g.read(dir+"/"+list), "/"+name+".ko") {
			return true
		}
	}
	return false
}
