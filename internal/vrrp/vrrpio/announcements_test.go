package vrrpio

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

func addresses(n int) []netip.Addr {
	out := make([]netip.Addr, n)
	for i := range out {
		out[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	return out
}

// TestAnnouncementsAreWhole: whatever bursts are asked for, all of each is
// sent, in order, all addresses once before any is repeated, and never more at
// a time than the limit.
func TestAnnouncementsAreWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q announcements
		var want, got []string
		note := func(to *[]string, a vrrp.Announce) {
			for range a.Repeat {
				for _, addr := range a.Addrs {
					*to = append(*to, fmt.Sprint(a.Instance, a.Interface, addr))
				}
			}
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "bursts") {
			a := vrrp.Announce{
				Instance: fmt.Sprint(i), Interface: "v0",
				Addrs:  addresses(rapid.IntRange(0, 200).Draw(t, "addresses")),
				Repeat: rapid.IntRange(0, 5).Draw(t, "repeat"),
			}
			note(&want, a)
			q.push(a)
		}
		for {
			part, ok := q.pop()
			if !ok {
				break
			}
			if n := len(part.Addrs) * part.Repeat; n == 0 || n > maxFrames {
				t.Fatalf("%d packets at a time", n)
			}
			note(&got, part)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("announced (-want +got):\n%s", d)
		}
	})
}

// TestAnnouncementsDrop: an instance that is not master any more must not go
// on to claim its addresses.
func TestAnnouncementsDrop(t *testing.T) {
	var q announcements
	for _, instance := range []string{"a", "b", "a", "c"} {
		q.push(vrrp.Announce{Instance: instance, Addrs: addresses(maxFrames + 1), Repeat: 1})
	}
	if part, _ := q.pop(); part.Instance != "a" || len(part.Addrs) != maxFrames {
		t.Fatalf("first part %+v", part)
	}
	q.drop("a")
	var got []string
	for part, ok := q.pop(); ok; part, ok = q.pop() {
		got = append(got, fmt.Sprint(part.Instance, len(part.Addrs)))
	}
	if d := cmp.Diff([]string{"b64", "b1", "c64", "c1"}, got); d != "" {
		t.Errorf("what is left (-want +got):\n%s", d)
	}
}
