// Package config turns the syntax tree of a keepalived.conf into a typed
// Config: defaults filled in, ranges checked, spellings resolved, every
// problem reported as a finding with its position. It is pure; reading files
// is passed in through syntax (configio has the host's).
//
//	Load = syntax.Parse -> Build: global_defs and kaname first,
//	       then every block in file order, then what needs whole blocks
//
// Nothing that is written is dropped in silence: a keyword that keepalived
// knows and kaname does not have yet is one warning "not supported yet", an
// unknown one a warning with the word that was probably meant. What cannot run
// at all without such a keyword is left out of the Config, and the warning
// says so. keywords.tsv is the vocabulary.
//
// What a file means is what it means to keepalived. Where keepalived refuses
// or loses something that can be understood, kaname is kinder:
//   - an unknown block is skipped whole, not read as part of its surroundings;
//   - a block keyword without braces is an empty block;
//   - long lines, a byte order mark and undefined ${NAMES} break nothing else;
//   - of two equal virtual servers the first runs.
package config
