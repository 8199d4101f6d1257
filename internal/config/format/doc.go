// Package format prints a keepalived.conf in canonical layout, and with
// today's spellings. It is pure: what the proof of Modern reads comes through
// syntax.Files.
//
//	Format  the same words in the same order: indent, blank lines, line breaks
//	Modern  Format, then other words for the same configuration
//
// Layout is changed only where neither kaname nor keepalived 2.2.7 could read
// it in another way. What could be read in another way keeps its bytes:
// definitions and their further lines, what follows a mark (@id), a ~SEQ, an
// include or the first $ of a line, what stands in quotes of either kind, and
// a byte order mark.
package format
