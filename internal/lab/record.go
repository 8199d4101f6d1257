package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// recordDir is where labs write down what they own. It is under /run, as the
// namespaces are: neither outlives a reboot.
const recordDir = "/run/kaname-lab"

// netnsDir is where iproute2 looks for named network namespaces.
const netnsDir = "/run/netns"

// Record says who owns a lab. Everything else follows from ID: namespaces are
// named ID-<name>.
type Record struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"` // what it is for, shown to people
	PID     int       `json:"pid"`
	Started uint64    `json:"started"` // start time of PID, clock ticks since boot
	Created time.Time `json:"created"`
	Dir     string    `json:"dir"` // logs, sockets, generated files
}

// Alive reports whether the process that made the lab still runs.
func (r Record) Alive() bool {
	started, err := startTime(r.PID)
	return err == nil && started == r.Started
}

// Namespaces are the paths of the named network namespaces of the lab, those
// that exist.
func (r Record) Namespaces() []string {
	found, err := filepath.Glob(filepath.Join(netnsDir, r.ID+"-*"))
	if err != nil { // only a bad pattern, and an ID is letters and digits
		return nil
	}
	return found
}

func (r Record) path() string { return filepath.Join(recordDir, r.ID+".json") }

func (r Record) write() error {
	if err := os.MkdirAll(recordDir, 0o755); err != nil {
		return fmt.Errorf("lab records: %w", err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("lab record %s: %w", r.ID, err)
	}
	// Renamed into place: a reader never sees half a record.
	tmp := filepath.Join(recordDir, "."+r.ID)
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return fmt.Errorf("lab record: %w", err)
	}
	if err := os.Rename(tmp, r.path()); err != nil {
		return fmt.Errorf("lab record: %w", err)
	}
	return nil
}

// List returns the records of all labs on this machine, living and stale.
func List() ([]Record, error) {
	names, err := filepath.Glob(filepath.Join(recordDir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("lab records: %w", err)
	}
	var all []Record
	for _, name := range names {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its owner closed it meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("lab record: %w", err)
		}
		var r Record
		if err := json.Unmarshal(b, &r); err != nil || r.ID == "" || r.path() != name {
			return nil, fmt.Errorf("lab record %s: not a record of ours; remove it by hand", name)
		}
		all = append(all, r)
	}
	return all, nil
}

// CleanStale removes what labs left whose owner is gone, and returns their
// records. Living labs are not touched.
func CleanStale() ([]Record, error) {
	all, err := List()
	if err != nil {
		return nil, err
	}
	var gone []Record
	var errs []error
	for _, r := range all {
		if r.Alive() {
			continue
		}
		if err := r.remove(); err != nil {
			errs = append(errs, fmt.Errorf("stale lab %s: %w", r.ID, err))
			continue
		}
		gone = append(gone, r)
	}
	return gone, errors.Join(errs...)
}

// remove ends the lab's processes, deletes its namespaces (and with them
// links, addresses and attached programs) and its files, and the record last.
func (r Record) remove() error {
	var errs []error
	for _, ns := range r.Namespaces() {
		if err := killInside(ns); err != nil {
			errs = append(errs, err)
		}
		if err := removeNamed(ns); err != nil {
			errs = append(errs, err)
		}
	}
	if r.Dir != "" {
		if err := os.RemoveAll(r.Dir); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		if err := os.Remove(r.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// startTime is field 22 of /proc/PID/stat. With the pid it names a process
// for good, where a pid alone is used again.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command name may hold anything; fields count from its last ")".
	rest := string(b)[strings.LastIndexByte(string(b), ')')+1:]
	f := strings.Fields(rest)
	if len(f) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields after the name, want 20", pid, len(f))
	}
	if f[0] == "Z" || f[0] == "X" {
		return 0, fmt.Errorf("process %d is dead", pid)
	}
	return strconv.ParseUint(f[19], 10, 64)
}
