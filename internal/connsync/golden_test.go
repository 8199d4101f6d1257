package connsync_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/connsynctest"
	"github.com/kaname-lb/kaname/internal/lvs"
)

const captures = "testdata/ipvs-sync"

// malformed are the messages that cannot come out of the encoder as they went
// into the decoder, by scenario and number of the message: they were made to be
// refused, all or in part. What they lead to stands beside them.
var malformed = map[string]map[int]string{
	"n-injected": {
		8:  "connection 1: option 1 stands there twice",
		11: "connection 1: an option has no length",
		18: "connection 1: type 2",
		19: "connection 1: version 1",
		21: "says that it has 40 bytes",
		22: "connection 1: 0 bytes are left",
		23: "36 bytes behind the last connection",
		26: "40 bytes behind the last connection",
	},
}

// TestCapturesRoundTrip: what kernels sent is read, and written again is the
// same, byte for byte.
func TestCapturesRoundTrip(t *testing.T) {
	for _, name := range connsynctest.Scenarios(t, captures) {
		t.Run(name, func(t *testing.T) {
			read := 0
			for i, d := range connsynctest.Messages(t, captures, name) {
				got, n, err := roundTrip(d.Payload)
				read += n
				switch want, bad := malformed[name][i]; {
				case bad && (err == nil || !strings.Contains(err.Error(), want)):
					t.Errorf("message %d: %v, want %q", i, err, want)
				case !bad && err != nil:
					t.Errorf("message %d: %v", i, err)
				case !bad && !bytes.Equal(got, d.Payload):
					t.Errorf("message %d came out otherwise:\nread    %x\nwritten %x", i, d.Payload, got)
				}
			}
			// The kernel's count of the connections in its large message is wrong.
			if name == "r-count-overflow" && read != 145+555 {
				t.Errorf("read %d connections, want 555 in the large message", read)
			}
		})
	}
}

func roundTrip(b []byte) (out []byte, n int, err error) {
	r, err := connsync.Read(b)
	if err != nil {
		return nil, 0, err
	}
	out = connsync.AppendHeader(nil, r.Version, r.SyncID)
	for c := (connsync.Conn{}); r.Next(&c); {
		if out, err = connsync.AppendConn(out, r.Version, &c); err != nil {
			return nil, r.Taken(), err
		}
	}
	if r.Err() != nil {
		return nil, r.Taken(), r.Err()
	}
	if len(r.Rest()) > 0 {
		return nil, r.Taken(), fmt.Errorf("%d bytes behind the last connection", len(r.Rest()))
	}
	connsync.FinishHeader(out, r.Version, r.Taken())
	return out, r.Taken(), nil
}

// decodedConn is a connection as the decoder of the captures writes it down.
type decodedConn struct {
	Proto                 any
	Flags, FWMark         uint32
	State                 uint16
	StateName             string `json:"state_name"`
	Client, Virtual, Dest string
	Timeout               uint32 `json:"timeout_s"`
	Seq                   *decodedSeq
	SeqHostOrder          *decodedSeq `json:"seq_host_order_le"`
	PEData                string      `json:"pe_data"`
	PEName                string      `json:"pe_name"`
}

type decodedSeq struct {
	In, Out struct {
		InitSeq       uint32 `json:"init_seq"`
		Delta         uint32
		PreviousDelta uint32 `json:"previous_delta"`
	}
}

type decodedMessage struct {
	Time     float64
	Src, Dst string
	Port     uint16
	Version  int
	SyncID   uint8
	Size     int
	Count    int
	Conns    []decodedConn
	Error    string
	Trailing int
}

// TestCapturesDecodeLikeAnotherDecoder: each field of each connection is what
// an independent decoder read.
func TestCapturesDecodeLikeAnotherDecoder(t *testing.T) {
	for _, name := range connsynctest.Scenarios(t, captures) {
		t.Run(name, func(t *testing.T) {
			lines, grams := connsynctest.Decoded(t, captures, name), connsynctest.Messages(t, captures, name)
			if len(lines) != len(grams) {
				t.Fatalf("%d messages, the other decoder has %d", len(grams), len(lines))
			}
			for i, d := range grams {
				var want decodedMessage
				if err := json.Unmarshal(lines[i], &want); err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprintf("%.6f %s %s %d", float64(d.Time.UnixMicro())/1e6, d.Src.Addr(), d.Dst.Addr(), d.Dst.Port()); got != fmt.Sprintf("%.6f %s %s %d", want.Time, want.Src, want.Dst, want.Port) {
					t.Errorf("message %d: %s, want %+v", i, got, want)
				}
				if diff := cmp.Diff(want.text(), ourText(d.Payload, len(want.Conns))); diff != "" {
					t.Errorf("message %d (-other decoder +ours):\n%s", i, diff)
				}
			}
		})
	}
}

// text lists the message, with what both decoders have.
func (m *decodedMessage) text() []string {
	if m.Version == 0 && m.Size == 0 {
		return []string{"refused"}
	}
	lines := []string{fmt.Sprintf("version %d syncid %d size %d", m.Version, m.SyncID, m.Size)}
	for _, c := range m.Conns {
		proto, template := fmt.Sprint(c.Proto), c.Flags&0x1000 != 0
		l := fmt.Sprintf("%s %#x %d %s %s %s %d %d", proto, c.Flags, c.State, c.Client, c.Virtual, c.Dest, c.FWMark, c.Timeout)
		if _, known := protocols[proto]; known && c.StateName != "?" || template && c.State < 2 {
			l += " " + c.StateName
		}
		if s := c.Seq; s != nil {
			l += fmt.Sprint(" seq ", s.In, s.Out)
		}
		if s := c.SeqHostOrder; s != nil {
			l += fmt.Sprint(" seq ", s.In, s.Out)
		}
		if c.PEData+c.PEName != "" {
			l += fmt.Sprintf(" %q %q", c.PEData, c.PEName)
		}
		lines = append(lines, l)
	}
	if m.Error != "" {
		lines = append(lines, "broken")
	}
	return lines
}

var protocols = map[string]lvs.Protocol{"TCP": lvs.TCP, "UDP": lvs.UDP, "SCTP": lvs.SCTP}

var protocolNames = map[lvs.Protocol]string{0: "IP", 6: "TCP", 17: "UDP", 132: "SCTP", 50: "ESP", 51: "AH"}

// ourText lists a message like decodedMessage.text, at most as many connections
// as most, which the other decoder found.
func ourText(b []byte, most int) []string {
	r, err := connsync.Read(b)
	if err != nil {
		return []string{"refused"}
	}
	lines := []string{fmt.Sprintf("version %d syncid %d size %d", r.Version, r.SyncID, len(b))}
	for c := (connsync.Conn{}); len(lines) <= most && r.Next(&c); {
		proto, ok := protocolNames[c.Protocol]
		if !ok {
			proto = fmt.Sprint(uint8(c.Protocol))
		}
		l := fmt.Sprintf("%s %#x %d %s %s %s %d %d", proto, uint32(c.Flags), c.State, c.Client, c.Virtual, c.Dest, c.FWMark, c.Timeout)
		if _, known := protocols[proto]; known && c.StateName() != "ERR!" || c.IsTemplate() && c.State < 2 {
			l += " " + c.StateName()
		}
		l += sequenceText(r.Version, &c)
		if d, n := c.Option(connsync.OptionEngineData), c.Option(connsync.OptionEngineName); r.Version == 1 && (d != nil || n != nil) {
			l += fmt.Sprintf(" %q %q", d, n)
		}
		lines = append(lines, l)
	}
	var c connsync.Conn
	if len(lines) == most+1 && !r.Next(&c) && r.Err() != nil {
		lines = append(lines, "broken")
	}
	return lines
}

func sequenceText(version int, c *connsync.Conn) string {
	in, out, ok := c.Sequence()
	if version == 0 {
		if ok = len(c.Options) == 24; ok { // the sender was little-endian
			at := func(i int) connsync.SeqAdjust {
				le := binary.LittleEndian
				return connsync.SeqAdjust{Initial: le.Uint32(c.Options[i:]), Delta: le.Uint32(c.Options[i+4:]), PreviousDelta: le.Uint32(c.Options[i+8:])}
			}
			in, out = at(0), at(12)
		}
	}
	if !ok {
		return ""
	}
	return fmt.Sprint(" seq ", in, out)
}
