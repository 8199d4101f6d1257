package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/configio"
	"github.com/kaname-lb/kaname/internal/config/format"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// stdinName stands for standard input in messages.
const stdinName = "<stdin>"

// formatting is one call of `kaname fmt`.
type formatting struct {
	*app
	write, diff, list, modern bool
	main, id                  string
	files                     []string
	includes                  map[string][]string // the files that a file reads
}

func newFmt(a *app) *cobra.Command {
	r := &formatting{app: a, includes: map[string][]string{}}
	c := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "Print a configuration in canonical layout, with today's spellings if asked",
		Long: "fmt prints keepalived.conf files in canonical layout: comments and meaning stay.\n" +
			"Without FILE, or for -, it reads standard input. Files that are included are\n" +
			"formatted when they are named. With --modern it also writes old spellings as\n" +
			"today's and takes out lines that are overridden or without effect; each change\n" +
			"is told, and only made when the configuration is proved to stay the same.\n\n" +
			"Exit status: 0 done, 1 with --list: a file would change, 2 a file cannot be read\n" +
			"or written.",
		RunE: func(_ *cobra.Command, files []string) error {
			r.files = files
			if len(files) == 0 {
				r.files = []string{"-"}
			}
			return r.run()
		},
	}
	f := c.Flags()
	f.BoolVarP(&r.write, "write", "w", false, "rewrite the files that change instead of printing them")
	f.BoolVarP(&r.diff, "diff", "d", false, "print what would change as a unified diff")
	f.BoolVarP(&r.list, "list", "l", false, "print the names of the files that would change, and exit 1 if there are any")
	f.BoolVar(&r.list, "check", false, "the same as --list")
	f.BoolVar(&r.modern, "modern", false, "also write old spellings as today's, and take out what is overridden or has no effect")
	f.StringVar(&r.main, "main", "", "with --modern: the main `FILE` that includes those named")
	f.StringVar(&r.id, "config-id", "", "with --modern: `ID` that @ID lines are compared with (default the host name up to the first dot)")
	return c
}

// run formats every file; one that fails does not keep the others.
func (r *formatting) run() error {
	if err := r.usage(); err != nil {
		return err
	}
	if r.id == "" {
		r.id = r.configID()
	}
	var changed, failed bool
	for _, file := range r.files {
		differs, err := r.file(file)
		if err != nil {
			fmt.Fprintf(r.env.Stderr, "kaname: fmt: %s\n", err)
			failed = true
		}
		changed = changed || differs
	}
	switch {
	case failed:
		return &exitError{code: ExitUnusable}
	case changed && r.list:
		return &exitError{code: ExitFailed}
	}
	return nil
}

func (r *formatting) usage() error {
	modes := 0
	for _, on := range []bool{r.write, r.diff, r.list} {
		if on {
			modes++
		}
	}
	switch {
	case modes > 1:
		return usageError("fmt: only one of --write, --diff and --list")
	case r.write && slices.Contains(r.files, "-"):
		return usageError("fmt: --write needs files: standard input cannot be rewritten")
	case r.main != "" && !r.modern:
		return usageError("fmt: --main is for --modern")
	}
	return nil
}

// file formats one file and reports whether it differs.
func (r *formatting) file(file string) (differs bool, err error) {
	name := file
	if file == "-" {
		name = stdinName
	}
	content, err := r.read(file)
	if err != nil {
		return false, err
	}
	text, err := r.format(name, content)
	if err != nil {
		return false, err
	}
	differs = text != content
	switch {
	case r.write && differs:
		return true, configio.Rewrite(file, []byte(content), []byte(text))
	case r.write:
	case r.diff:
		_, err = io.WriteString(r.env.Stdout, format.Diff(name, name, content, text))
	case r.list && differs:
		_, err = fmt.Fprintln(r.env.Stdout, name)
	case r.list:
	default:
		_, err = io.WriteString(r.env.Stdout, text)
	}
	return differs, err
}

func (r *formatting) read(file string) (string, error) {
	if file == "-" {
		b, err := io.ReadAll(io.LimitReader(r.env.Stdin, configio.MaxFile+1))
		if err == nil && len(b) > configio.MaxFile {
			err = fmt.Errorf("%s: larger than %d MiB", stdinName, configio.MaxFile>>20)
		}
		return string(b), err
	}
	b, mode, err := r.env.Files.Read(file)
	var at *fs.PathError
	switch {
	case errors.As(err, &at):
		err = fmt.Errorf("%s: %w: name a file that can be read", file, at.Err)
	case err == nil && !mode.IsRegular():
		err = fmt.Errorf("%s: not a regular file: name a file that can be read", file)
	}
	return string(b), err
}

var errNotProved = errors.New("the file would mean something else when formatted, and is left as it is; this is a mistake of kaname: please report it with the file")

// format returns the text to print and tells what is worth telling.
func (r *formatting) format(name, content string) (string, error) {
	if r.modern {
		mains, err := r.mains(name)
		if err != nil {
			return "", err
		}
		res := format.Modern(r.env.Files, name, content, format.Options{Load: r.loadOptions(r.id), Mains: mains})
		for _, c := range res.Changes {
			warning := ""
			if c.Severity > finding.Note {
				warning = c.Severity.String() + ": "
			}
			fmt.Fprintf(r.env.Stderr, "%s: %s%s\n", c.Where, warning, c.What)
		}
		return res.Text, nil
	}
	text := format.Format(name, content)
	if !format.Same(name, content, text, syntax.Options{ConfigID: r.id, Grammar: config.Grammar()}) {
		return "", fmt.Errorf("%s: %w", name, errNotProved)
	}
	if len(content) >= len(format.BOM) && content[:len(format.BOM)] == format.BOM {
		fmt.Fprintf(r.env.Stderr, "%s:1: the byte order mark stays: keepalived loses the first block over it; --modern removes it\n", name)
	}
	return text, nil
}

// mains returns the files by which a named file is proved: those among the
// named ones and --main that include it.
func (r *formatting) mains(name string) ([]format.Main, error) {
	var out []format.Main
	roots := r.files
	if r.main != "" {
		roots = append([]string{r.main}, roots...)
	}
	for _, root := range slices.Compact(slices.Sorted(slices.Values(roots))) {
		if root == "-" || configio.SameFile(root, name) {
			continue
		}
		for _, f := range r.reads(root) {
			if configio.SameFile(f, name) {
				out = append(out, format.Main{File: root, As: f})
			}
		}
	}
	if r.main != "" && len(out) == 0 && !configio.SameFile(r.main, name) {
		if _, err := r.read(r.main); err != nil {
			return nil, fmt.Errorf("--main %w", err)
		}
		return nil, fmt.Errorf("%s: not included by %s: name the main file that includes it", name, r.main)
	}
	return out, nil
}

// reads returns the files that a main file reads.
func (r *formatting) reads(root string) []string {
	if _, known := r.includes[root]; !known {
		_, tree, _ := config.Load(r.env.Files, root, r.loadOptions(r.id))
		r.includes[root] = tree.Files
	}
	return r.includes[root]
}
