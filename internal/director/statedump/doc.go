// Package statedump prints what a running director is and counts, in the layout
// of keepalived 2.2.7's dump files: keepalived.data, keepalived_check.data,
// keepalived.stats and keepalived.json. Names, order and indentation are
// keepalived's, since people's scripts look for them; a line whose value kaname
// does not have (file descriptors, timers of the kernel) is left out.
//
// It is pure: a State goes in, text comes out.
package statedump
