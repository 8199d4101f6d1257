package director

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

// remembered is what a director writes down for its successor, should it be
// killed. It lives on a file system that does not survive a reboot, and names
// the boot in case it does.
type remembered struct {
	Schema    int                 `json:"schema"`
	Boot      string              `json:"boot"`
	Sources   *sources            `json:"sources"`
	VRRP      []vrrp.Resume       `json:"vrrp"`
	Scripts   []vrrp.ScriptStatus `json:"scripts"`
	Health    *health.Remembered  `json:"health"`
	Addresses []desired.Address   `json:"addresses"` // there, or about to be
	Notified  map[string]string   `json:"notified"`  // last state told to scripts, by instance
}

// rememberSchema changes when a successor of another version could not read it.
const rememberSchema = 1

// memory writes remembered to a file, when it differs from the last time.
type memory struct {
	path string
	last []byte
}

func (m *memory) write(r remembered) error {
	r.Schema, r.Boot = rememberSchema, bootID()
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	if bytes.Equal(b, m.last) {
		return nil
	}
	// Rename, so that a kill in between leaves the old text whole. No fsync:
	// only this boot will ever read it.
	tmp := m.path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	if err := os.Rename(tmp, m.path); err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	m.last = b
	return nil
}

func (m *memory) forget() error {
	return errors.Join(ignoreMissing(os.Remove(m.path)), ignoreMissing(os.Remove(m.path+".new")))
}

// recall reads what a predecessor wrote; nil when there is nothing usable.
func recall(path string) (*remembered, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recall: %w", err)
	}
	var r remembered
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("recall %s: %w", filepath.Base(path), err)
	}
	if r.Schema != rememberSchema || r.Boot != bootID() || r.Sources == nil {
		return nil, nil
	}
	return &r, nil
}

// claimedByOthers lists the addresses of the other instances that keep their
// state in the same directory.
func claimedByOthers(o Options) map[string]bool {
	claimed := map[string]bool{}
	files, _ := filepath.Glob(filepath.Join(o.RunDir, "*.state")) // an odd name matches nothing
	for _, f := range files {
		if f == o.stateFile() {
			continue
		}
		if r, err := recall(f); err == nil && r != nil { // else it says nothing
			for _, a := range r.Addresses {
				claimed[bookKey(a.Interface, a.Prefix)] = true
			}
		}
	}
	return claimed
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
