package watch

import (
	"context"

	"github.com/kaname-lb/kaname/internal/connsync/pcap"
)

// Datagram is one UDP datagram of a sync port, and where it came in.
type Datagram struct {
	pcap.Datagram
	Interface string // "" for a capture
}

// Source gives the datagrams that a Watch lives on.
type Source interface {
	// Run hands over datagrams as they come until ctx ends (and returns nil) or
	// the source does. It may call take from several goroutines; what it hands
	// over is valid until take returns.
	Run(ctx context.Context, take func([]Datagram)) error
	// Live reports whether the time of the datagrams is the present.
	Live() bool
	// String says what is listened to, for the first line.
	String() string
	// Lost is how many datagrams were lost on the way because nobody fetched
	// them in time. It is safe for concurrent use.
	Lost() uint64
}
