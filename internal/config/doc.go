// Package config turns the syntax tree of a keepalived.conf into a typed
// Config: defaults filled in, ranges checked, spellings resolved, every
// problem reported as a finding with its position. It is pure; reading files
// is passed in through syntax.
package config
