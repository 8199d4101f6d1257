package checker

import (
	"context"
	"net/netip"
	"time"
)

// Kind names a kind of checker as the configuration spells it.
type Kind string

// The checkers that are built.
const (
	TCP  Kind = "TCP_CHECK"
	HTTP Kind = "HTTP_GET"
	Misc Kind = "MISC_CHECK"
)

// Target says what one probe does. Only the part of its Kind is looked at.
type Target struct {
	Kind    Kind
	Connect Connect  // TCP_CHECK, HTTP_GET
	HTTP    HTTPSpec // HTTP_GET
	Misc    MiscSpec // MISC_CHECK
}

// Connect says how to reach a server over TCP.
type Connect struct {
	To       netip.AddrPort // connect_ip and connect_port, else the real server
	From     netip.Addr     // bindto, invalid: the kernel chooses
	FromPort uint16         // bind_port, 0: the kernel chooses
	Device   string         // bind_if, empty: none
	Timeout  time.Duration  // connect_timeout, for connecting and for each read; 0 is 5 s
}

// HTTPSpec is the HTTP part of an HTTP_GET.
type HTTPSpec struct {
	Version string // "1.0" (also when empty), "1.1", "1.0C"
	URLs    []URL  // asked in order, all must be good
}

// URL is one request of an HTTP_GET and what a good answer is.
type URL struct {
	Path string
	// Host is the Host header: the virtualhost of the url, else of the checker,
	// the server, the service; empty: address and port.
	Host     string
	Statuses []StatusRange // empty: 200-299
	Digest   string        // hexadecimal MD5 of the body, empty: not checked
}

// StatusRange is an inclusive range of HTTP status codes.
type StatusRange struct{ From, To int }

// MiscSpec is the command of a MISC_CHECK.
type MiscSpec struct {
	Argv        []string
	User, Group string // empty: as we run
	Env         []string
	Timeout     time.Duration
	Dynamic     bool // misc_dynamic: exit 2..255 is success with weight exit-2
}

// Outcome is what a probe found. Reason is one line, shown verbatim. Undecided
// says that the probe could not be made for want of something on this host.
type Outcome struct {
	OK        bool
	Undecided bool
	Weight    int
	HasWeight bool
	Reason    string
	Duration  time.Duration
}

// Probe is one kind of check. It returns when it knows, when it timed out by
// the target's own bounds, or soon after ctx is done.
type Probe func(ctx context.Context, t Target) Outcome
