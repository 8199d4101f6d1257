package checker

import (
	"context"
	"net"
)

// ProbeTCP is TCP_CHECK: good when the connect succeeds. Nothing is sent and
// the connection is closed at once.
//
// Compat: with bind_port it is reset instead: as the closing side we would keep the
// port in TIME_WAIT for a minute, and the next check could not use it.
func ProbeTCP(ctx context.Context, t Target) Outcome {
	conn, err := t.Connect.dial(ctx)
	if err != nil {
		return Outcome{Undecided: shortage(err), Reason: reason(ctx, err, t.Connect.timeout())}
	}
	if tcp, ok := conn.(*net.TCPConn); ok && t.Connect.FromPort != 0 {
		_ = tcp.SetLinger(0) // at worst the port rests
	}
	_ = conn.Close()
	return Outcome{OK: true, Reason: "connected"}
}
