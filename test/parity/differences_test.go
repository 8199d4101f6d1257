package parity

import (
	"os"
	"strings"
	"testing"
)

// difference is something that kaname judges otherwise on purpose.
type difference struct {
	files  string // the beginning of the names of the files
	refuse bool   // kaname refuses them, else keepalived does
	reason string // as it stands in docs/differences.md
}

var differences = []difference{}

// findDifference returns the entry that covers x, or -1.
func findDifference(x *sample) int {
	for i, d := range differences {
		if strings.HasPrefix(x.name, d.files) && d.refuse == (x.ours.exit != 0) {
			return i
		}
	}
	return -1
}

func TestDifferencesAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		if !strings.Contains(string(b), d.reason) {
			t.Errorf("docs/differences.md does not say %q, the reason why %q differs", d.reason, d.files)
		}
	}
}
