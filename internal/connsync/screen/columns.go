package screen

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// column is one column of the table.
type column struct {
	name    string
	width   int // at least
	text    func(s *session.Session, now time.Time) string
	compare func(a, b *session.Session) int
}

// columns are those of ipvsadm -Lnc, and what the watch knows besides. Keys 1
// to 9 sort by them.
var columns = []column{
	{
		"pro", 4, func(s *session.Session, _ time.Time) string { return s.Protocol.KernelName() },
		func(a, b *session.Session) int { return cmp.Compare(a.Protocol, b.Protocol) },
	},
	{
		"expire", 6, func(s *session.Session, now time.Time) string { return clock(s.Expires(now)) },
		func(a, b *session.Session) int { return a.Deadline().Compare(b.Deadline()) },
	},
	{
		"state", 11, func(s *session.Session, _ time.Time) string { return s.StateName() },
		func(a, b *session.Session) int { return cmp.Compare(a.StateName(), b.StateName()) },
	},
	{
		"source", 18, func(s *session.Session, _ time.Time) string { return s.Client.String() },
		func(a, b *session.Session) int { return a.Client.Compare(b.Client) },
	},
	{
		"virtual", 18, func(s *session.Session, _ time.Time) string { return s.Virtual.String() },
		func(a, b *session.Session) int { return a.Virtual.Compare(b.Virtual) },
	},
	{
		"destination", 18, func(s *session.Session, _ time.Time) string { return s.Dest.String() },
		func(a, b *session.Session) int { return a.Dest.Compare(b.Dest) },
	},
	{
		"director", 15, func(s *session.Session, _ time.Time) string { return fmt.Sprintf("%s #%d", s.Director, s.SyncID) },
		func(a, b *session.Session) int {
			return cmp.Or(a.Director.Compare(b.Director), cmp.Compare(a.SyncID, b.SyncID))
		},
	},
	{
		"age", 7, func(s *session.Session, now time.Time) string { return clock(now.Sub(s.First)) },
		func(a, b *session.Session) int { return b.First.Compare(a.First) },
	},
	{
		"last", 6, func(s *session.Session, now time.Time) string { return clock(now.Sub(s.Last)) },
		func(a, b *session.Session) int { return b.Last.Compare(a.Last) },
	},
}

func columnOf(name string) int {
	return slices.IndexFunc(columns, func(c column) bool { return c.name == name })
}

// clock prints minutes and seconds as ipvsadm does.
func clock(d time.Duration) string {
	secs := int(max(d, 0) / time.Second)
	return fmt.Sprintf("%02d:%02d", secs/60, secs%60)
}

// best keeps the first n sessions in order of a comparison, of however many
// are offered.
type best struct {
	n       int
	compare func(a, b *session.Session) int
	kept    []session.Session
	worst   *session.Session // of the first n, once there were n
}

func newBest(q Query) *best {
	b := &best{n: q.Offset + q.Rows}
	b.compare = func(x, y *session.Session) int {
		c := columns[q.Sort].compare(x, y)
		if q.Reverse {
			c = -c
		}
		// The rest of the order keeps equal rows from jumping.
		return cmp.Or(c, x.Virtual.Compare(y.Virtual), x.Client.Compare(y.Client), cmp.Compare(x.Protocol, y.Protocol))
	}
	return b
}

func (b *best) offer(s *session.Session) {
	if b.worst != nil && b.compare(s, b.worst) >= 0 {
		return
	}
	b.kept = append(b.kept, *s)
	if len(b.kept) >= 2*b.n+64 {
		b.shrink()
	}
}

func (b *best) shrink() {
	slices.SortFunc(b.kept, func(x, y session.Session) int { return b.compare(&x, &y) })
	if len(b.kept) >= b.n {
		b.kept = b.kept[:b.n]
		worst := b.kept[b.n-1]
		b.worst = &worst
	}
}

// from returns the sessions behind the first skip.
func (b *best) from(skip int) []session.Session {
	b.shrink()
	return slices.Clone(b.kept[min(skip, len(b.kept)):])
}
