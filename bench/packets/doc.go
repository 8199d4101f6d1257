// Packets prints what a packet costs in the dataplane, in net nanoseconds:
// the time of driver + program minus the time of driver + empty program, the
// least of several runs of BPF_PROG_RUN.
//
//	go run ./bench/packets [-runs 9] [-packets 262144]
//
// Figures depend on the machine and on what else runs: compare rows of one
// run, not runs of two machines.
package main

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -cflags "-O2 -g -mcpu=v3 -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu" -type drive driver ../../bpf/bench_driver.bpf.c
