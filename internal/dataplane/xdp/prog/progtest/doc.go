// Package progtest gives the BPF programs a world to run in without a network:
// maps filled by hand, frames built from fields, BPF_PROG_RUN. The tests of
// package prog and the packet benchmark use it; nothing else should.
package progtest
