package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// No advert gets onto the wire at all: both directors are master, and all that
// can be seen of the other is that it claims the same address. That is said for
// as long as it lasts, not only around the gratuitous ARP of its beginning.
func TestTwoMastersWithoutAdverts(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	hosts := []*lab.Host{l.Host("lb1"), l.Host("lb2")}
	var directors []*lab.Director
	for i, h := range hosts {
		if err := h.AddDrop(lab.Drop{Iface: "eth0", Protocol: 112}); err != nil {
			t.Fatal(err)
		}
		directors = append(directors, direct(t, h, clusterConfig(200-100*i, 1, 1)))
	}
	for _, d := range directors {
		first := condition(t, d, "V", "two-masters")
		checkSaid(t, d, first)
		// Longer than a claim counts that is not seen again.
		eventually(t, 60*time.Second, "lasting", func() error {
			now := condition(t, d, "V", "two-masters")
			if !now.Since.Equal(first.Since) {
				t.Fatalf("the condition began at %s, and again at %s", first.Since, now.Since)
			}
			return olderThan(first.Since, 40*time.Second)
		})
	}
	for _, d := range directors {
		terminate(t, d, clusterVIP)
	}
}

func olderThan(since time.Time, age time.Duration) error {
	if got := time.Since(since); got < age {
		return fmt.Errorf("it is %s old, want %s", got.Round(time.Second), age)
	}
	return nil
}
