package session_test

import (
	"fmt"
	"testing"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// TestGrowing: a table finds everything again whatever its size was when it
// began and wherever it lies, and after it was emptied in part.
func TestGrowing(t *testing.T) {
	const n = 20_000
	taken := 0
	for name, o := range map[string]session.Options{
		"heap":      {Seed: 1},
		"expected":  {Seed: 2, Expected: n},
		"memory":    {Seed: 3, Memory: func(size int) []byte { taken++; return make([]byte, size) }},
		"no memory": {Seed: 4, Memory: func(int) []byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			tab := session.New(o)
			each := func(seconds float64, state lvs.ConnState, timeout func(i int) uint32) {
				for from := 0; from < n; from += 40 {
					var cs []connsync.Conn
					for i := from; i < from+40; i++ {
						c := tcp(fmt.Sprintf("10.1.%d.%d:7", i>>8, i&255), 1, state)
						c.Timeout = timeout(i)
						cs = append(cs, c)
					}
					apply(t, tab, seconds, lb1, cs...)
				}
			}
			each(0, lvs.StateEstablished, func(i int) uint32 { return uint32(10 + i%2*90) })
			each(1, lvs.StateEstablished, func(i int) uint32 { return uint32(10 + i%2*90) })
			if s := tab.Stats(); s.Created != n || tab.Len() != n {
				t.Fatalf("%d sessions, %d created", tab.Len(), s.Created)
			}
			if gone := tab.Expire(at(20)); gone != n/2 || tab.Len() != n/2 {
				t.Fatalf("%d ran out, %d are left", gone, tab.Len())
			}
			each(21, lvs.StateFinWait, func(int) uint32 { return 100 })
			if s := tab.Stats(); s.Created != n+n/2 || tab.Len() != n {
				t.Errorf("%d sessions, %d created", tab.Len(), s.Created)
			}
		})
	}
	if taken == 0 {
		t.Error("the memory was not asked for")
	}
}
