package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/process"
)

// accounts looks up users and groups.
func (g *gatherer) accounts(q lint.Questions) {
	for _, name := range q.Users {
		_, err := user.Lookup(name)
		g.host.Users[name] = err == nil
	}
	for _, name := range q.Groups {
		_, err := user.LookupGroup(name)
		g.host.Groups[name] = err == nil
	}
}

// programs looks at commands as the daemon would before it runs them.
func (g *gatherer) programs(q lint.Questions) {
	for _, name := range q.Programs {
		p := lint.Program{Name: name}
		path, err := process.Resolve(name)
		switch {
		case err == nil:
			if unsafe, ok := errors.AsType[*process.InsecureError](process.CheckSecurity(path)); ok {
				p.Unsafe = unsafe.Element + " " + unsafe.Why
			}
		case hidden(name, err):
			g.unknown("program "+name, errors.New("its directory is not open to this user"))
			continue
		default:
			p.Problem = reason(err)
		}
		g.host.Programs = append(g.host.Programs, p)
	}
}

// hidden reports whether a program may be fine for root, but this user cannot
// see it.
func hidden(name string, err error) bool {
	_, statErr := os.Stat(name)
	return errors.Is(err, fs.ErrPermission) && errors.Is(statErr, fs.ErrPermission)
}

// reason is the innermost error.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// files says what is at the paths that the daemon would use.
func (g *gatherer) files(q lint.Questions) {
	for _, path := range q.Files {
		f := lint.HostFile{Path: path, Type: "missing"}
		info, err := os.Stat(path)
		switch {
		case err == nil:
			f.Type, f.FS = fileType(info.Mode()), fileSystem(path)
		case errors.Is(err, fs.ErrNotExist):
			f.FS = fileSystem(filepath.Dir(path))
		default:
			g.unknown("file "+path, err)
			continue
		}
		g.host.Files = append(g.host.Files, f)
	}
}

func fileType(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "regular"
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	}
	return "other"
}

// fileSystem names the type of the file system at a path, "" when there is
// nothing.
func fileSystem(path string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return ""
	}
	// Types are 32 bits in the kernel, and some of them have the highest one set.
	kind := uint32(st.Type)
	if name := fileSystems[kind]; name != "" {
		return name
	}
	return fmt.Sprintf("0x%x", kind)
}

var fileSystems = map[uint32]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.NFS_SUPER_MAGIC: "nfs", unix.CIFS_SUPER_MAGIC: "cifs", unix.SMB2_SUPER_MAGIC: "cifs", unix.CEPH_SUPER_MAGIC: "ceph",
	unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs", unix.FUSE_SUPER_MAGIC: "fuse", unix.V9FS_MAGIC: "9p",
}

// systemNetwork are the files in which systems configure addresses.
var systemNetwork = []string{
	"etc/netplan/*.yaml", "run/netplan/*.yaml", "lib/netplan/*.yaml",
	"etc/network/interfaces", "etc/network/interfaces.d/*",
	"etc/sysconfig/network-scripts/ifcfg-*", "etc/sysconfig/network/ifcfg-*",
	"etc/systemd/network/*.network", "run/systemd/network/*.network",
	"etc/NetworkManager/system-connections/*", "run/NetworkManager/system-connections/*",
	"etc/cloud/cloud.cfg.d/*.cfg", "etc/dhcpcd.conf", "etc/rc.local",
}

// configured looks for virtual addresses in the system's network configuration.
func (g *gatherer) configured(q lint.Questions) {
	if len(q.Virtual) == 0 {
		return
	}
	wanted := map[string]bool{}
	for _, a := range q.Virtual {
		wanted[a.String()] = true
	}
	for _, pattern := range systemNetwork {
		names, _ := filepath.Glob(g.path(pattern)) // the patterns are right
		for _, name := range names {
			b, err := os.ReadFile(name)
			switch {
			case errors.Is(err, fs.ErrPermission):
				g.unknown("network configuration", fmt.Errorf("%s is not open to this user", name))
			case err == nil:
				g.host.Configured = append(g.host.Configured, findAddresses(string(b), name, wanted)...)
			}
		}
	}
}

// findAddresses returns where a network configuration names one of the
// addresses as a host's own: not as a gateway or name server, and not in a
// comment.
func findAddresses(text, file string, wanted map[string]bool) []lint.ConfiguredAddress {
	var out []lint.ConfiguredAddress
	n := 0
	for l := range strings.Lines(text) {
		n++
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' || l[0] == ';' || elsewhere(l) {
			continue
		}
		for _, w := range strings.FieldsFunc(l, func(r rune) bool { return strings.ContainsRune(" \t,;=[]\"'()/", r) }) {
			if wanted[w] {
				out = append(out, lint.ConfiguredAddress{Addr: parse(w), File: file, Line: n})
			}
		}
	}
	return out
}

// elsewhere reports whether a line is about the address of another host.
func elsewhere(line string) bool {
	low := strings.ToLower(line)
	for _, word := range []string{"gateway", "via", "dns", "nameserver", "route", "ntp"} {
		if strings.Contains(low, word) {
			return true
		}
	}
	return false
}
