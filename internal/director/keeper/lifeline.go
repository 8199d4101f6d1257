package keeper

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Messages on the lifeline, from the director to its keeper.
const (
	msgReady = "ready"
	msgBye   = "bye "
)

// Lifeline is the director's end of the pair.
type Lifeline struct {
	mu   sync.Mutex
	file *os.File
	lost chan struct{}
}

// Attach takes over the lifeline that the keeper passed as descriptor fd.
func Attach(fd int) (*Lifeline, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("lifeline descriptor %d: %w", fd, err)
	}
	return newLifeline(os.NewFile(uintptr(fd), "lifeline")), nil
}

func newLifeline(f *os.File) *Lifeline {
	l := &Lifeline{file: f, lost: make(chan struct{})}
	go l.wait()
	return l
}

// wait returns when the keeper's end is gone: the keeper never writes.
func (l *Lifeline) wait() {
	buf := make([]byte, 16)
	for {
		if n, err := l.file.Read(buf); err != nil || n == 0 {
			close(l.lost)
			return
		}
	}
}

// Lost is closed when the keeper is gone.
func (l *Lifeline) Lost() <-chan struct{} { return l.lost }

// Ready tells the keeper that the director serves: from now on a crash is
// answered by a restart that resumes.
func (l *Lifeline) Ready() error { return l.send(msgReady) }

// Bye announces an orderly end with the exit status code. The caller exits next.
func (l *Lifeline) Bye(code int) error { return l.send(msgBye + strconv.Itoa(code)) }

func (l *Lifeline) send(s string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.file.WriteString(s)
	return err
}

// Close gives up the director's end; a keeper on the other side takes it for a crash.
func (l *Lifeline) Close() error { return l.file.Close() }

// pair makes a lifeline: ours, and the file to hand to the other process.
func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("lifeline: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "lifeline"), os.NewFile(uintptr(fds[1]), "lifeline"), nil
}

// message is what a keeper reads: ready, bye with a status, or the end.
type message struct {
	ready bool
	bye   bool
	code  int
	gone  bool
}

var errLifeline = errors.New("lifeline: message not understood")

func parse(s string) (message, error) {
	if s == msgReady {
		return message{ready: true}, nil
	}
	if rest, ok := strings.CutPrefix(s, msgBye); ok {
		code, err := strconv.Atoi(rest)
		if err == nil {
			return message{bye: true, code: code}, nil
		}
	}
	return message{}, fmt.Errorf("%w: %q", errLifeline, s)
}

// listen reads f until its end; the last message is always gone.
func listen(f *os.File, out chan<- message) {
	buf := make([]byte, 64)
	for {
		n, err := f.Read(buf)
		if err != nil || n == 0 {
			out <- message{gone: true}
			return
		}
		if m, err := parse(string(buf[:n])); err == nil {
			out <- m
		}
	}
}
