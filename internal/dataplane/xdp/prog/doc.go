// Package prog holds the compiled BPF programs of the dataplane and the Go
// face of what they share with user space (bpf/abi.h): the generated types
// under short names, the names of the reason codes, the hash by which a flow
// finds its place in the connection table.
//
// It loads nothing by itself: LoadXDP and LoadTC return the collection
// specifications that package xdp sizes, loads, pins and attaches. Its tests
// run the programs with BPF_PROG_RUN: packet in, packet out.
package prog
