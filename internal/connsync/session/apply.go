package session

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// refuse counts what is wrong with a message.
func (t *Table) refuse(err error) error {
	if e, ok := errors.AsType[*connsync.Error](err); ok {
		t.stats.Refused[e.Reason]++
	}
	return err
}

// read takes the connections of a message.
func (t *Table) read(now int64, r *connsync.Reader, director uint16) (n int) {
	for {
		switch b := r.Plain(); {
		case b != nil:
			n += t.plain(now, r.SyncID, director, b)
		case r.Next(&t.conn):
			n += t.any(now, uint8(r.Version), r.SyncID, director)
		default:
			return n + flush(t, &t.four) + flush(t, &t.six)
		}
	}
}

// plain takes a connection of which nothing but its bytes was read: version 1,
// IPv4, no options. It returns how many have gone into the table.
func (t *Table) plain(now int64, syncID uint8, director uint16, b []byte) int {
	_ = b[35]
	state, flags := binary.BigEndian.Uint16(b[8:]), connsync.Flags(binary.BigEndian.Uint32(b[4:]))
	if b[1] != uint8(lvs.TCP) || state >= lvs.NumTCPStates || flags&(connsync.Template|connsync.OnePacket) != 0 {
		c := connsync.Conn{Protocol: lvs.Protocol(b[1]), State: state, Flags: flags}
		if !t.accepts(&c, 1, director) {
			return 0
		}
	}
	template, ports := flags&connsync.Template != 0, binary.BigEndian.Uint32(b[10:])
	hash := hash4(binary.LittleEndian.Uint64(b[24:]), tail(ports, b[1], template), t.opt.Seed)
	if t.opt.Parts > 1 && !t.opt.takes(hash) {
		return 0
	}
	n := &t.four.batch.records[t.four.batch.n]
	n.engine, n.protocol, n.template = 0, b[1], template
	n.client, n.virtual, n.ports = [4]byte(b[24:28]), [4]byte(b[28:32]), ports
	n.dest, n.dport = [4]byte(b[32:36]), binary.BigEndian.Uint16(b[14:])
	n.director, n.state, n.syncID, n.version = director, uint8(state), syncID, 1
	n.flags, n.fwmark, n.timeout = uint32(flags), binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])
	return collect(t, &t.four, now, hash)
}

// takes reports whether the table has the part that the hash belongs to.
func (o *Options) takes(hash uint64) bool { return int(hash>>48&0xff)*o.Parts>>8 == o.Part }

// any takes t.conn, like plain.
func (t *Table) any(now int64, version, syncID uint8, director uint16) int {
	c := &t.conn
	if !t.accepts(c, int(version), director) {
		return 0
	}
	engine := uint32(0)
	if version == 1 && c.IsTemplate() {
		if data := c.Option(connsync.OptionEngineData); data != nil {
			engine = hashBytes(data, c.Option(connsync.OptionEngineName))
		}
	}
	if c.Client.Addr().Is4() {
		n := &t.four.batch.records[t.four.batch.n]
		fill(n, c, engine, version, syncID, director)
		n.client, n.virtual, n.dest = c.Client.Addr().As4(), c.Virtual.Addr().As4(), c.Dest.Addr().As4()
		return put(t, &t.four, now)
	}
	n := &t.six.batch.records[t.six.batch.n]
	fill(n, c, engine, version, syncID, director)
	n.client, n.virtual, n.dest = c.Client.Addr().As16(), c.Virtual.Addr().As16(), c.Dest.Addr().As16()
	return put(t, &t.six, now)
}

// put is collect for a record whose part nobody has looked at.
func put[A address](t *Table, f *family[A], now int64) int {
	hash := f.batch.records[f.batch.n].hash(t.opt.Seed)
	if t.opt.Parts > 1 && !t.opt.takes(hash) {
		return 0
	}
	return collect(t, f, now, hash)
}

// collect completes the record that was put behind a batch, and enters the
// batch when it is full.
func collect[A address](t *Table, f *family[A], now int64, hash uint64) int {
	b := &f.batch
	n := &b.records[b.n]
	if n.timeout == 0 {
		n.timeout = uint32(lvs.ConnState(n.state).DefaultTimeout(lvs.Protocol(n.protocol), n.template) / time.Second)
	}
	n.first, n.last = now, now
	b.hashes[b.n] = uint32(hash)
	if b.n++; b.n < batchLen {
		return 0
	}
	return flush(t, f)
}

// flush enters a batch and returns how many of it the table took. Each of a
// large table's sessions lies in memory that no cache has: so all places are
// looked at first. Unless somebody listens, new sessions come before known ones:
// which of both the next will be no processor could foresee. Messages about one
// session stay in their order.
func flush[A address](t *Table, f *family[A]) (taken int) {
	b := &f.batch
	if b.n == 0 {
		return 0
	}
	f.look()
	if t.kinds != 0 {
		for i := range b.n {
			taken += enter(t, f, i)
		}
	} else {
		for _, i := range b.strange[:b.numStrange] {
			taken += enter(t, f, int(i))
		}
		for _, i := range b.known[:b.n-b.numStrange] {
			taken += enter(t, f, int(i))
		}
	}
	b.n = 0
	return taken
}

func fill[A address](n *record[A], c *connsync.Conn, engine uint32, version, syncID uint8, director uint16) {
	n.key = key[A]{
		engine: engine, ports: uint32(c.Client.Port())<<16 | uint32(c.Virtual.Port()),
		protocol: uint8(c.Protocol), template: c.IsTemplate(),
	}
	n.dport, n.director, n.state, n.syncID, n.version = c.Dest.Port(), director, uint8(c.State), syncID, version
	n.flags, n.fwmark, n.timeout = uint32(c.Flags), c.FWMark, c.Timeout
}

// accepts says whether a receiver keeps the connection, and counts it if not.
func (t *Table) accepts(c *connsync.Conn, version int, director uint16) bool {
	if reason := c.Refusal(version); reason != connsync.ReasonNone {
		t.stats.Refused[reason]++
		t.directors[director].Refused++
		return false
	}
	return !t.opt.NoTemplates || !c.IsTemplate()
}

// enter brings what a message says into the table: the batch's connection i. It
// returns 1 if the table took it, else 0.
func enter[A address](t *Table, f *family[A], i int) int {
	n := &f.batch.records[i]
	p, r, ref := f.lookup(i)
	if r != nil && r.deadline() <= n.last {
		ended(t, f, r)
		f.remove(f.batch.hashes[i], ref, r)
		p, r, ref = f.lookup(i)
	}
	if r == nil {
		return create(t, f, p, f.batch.hashes[i], n)
	}
	return update(t, f, ref, r, n)
}

func create[A address](t *Table, f *family[A], p place, hash uint32, n *record[A]) int {
	if t.Len() >= t.opt.MaxSessions || f.index.full(p) {
		t.stats.Full++
		return 0
	}
	f.add(p, hash, n)
	t.stats.Created++
	t.directors[n.director].Sessions++
	if t.kinds&Created != 0 {
		tell(t, f, Created, n.last, n, n)
	}
	return 1
}

// update makes r what n says. A connection with another destination is another
// connection: its end is passed over, anything else takes the place
// (net/netfilter/ipvs/ip_vs_sync.c, ip_vs_proc_conn).
func update[A address](t *Table, f *family[A], ref uint32, r, n *record[A]) int {
	kinds := Refreshed
	if r.dest != n.dest || r.dport != n.dport {
		if n.flags&uint32(connsync.Inactive) != 0 && !n.template {
			t.stats.Stale++
			return 0
		}
		kinds = Moved
	} else {
		n.first = r.first
	}
	if r.director != n.director || r.syncID != n.syncID {
		t.directors[r.director].Sessions--
		t.directors[n.director].Sessions++
		kinds |= Moved
	}
	if r.state != n.state || r.fwmark != n.fwmark {
		kinds |= Changed
	}
	if kinds != Refreshed {
		kinds &^= Refreshed
	}
	if t.kinds&kinds != 0 {
		before := *r
		tell(t, f, kinds, n.last, n, &before)
	}
	*r = *n
	f.schedule(ref, r)
	return 1
}

// ended tells of a session that ran out.
func ended[A address](t *Table, f *family[A], r *record[A]) {
	t.stats.Expired++
	t.directors[r.director].Sessions--
	if t.kinds&Expired != 0 {
		tell(t, f, Expired, r.deadline(), r, r)
	}
}

func tell[A address](t *Table, f *family[A], kinds Kind, at int64, r, before *record[A]) {
	var old Session
	e := &t.event
	e.Kinds, e.Time = kinds, time.Unix(0, at).UTC()
	f.view(r, t.directors, &e.Session)
	f.view(before, t.directors, &old)
	e.Before = Before{State: old.State, FWMark: old.FWMark, Dest: old.Dest, Director: old.Director, SyncID: old.SyncID}
	t.listen(e)
}
