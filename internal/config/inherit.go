package config

import (
	"cmp"
	"time"
)

// inherit are the settings that go from virtual server to real server to
// checker; nil is not set.
type inherit struct {
	DelayLoop        *time.Duration `kw:"delay_loop"`
	DelayBeforeRetry *time.Duration `kw:"delay_before_retry"`
	Warmup           *time.Duration `kw:"warmup"`
	ConnectTimeout   *time.Duration `kw:"connect_timeout"`
	Retry            *int           `kw:"retry"`
	Alpha            *bool          `kw:"alpha"`
	Inhibit          *bool          `kw:"inhibit_on_failure"`
}

// over returns i with what outer sets and i does not.
func (i inherit) over(outer inherit) inherit {
	return inherit{
		DelayLoop:        cmp.Or(i.DelayLoop, outer.DelayLoop),
		DelayBeforeRetry: cmp.Or(i.DelayBeforeRetry, outer.DelayBeforeRetry),
		Warmup:           cmp.Or(i.Warmup, outer.Warmup),
		ConnectTimeout:   cmp.Or(i.ConnectTimeout, outer.ConnectTimeout),
		Retry:            cmp.Or(i.Retry, outer.Retry),
		Alpha:            cmp.Or(i.Alpha, outer.Alpha),
		Inhibit:          cmp.Or(i.Inhibit, outer.Inhibit),
	}
}

func get[T any](p *T, def T) T {
	if p != nil {
		return *p
	}
	return def
}

const defaultDelayLoop = time.Minute

// resolve fills in a checker, i being checker over real server over virtual
// server.
func (i inherit) resolve(c *Checker) {
	c.DelayLoop = get(i.DelayLoop, defaultDelayLoop)
	c.Warmup = get(i.Warmup, c.DelayLoop)
	retry, before := 1, time.Second
	switch c.Kind {
	case MiscCheck:
		retry = 0
	case HTTPGet, SSLGet:
		before = 3 * time.Second
	case DNSCheck:
		retry, before = 3, c.DelayLoop
	}
	c.DelayBeforeRetry = get(i.DelayBeforeRetry, before)
	c.Retry = get(i.Retry, retry)
	c.Alpha = get(i.Alpha, false)
	switch c.Kind {
	case MiscCheck:
	case FileCheck, BFDCheck: // told of changes: nothing is tried again
		c.DelayLoop, c.Warmup, c.DelayBeforeRetry, c.Retry = 0, 0, 0, 0
	default:
		c.ConnectTimeout = get(i.ConnectTimeout, 5*time.Second)
	}
}
