// Package track watches what a VRRP instance depends on. For now that is
// vrrp_script: each is started every interval, counted from its start, never
// twice at a time, and its results go to the election as inputs. What they
// mean (rise, fall, weights) is decided there.
package track
