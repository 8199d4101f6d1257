package statedump

import (
	"fmt"
	"io"
)

// WriteStats prints keepalived.stats.
func WriteStats(w io.Writer, s *State) error {
	p := printer{w: w}
	for _, in := range s.Config.Instances {
		c := s.Instances[in.Name].Counters
		p.line("VRRP Instance: %s", in.Name)
		p.line("  Advertisements:")
		p.line("    Received: %d", c.Received)
		p.line("    Sent: %d", c.Sent)
		p.line("  Became master: %d", c.BecameMaster)
		p.line("  Released master: %d", c.ReleasedMaster)
		p.line("  Packet Errors:")
		p.line("    Length: %d", c.Length)
		p.line("    TTL: %d", c.TTL)
		p.line("    Invalid Type: %d", c.Type)
		p.line("    Advertisement Interval: %d", c.Interval)
		p.line("    Address List: %d", c.Addresses)
		p.line("  Authentication Errors:")
		p.line("    Invalid Type: %d", c.AuthInvalid)
		p.line("    Type Mismatch: %d", c.AuthType)
		p.line("    Failure: %d", c.AuthBad)
		p.line("  Priority Zero:")
		p.line("    Received: %d", c.ZeroReceived)
		p.line("    Sent: %d", c.ZeroSent)
	}
	return p.err
}

// printer remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, a ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", a...)
	}
}
