package vrrptest_test

import (
	"flag"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/vrrp/vrrptest"
)

var (
	seeds = flag.Uint64("seeds", 2000, "how many random scenarios to play")
	seed  = flag.Uint64("seed", 0, "the first of them")
)

// TestRandom plays scenarios made up from consecutive seeds. What is printed
// for a seed that fails can be put into testdata as it is.
func TestRandom(t *testing.T) {
	const batches = 8
	for b := range uint64(batches) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for s := *seed + b; s < *seed+*seeds; s += batches {
				script := vrrptest.Random(s)
				if out, err := vrrptest.Run(script); err != nil {
					t.Fatalf("seed %d: %v\n%s%s%s", s, err, script, separator, out)
				}
			}
		})
	}
}

// A script says exactly what happens.
func TestRandomIsDeterministic(t *testing.T) {
	for s := range uint64(20) {
		script := vrrptest.Random(s)
		first, err := vrrptest.Run(script)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if again, _ := vrrptest.Run(vrrptest.Random(s)); again != first {
				t.Fatalf("seed %d played twice differs", s)
			}
		}
		if !strings.Contains(first, "-> MASTER") {
			t.Errorf("seed %d: nobody was ever MASTER", s)
		}
	}
}
