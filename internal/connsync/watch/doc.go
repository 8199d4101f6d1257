// Package watch is the observer: it listens to the sync multicast of a segment,
// or reads a capture, keeps the session table, shows it, and acts on it.
package watch
