// Package lint holds rules over a configuration: each looks for one trap that
// keepalived says nothing or little about, and says what will really happen
// and what to write instead. It is pure. Problems that the builder must see
// anyway (unknown keywords, values out of range) are its findings, not rules
// here.
package lint
