package vrrpio

// Sockets is the Transport over raw IPv4 sockets of protocols 112 and 51, in
// the network namespace of the thread that called Listen.
type Sockets struct{ Transport }

// Listen checks that raw sockets are permitted and returns a Transport without
// interfaces. The error says what is missing.
func Listen() (*Sockets, error) { panic("being written") }
