// Package parity compares verdicts: what `keepalived -t` says of a file, and
// what kaname says of it when it is started as keepalived.
//
// The files are of two kinds. corpus/ holds short ones written by hand, one for
// each construct and trap; the line "! expect N: ..." names the exit code of
// keepalived 2.2.7 and what the file shows. uses.tsv holds a line for every
// block, keyword and exit code with the ways to write that keyword which lead
// to it; each becomes a file in the surroundings of its block. Every keyword
// of 2.2.7 is in it. `go test ./test/parity -update` asks keepalived again and
// sorts uses.tsv anew; new uses are entered with ? as their code.
//
// Where the two programs differ on purpose, differences_test.go says why and
// docs/differences.md tells the user.
package parity
