// Package syntax reads the text of keepalived.conf into a tree of statements
// with positions. It knows lines, comments, words, quotes, braces, $NAME
// definitions, ~SEQ and ~LST, @id lines and include; it does not know what a
// keyword means. The one thing it has to be told is which keywords open a
// block, because keepalived goes on after a forgotten brace (see Grammar).
//
// Two views of a text:
//
//	Parse       file and includes, everything expanded -> Tree   (what is meant)
//	ParseSource one file, nothing expanded             -> Source (what is written; prints back)
//
// The package is pure: files are reached through Files, the environment
// through Options. Every size that a text could blow up (includes, loops of
// definitions, sequences, nesting) has a limit, and reaching one is a finding.
package syntax
