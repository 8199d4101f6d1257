package vrrp

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An illegal transition is a bug of this package and says so.
func TestIllegalTransitionPanics(t *testing.T) {
	m := New(Spec{Instances: []InstanceSpec{{Name: "VI_1", Interface: "eth0", VRID: 51}}})
	defer func() {
		got, _ := recover().(string)
		if !strings.HasPrefix(got, "vrrp: ") || !strings.Contains(got, "INIT") || !strings.Contains(got, "VI_1") {
			t.Errorf("panic %q", got)
		}
	}()
	m.enter(time.Time{}, m.instances[0], Initialize, "")
}

// The schedule always has the earliest first, and knows the place of each.
func TestSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &Machine{}
		for n := range 12 {
			m.instances = append(m.instances, &instance{order: n, place: -1})
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := m.instances[rapid.IntRange(0, 11).Draw(t, "instance")]
			at := time.Time{}
			if s := rapid.IntRange(-5, 20).Draw(t, "at"); s > 0 {
				at = time.Unix(int64(s), 0)
			}
			m.set(i, timer(rapid.IntRange(0, numTimers-1).Draw(t, "timer")), at)

			var first *instance
			running := 0
			for _, i := range m.instances {
				if i.due.IsZero() != (i.place < 0) {
					t.Fatalf("instance %d due %v at place %d", i.order, i.due, i.place)
				}
				if i.due.IsZero() {
					continue
				}
				running++
				if m.schedule[i.place] != i {
					t.Fatalf("instance %d is not at its place %d", i.order, i.place)
				}
				if first == nil || i.due.Before(first.due) {
					first = i
				}
			}
			if len(m.schedule) != running {
				t.Fatalf("%d in the schedule, %d running", len(m.schedule), running)
			}
			if first != nil && m.schedule[0] != first {
				t.Fatalf("first is %d, want %d", m.schedule[0].order, first.order)
			}
		}
	})
}
