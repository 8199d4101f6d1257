// Package dump prints what a configuration means: every setting with its value,
// also those that the file leaves to their defaults, in the language of the
// file. What Tree makes prints as a keepalived.conf that builds the same
// configuration again, or as JSON. Where a value comes from is a comment.
//
// It is pure: it prints what is handed to it.
package dump
