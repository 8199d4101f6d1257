package keeper

import (
	"testing"
	"time"
)

func TestPolicy(t *testing.T) {
	type crash struct {
		after time.Duration
		ready bool
		want  Verdict
	}
	for _, tt := range []struct {
		name    string
		crashes []crash
	}{
		{"first crash of a serving director resumes", []crash{{0, true, Verdict{Resume: true}}}},
		{"one that never served starts afresh", []crash{{0, false, Verdict{}}}},
		{"crashes far apart each resume", []crash{
			{0, true, Verdict{Resume: true}}, {time.Minute, true, Verdict{Resume: true}},
		}},
		{"a row of crashes backs off", []crash{
			{0, true, Verdict{Resume: true}},
			{time.Second, true, Verdict{}},
			{time.Second, true, Verdict{Release: true, Delay: time.Second}},
			{2 * time.Second, false, Verdict{Release: true, Delay: 2 * time.Second}},
			{3 * time.Second, false, Verdict{Release: true, Delay: 4 * time.Second}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p policy
			now := time.Unix(0, 0)
			for i, c := range tt.crashes {
				now = now.Add(c.after)
				if got := p.Crashed(now, c.ready); got != c.want {
					t.Errorf("crash %d: got %+v, want %+v", i, got, c.want)
				}
			}
		})
	}
}
