package director

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
)

// pidFiles are the files with this process's id that are there now.
type pidFiles struct {
	files PIDFiles
	log   *slog.Logger
}

// write makes the files of what c runs, and removes the others of ours.
func (p pidFiles) write(c *config.Config) {
	for _, f := range []struct {
		path string
		runs bool
	}{{p.files.VRRP, len(c.Instances) > 0}, {p.files.Checks, len(c.VirtualServers) > 0}} {
		err := RemovePIDFile(f.path)
		if f.runs {
			err = WritePIDFile(f.path)
		}
		if err != nil {
			p.log.Warn("pid file", "file", f.path, "reason", err)
		}
	}
}

func (p pidFiles) remove() error {
	return errors.Join(RemovePIDFile(p.files.VRRP), RemovePIDFile(p.files.Checks))
}

// WritePIDFile writes this process's id to path, whatever is there, and makes
// its directory. It does nothing for an empty path.
func WritePIDFile(path string) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// Rename, so that whoever reads it at this moment finds a number.
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// RemovePIDFile removes path if it holds this process's id: another process
// may have taken it over.
func RemovePIDFile(path string) error {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(os.Getpid()) {
		return err
	}
	return ignoreMissing(os.Remove(path))
}
