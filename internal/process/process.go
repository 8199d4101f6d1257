package process

import (
	"context"
	"time"
)

// Command is a configured command. The zero User and Group run it as this
// process runs. There is no shell: Argv[0] is a path, or a name looked up in PATH.
type Command struct {
	Argv []string
	// User and Group are names or numbers. A user without a group brings its
	// own primary group. Supplementary groups are dropped with either.
	User, Group string
	// Env is added to the environment, as "NAME=value".
	Env []string
	// Timeout limits the run, 0 for none.
	Timeout time.Duration
}

// Result is the end of one run.
type Result struct {
	// Status is the exit status, -1 when a signal ended the command or it
	// could not be started.
	Status int
	// Signal ended the command, 0 when it exited.
	Signal int
	// TimedOut says that the time-out passed; the command was killed.
	TimedOut bool
	Duration time.Duration
	// Err says why the command could not be started or was cancelled. An exit
	// status other than 0 is not an error here.
	Err error
}

// OK reports whether the command ran and exited with 0 in time.
func (r Result) OK() bool { return r.Err == nil && r.Status == 0 && !r.TimedOut }

// Run starts the command and waits for its end. When ctx ends the command is
// killed as on a time-out and Result.Err is ctx's cause.
//
// The command is a child of the calling thread and inherits its network
// namespace; the thread is held until the command ended, since the
// parent-death signal follows the thread and not the process.
func (c Command) Run(ctx context.Context) Result { panic("being written") }

// Start runs the command in a goroutine of its own and hands its Result to
// the returned channel, which has room for it: nobody need receive.
func (c Command) Start(ctx context.Context) <-chan Result { panic("being written") }
