package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kaname-lb/kaname/internal/process"
)

// Command runs shell commands because of what happened.
type Command struct {
	// Timeout limits one run; its whole process group is ended then.
	Timeout time.Duration
	// Output takes what commands print; nil discards it.
	Output *os.File
}

// Run runs text by sh(1). The command finds the fields of j as JSON on its
// standard input and as KANAME_... in its environment. The values are
// addresses, numbers and fixed words, so none of them means anything to a shell.
func (c Command) Run(ctx context.Context, text string, j Job) error {
	body, err := j.Fields.JSON(j.Merged)
	if err != nil {
		return err
	}
	r := process.Command{
		Argv: []string{"/bin/sh", "-c", text}, Env: j.Fields.Environment(j.Merged),
		Stdin: body, Output: c.Output, Timeout: c.Timeout,
	}.Run(ctx)
	switch {
	case r.OK():
		return nil
	case r.Err != nil && ctx.Err() != nil:
		return fmt.Errorf("command %q: broken off", text)
	case r.Err != nil:
		return fmt.Errorf("command %q: %w", text, r.Err)
	}
	return fmt.Errorf("command %q: %w", text, errors.New(r.String()))
}
