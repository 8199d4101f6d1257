package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// madeCapture says what is in a capture.
type madeCapture struct {
	connections int // messages, several about one session
	datagrams   int
	bytes       int64
}

// maker writes the capture of a busy director: 16 virtual servers with 8 real
// servers each; of the sessions 88 % TCP over IPv4, 8 % UDP, 2 % templates and
// 2 % IPv6; six of ten TCP sessions end, some time after they began, with one
// or two more messages.
type maker struct {
	f    *bufio.Writer
	w    *connsync.Writer
	rnd  *rand.Rand
	open []connsync.Conn // sessions that will end
	made madeCapture
}

// generate writes a capture of that many sessions to the file. It is the same
// each time.
func generate(file string, sessions int) (madeCapture, error) {
	f, err := os.Create(file)
	if err != nil {
		return madeCapture{}, err
	}
	defer f.Close()
	m := &maker{
		f: bufio.NewWriterSize(f, 1<<20), rnd: rand.New(rand.NewPCG(3, 8848)),
		w: connsync.NewWriter(51, connsync.DefaultLen4, false, nil),
	}
	header := make([]byte, 24)
	le := binary.LittleEndian
	le.PutUint32(header, 0xa1b2c3d4)
	le.PutUint16(header[4:], 2)
	le.PutUint16(header[6:], 4)
	le.PutUint32(header[16:], 65535)
	le.PutUint32(header[20:], 1)
	m.write(header)
	for i := range sessions {
		c := m.session(i)
		if err := m.add(&c); err != nil {
			return m.made, err
		}
		if err := m.end(); err != nil {
			return m.made, err
		}
	}
	m.datagram()
	if err := m.f.Flush(); err != nil {
		return m.made, err
	}
	return m.made, f.Close()
}

func (m *maker) write(b []byte) {
	_, _ = m.f.Write(b) // Flush returns the first error
	m.made.bytes += int64(len(b))
}

// session is the first message of the session with the number i.
func (m *maker) session(i int) connsync.Conn {
	v, d := m.rnd.IntN(16), m.rnd.IntN(8)
	scattered := uint32(i) * 2654435761 & 0xffffff // each one once
	client := netip.AddrFrom4([4]byte{11, byte(scattered >> 16), byte(scattered >> 8), byte(scattered)})
	ports := [...]uint16{80, 443, 25, 8080}
	c := connsync.Conn{
		Protocol: lvs.TCP, State: uint16(lvs.StateEstablished), Flags: connsync.MethodDR | connsync.NoOutput, Timeout: 900,
		Client:  netip.AddrPortFrom(client, uint16(1024+m.rnd.IntN(64000))),
		Virtual: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + v)}), ports[v%len(ports)]),
		Dest:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(v*8 + d)}), ports[v%len(ports)]),
	}
	switch kind := m.rnd.IntN(100); {
	case kind < 8:
		c.Protocol, c.State, c.Timeout = lvs.UDP, 0, 300
		c.Flags |= connsync.Inactive
	case kind < 10:
		c.Flags |= connsync.Template | connsync.Inactive
		c.Client, c.Timeout = netip.AddrPortFrom(client, 0), 360
	case kind < 12:
		for _, a := range []*netip.AddrPort{&c.Client, &c.Virtual, &c.Dest} {
			six := [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8}
			four := a.Addr().As4()
			copy(six[12:], four[:])
			*a = netip.AddrPortFrom(netip.AddrFrom16(six), a.Port())
		}
	case kind < 65:
		m.open = append(m.open, c)
	}
	return c
}

// end announces now and then the end of a session that began before.
func (m *maker) end() error {
	const open = 20_000
	if len(m.open) < open {
		return nil
	}
	i := m.rnd.IntN(len(m.open))
	c := m.open[i]
	m.open[i] = m.open[len(m.open)-1]
	m.open = m.open[:len(m.open)-1]
	states := []uint16{uint16(lvs.StateFinWait)}
	if m.rnd.IntN(2) == 0 {
		states = []uint16{uint16(lvs.StateCloseWait), uint16(lvs.StateTimeWait)}
	}
	for _, s := range states {
		c.State, c.Flags = s, c.Flags|connsync.Inactive
		c.Timeout = uint32(lvs.ConnState(s).DefaultTimeout(lvs.TCP, false).Seconds())
		if err := m.add(&c); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) add(c *connsync.Conn) error {
	m.made.connections++
	err := m.w.Add(c)
	if errors.Is(err, connsync.ErrFull) {
		m.datagram()
		err = m.w.Add(c)
	}
	return err
}

// datagram writes what was collected: one each millisecond.
func (m *maker) datagram() {
	payload := m.w.Finish(connsync.Trailer{})
	be, le := binary.BigEndian, binary.LittleEndian
	b := make([]byte, 16+14+20+8, 16+14+20+8+len(payload))
	n := len(b) - 16 + len(payload)
	le.PutUint32(b, 1_800_000_000+uint32(m.made.datagrams/1000))
	le.PutUint32(b[4:], uint32(m.made.datagrams%1000*1000))
	le.PutUint32(b[8:], uint32(n))
	le.PutUint32(b[12:], uint32(n))
	copy(b[16:], []byte{1, 0, 0x5e, 0, 0, 81, 2, 0, 0, 0, 0, 1, 8, 0})
	ip := b[30:]
	copy(ip, []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 1, 17, 0, 0, 192, 0, 2, 11, 224, 0, 0, 81})
	be.PutUint16(ip[2:], uint16(n-14))
	be.PutUint16(ip[20:], 50000)
	be.PutUint16(ip[22:], 8848)
	be.PutUint16(ip[24:], uint16(n-34))
	m.write(append(b, payload...))
	m.made.datagrams++
	m.w.Reset()
}
