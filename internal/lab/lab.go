package lab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options of Build. The zero value is useful.
type Options struct {
	// Name says what the lab is for; `kaname lab list` shows it.
	Name string
	// Log takes what goes wrong where no error can be returned; nil discards.
	Log *slog.Logger
}

// Lab is a built topology. Its methods are safe for concurrent use.
type Lab struct {
	record   Record
	log      *slog.Logger
	topology Topology
	segments map[string]*Segment
	hosts    map[string]*Host

	closing sync.Once
	closed  error
}

// living are the labs of this process, for CloseOnSignal.
var living = struct {
	sync.Mutex
	labs map[*Lab]bool
}{labs: map[*Lab]bool{}}

// Build makes the topology. It needs root. When it fails, nothing is left
// behind; what a dead owner left of an earlier lab is removed first.
// The caller must Close the lab.
func Build(t Topology, o Options) (*Lab, error) {
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("a lab needs root: it makes network namespaces")
	}
	l := &Lab{log: o.Log, topology: t, segments: map[string]*Segment{}, hosts: map[string]*Host{}}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if _, err := CleanStale(); err != nil {
		l.log.Warn("stale labs remain", "reason", err)
	}
	if err := l.register(o.Name); err != nil {
		return nil, err
	}
	if err := l.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: %w", err), l.Close())
	}
	return l, nil
}

// register writes the record before anything exists that it would own.
func (l *Lab) register(name string) error {
	started, err := startTime(os.Getpid())
	if err != nil {
		return fmt.Errorf("own start time: %w", err)
	}
	random := make([]byte, 2)
	rand.Read(random) // never fails since Go 1.24
	id := fmt.Sprintf("kn%d%s", os.Getpid(), hex.EncodeToString(random))
	dir, err := os.MkdirTemp("", id+"-")
	if err != nil {
		return fmt.Errorf("lab directory: %w", err)
	}
	// Programs of a host may run as another user and write their results here.
	if err := os.Chmod(dir, 0o755); err != nil {
		return errors.Join(fmt.Errorf("lab directory: %w", err), os.RemoveAll(dir))
	}
	l.record = Record{ID: id, Name: name, PID: os.Getpid(), Started: started, Created: time.Now(), Dir: dir}
	if err := l.record.write(); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	living.Lock()
	living.labs[l] = true
	living.Unlock()
	return nil
}

func (l *Lab) build() error {
	for _, spec := range l.topology.Segments {
		s, err := newSegment(l, spec)
		if err != nil {
			return fmt.Errorf("segment %s: %w", spec.Name, err)
		}
		l.segments[spec.Name] = s
	}
	for _, spec := range l.topology.Hosts {
		h, err := newHost(l, spec)
		if h != nil { // half made is still ours to remove
			l.hosts[spec.Name] = h
		}
		if err != nil {
			return fmt.Errorf("host %s: %w", spec.Name, err)
		}
	}
	return nil
}

// Host returns the host of that name. A name that the topology does not have
// is a mistake in the program, so it panics.
func (l *Lab) Host(name string) *Host {
	h := l.hosts[name]
	if h == nil {
		panic("lab: no host named " + name)
	}
	return h
}

// Dir is the lab's directory for files: logs, sockets, configurations. Every
// host's programs see it. It is removed by Close.
func (l *Lab) Dir() string { return l.record.Dir }

// ID is the prefix of everything that the lab owns.
func (l *Lab) ID() string { return l.record.ID }

// NamespacePath is the named network namespace of a host or segment.
func (l *Lab) namespacePath(name string) string {
	return filepath.Join(netnsDir, l.record.ID+"-"+name)
}

// Close kills every process of the lab and removes all of it. It may be
// called more than once.
func (l *Lab) Close() error {
	l.closing.Do(func() {
		var errs []error
		for _, h := range l.hosts {
			errs = append(errs, h.close())
		}
		for _, s := range l.segments {
			s.close()
		}
		errs = append(errs, l.record.remove())
		l.closed = errors.Join(errs...)
		living.Lock()
		delete(living.labs, l)
		living.Unlock()
	})
	return l.closed
}

// CloseOnSignal closes all labs of this process when SIGINT, SIGTERM or SIGHUP
// arrives, and lets the signal then do what it does. The returned function
// ends that.
func CloseOnSignal() (stop func()) {
	caught := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(caught, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	go func() {
		select {
		case s := <-caught:
			closeAll()
			signal.Stop(caught)
			signal.Reset(s)
			if sig, ok := s.(unix.Signal); ok {
				if err := unix.Kill(os.Getpid(), sig); err == nil {
					return
				}
			}
			os.Exit(1)
		case <-done:
		}
	}()
	return sync.OnceFunc(func() {
		signal.Stop(caught)
		close(done)
	})
}

func closeAll() {
	living.Lock()
	labs := make([]*Lab, 0, len(living.labs))
	for l := range living.labs {
		labs = append(labs, l)
	}
	living.Unlock()
	for _, l := range labs {
		if err := l.Close(); err != nil {
			l.log.Error("lab not wholly removed; `kaname lab clean` finishes it", "lab", l.record.ID, "reason", err)
		}
	}
}
