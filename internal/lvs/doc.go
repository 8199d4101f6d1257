// Package lvs holds the words of the load balancer: service, destination,
// scheduler, forwarding method, weight, connection state. Every wing that
// speaks of balancing imports it; it imports nothing of ours.
//
// It is pure: values and their text forms, no sockets, files, clocks or
// goroutines.
package lvs
