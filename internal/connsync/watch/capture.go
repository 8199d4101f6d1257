package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/kaname-lb/kaname/internal/connsync/pcap"
)

// Capture is the Source that reads a recorded file, as fast as it can. The
// time is the capture's.
type Capture struct {
	name  string
	ports []uint16
	file  io.Reader
	stats pcap.Stats
	other uint64
	// Progress, if set, is called now and then with how much of the file has
	// been read.
	Progress func(bytes int64)
}

// NewCapture reads from file, which messages call by name.
func NewCapture(name string, file io.Reader, ports []uint16) *Capture {
	return &Capture{name: name, file: file, ports: ports}
}

// Live implements Source.
func (c *Capture) Live() bool { return false }

// Lost implements Source.
func (c *Capture) Lost() uint64 { return 0 }

// String implements Source.
func (c *Capture) String() string { return c.name }

// Stats returns what was in the capture, once Run has returned.
func (c *Capture) Stats() pcap.Stats { return c.stats }

// Other is how many UDP datagrams were to other ports, once Run has returned.
func (c *Capture) Other() uint64 { return c.other }

// progressEvery is after how many datagrams progress is told.
const progressEvery = 256

// Run implements Source.
func (c *Capture) Run(ctx context.Context, take func([]Datagram)) error {
	r, err := pcap.NewReader(c.file)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	defer func() { c.stats = r.Stats() }()
	one := make([]Datagram, 1)
	for n := 1; ; n++ {
		if err := r.Next(&one[0].Datagram); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if slices.Contains(c.ports, one[0].Dst.Port()) {
			take(one)
		} else {
			c.other++
		}
		if n%progressEvery == 0 {
			if ctx.Err() != nil {
				return nil
			}
			if c.Progress != nil {
				c.Progress(r.BytesRead())
			}
		}
	}
}
