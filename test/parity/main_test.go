package parity

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/kaname-lb/kaname/internal/lab"
)

var update = flag.Bool("update", false, "ask keepalived anew and rewrite uses.tsv")

// kaname is the binary under test by the name of keepalived.
var kaname string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kaname-parity-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, err := lab.BuildKaname(dir)
	if err == nil {
		kaname = filepath.Join(dir, "keepalived")
		err = os.Symlink(binary, kaname)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
