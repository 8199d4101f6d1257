// Package kernellab plays kaname against the real thing: a Linux kernel with
// IPVS, and keepalived that drives it. The machine's own kernel needs neither:
// each scenario runs inside a guest of its own (QEMU in software emulation, see
// README.md), which `run` beside this file boots in a few seconds. It holds
// tests alone.
//
// The test binary is both sides. On the machine, TestKernelLab boots a guest
// for each scenario and starts itself in there; in the guest (KLAB is set) the
// scenario runs as root, with kaname, keepalived and ipvsadm of the machine.
package kernellab
