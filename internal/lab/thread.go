package lab

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// errClosed is what a thread answers after its lab was closed.
var errClosed = errors.New("the lab is closed")

// thread is one operating-system thread that lives inside a host. Functions
// given to it run there, one after the other; sockets they make and programs
// they start belong to the host. It must not be kept waiting: a function
// makes its socket and returns.
//
// It lives as long as its host. That matters for the programs it starts: the
// kernel ties their parent-death signal to the thread, so they die with the
// lab, however the lab dies.
type thread struct {
	work chan func()
	quit chan struct{}
	done chan struct{}
}

// newThread starts a thread and runs enter on it first.
func newThread(enter func() error) (*thread, error) {
	t := &thread{work: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(t.done)
		runtime.LockOSThread()
		// The process's first thread is what /proc/PID describes, and Go
		// cannot end it: never take it into a host.
		if unix.Gettid() == unix.Getpid() {
			next, err := newThread(enter)
			if err == nil {
				*t = thread{work: next.work, quit: next.quit, done: t.done}
			}
			runtime.UnlockOSThread()
			started <- err
			if err == nil {
				<-next.done
			}
			return
		}
		if err := enter(); err != nil {
			started <- err
			return // locked: the thread ends with the goroutine
		}
		started <- nil
		t.loop()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return t, nil
}

func (t *thread) loop() {
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.quit:
			return
		}
	}
}

// do runs f on the thread and waits for it.
func (t *thread) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case t.work <- func() { result <- f() }:
		return <-result
	case <-t.done:
		return errClosed
	}
}

// stop ends the thread and waits until it is gone.
func (t *thread) stop() {
	select {
	case <-t.done:
	case t.quit <- struct{}{}:
		<-t.done
	}
}
