package parity

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sample is a file and what both programs say of it.
type sample struct {
	name          string
	file          string // beneath the stage's directory
	expect        string // recorded exit code of keepalived
	process       bool   // kaname looks at it in a process of its own
	theirs, ours  verdict
	asked, looked bool // both programs have been run
}

// samples returns every file of both kinds.
func (s *stage) samples(t *testing.T) []*sample {
	t.Helper()
	var all []*sample
	s.copyCorpus(t)
	for _, h := range readCorpus(t) {
		all = append(all, &sample{name: "corpus " + h.name, file: h.name, expect: h.expect, process: true})
	}
	for i, u := range readUses(t) {
		file := fmt.Sprintf("use-%d.conf", i)
		s.write(t, file, u.file())
		all = append(all, &sample{name: u.name(), file: file, expect: u.expect})
	}
	return all
}

// TestParity asks both programs about every file. They have to agree whether it
// is accepted, exit code 0, unless the difference is one that differences lists
// and docs/differences.md explains.
func TestParity(t *testing.T) {
	s := newStage(t)
	all := s.samples(t)
	if len(all) < 300 {
		t.Fatalf("%d files; the corpus has to have 300", len(all))
	}
	s.each(t, len(all), func(i int) (err error) {
		x := all[i]
		if x.process {
			x.ours, err = s.ask(kaname, x.file)
		} else {
			x.ours = s.call(x.file)
		}
		if err != nil {
			return err
		}
		x.looked = true
		if x.expect == hangs {
			x.theirs, x.asked = verdict{exit: 124}, true
			return nil
		}
		x.theirs, err = s.ask(keepalived, x.file)
		x.asked = err == nil
		return err
	})
	judge(t, all)
}

func judge(t *testing.T, all []*sample) {
	t.Helper()
	agreed, equal, listed := 0, 0, 0
	var codes []string
	used := map[string]bool{}
	for _, x := range all {
		if !x.asked || !x.looked {
			t.Errorf("%s was not run by both programs", x.name)
		}
		if x.expect != strconv.Itoa(x.theirs.exit) {
			t.Errorf("%s: recorded as exit %s of keepalived, which now exits %d; is this 2.2.7? if so: go test ./test/parity -update", x.name, x.expect, x.theirs.exit)
		}
		if x.theirs.exit == x.ours.exit {
			equal++
		}
		if (x.theirs.exit == 0) == (x.ours.exit == 0) {
			agreed++
			if x.theirs.exit != x.ours.exit {
				codes = append(codes, fmt.Sprintf("%d, not %d: %s", x.ours.exit, x.theirs.exit, x.name))
			}
			continue
		}
		if reason, by := findDifference(x); by != "" {
			used[reason+by] = true
			listed++
			continue
		}
		t.Errorf("%s: keepalived exits %d, kaname %d\nkeepalived: %s\nkaname: %s\n", x.name, x.theirs.exit, x.ours.exit, once(x.theirs.said), once(x.ours.said))
	}
	for _, d := range differences {
		for _, f := range d.files {
			if !used[d.reason+f] {
				t.Errorf("%q is listed under %q and differs no more; remove it", f, d.reason)
			}
		}
	}
	slices.Sort(codes)
	t.Logf("refused by both with another exit code:\n%s", strings.Join(codes, "\n"))
	summary := fmt.Sprintf("%d files: the verdicts agree on %d, the exit codes on %d; %d listed differences", len(all), agreed, equal, listed)
	t.Log(summary)
	fmt.Println("parity with keepalived -t:", summary)
}

// once returns what a program said, a repeated line but once: keepalived's
// processes each read the file.
func once(said string) string {
	var lines []string
	for l := range strings.Lines(said) {
		if l = strings.TrimSpace(l); l != "" && !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	if len(lines) > 12 {
		lines = append(lines[:12], "...")
	}
	return strings.Join(lines, "\n\t")
}

// TestUpdate records what keepalived says.
func TestUpdate(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	s := newStage(t)
	all := s.samples(t)
	s.each(t, len(all), func(i int) error {
		x := all[i]
		if x.expect == hangs {
			return nil
		}
		v, err := s.ask(keepalived, x.file)
		x.expect = strconv.Itoa(v.exit)
		x.theirs = v
		return err
	})
	if dir := os.Getenv("KANAME_PARITY_SAID"); dir != "" {
		record(t, dir, s.dir, all)
	}
	hs, us := readCorpus(t), readUses(t)
	for i := range hs {
		hs[i].expect = all[i].expect
	}
	for i := range us {
		us[i].expect = all[len(hs)+i].expect
	}
	writeExpectations(t, hs)
	writeUses(t, us)
}

// record writes what keepalived said of every file into dir, for reading, and
// the files of uses.tsv beside it.
func record(t *testing.T, dir, stage string, all []*sample) {
	t.Helper()
	var b strings.Builder
	for _, x := range all {
		fmt.Fprintf(&b, "%s %s\n\t%s %s\n", x.file, x.name, x.expect, once(x.theirs.said))
	}
	if err := os.WriteFile(filepath.Join(dir, "said.txt"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "files"), os.DirFS(stage)); err != nil {
		t.Fatal(err)
	}
}

// TestMissingFile: docs/differences.md has it among those of the configuration.
func TestMissingFile(t *testing.T) {
	s := newStage(t)
	s.each(t, 1, func(int) error {
		theirs, err := s.ask(keepalived, "none.conf")
		if err != nil {
			return err
		}
		ours, err := s.ask(kaname, "none.conf")
		if theirs.exit != 0 || ours.exit == 0 {
			t.Errorf("a file that is not there: keepalived exits %d, kaname %d; want 0 and not 0", theirs.exit, ours.exit)
		}
		return err
	})
}
