package connsync

import (
	"net/netip"
	"time"
)

const (
	// maxPeers and maxRefusals bound what a segment full of forged senders can
	// cost.
	maxPeers    = 256
	maxRefusals = 64
	// peerGone is the silence after which a kaname peer, which sends a beacon
	// each second, has been away.
	peerGone = 5 * time.Second
	// peerForgotten is when nothing is known of a silent sender any more. Until
	// then its old datagrams are known for what they are.
	peerForgotten = 24 * time.Hour
)

// sender is what makes two datagrams ones of the same peer.
type sender struct {
	addr   netip.Addr
	syncID uint8
}

// Peer is another director that announces connections.
type Peer struct {
	Addr   netip.Addr
	SyncID uint8
	// Version is that of the newest datagram.
	Version int
	// Kaname says that it sends trailers, Keyed that they are signed.
	Kaname, Keyed bool
	// First and Last are when it was heard, Active since when without a pause.
	First, Last, Active time.Time

	Datagrams   uint64
	Connections uint64
	// Entries is how many connections it says it has, 0 if it does not say.
	Entries uint64
	// Lost are its datagrams that did not arrive, LostAt when that was last
	// noticed.
	Lost   uint64
	LostAt time.Time

	life   uint64 // Trailer.Sender of the newest life
	port   uint16 // of its catch-up streams
	window window
	key    *Key
	fetch  fetchState
}

// Life is the newest life of the peer that was heard, 0 if it is no kaname.
func (p *Peer) Life() uint64 { return p.life }

// hear enters a datagram that was taken.
func (p *Peer) hear(now time.Time, version int) {
	if p.First.IsZero() {
		p.First = now
	}
	if p.Active.IsZero() || now.Sub(p.Last) > 2*peerGone {
		p.Active = now
	}
	if p.life != 0 && now.Sub(p.Last) > peerGone {
		p.fetch.ask(now, fetchGap)
	}
	p.Last, p.Version = now, version
	p.Datagrams++
}

// trail enters the trailer of a datagram. Proven is that it is authentic: only
// then is an older life or a repetition refused, for whoever can forge one can
// forge any.
func (p *Peer) trail(now time.Time, t Trailer, keyed, proven bool) Reason {
	switch {
	case proven && t.Sender < p.life:
		// Or its clock was put back while it was down: the handshake of a
		// catch-up stream proves which life is the present one.
		p.fetch.verify(now)
		return ReasonReplay
	case t.Sender != p.life:
		p.begin(now, t.Sender, startWindow(t.Seq))
	case !p.window.take(now, t.Seq) && proven:
		return ReasonReplay
	}
	p.Kaname, p.Keyed, p.port = true, keyed, t.CatchUp
	p.Entries = uint64(t.Entries)
	return ReasonNone
}

// begin is the first news of another life of the peer.
func (p *Peer) begin(now time.Time, life uint64, w window) {
	p.life, p.window = life, w
	p.fetch = fetchState{began: p.fetch.began}
	p.fetch.ask(now, lifeGap)
}

// Refusal is a sender whose datagrams were not taken.
type Refusal struct {
	Addr   netip.Addr
	SyncID uint8
	Reason Reason
	First  time.Time
	Last   time.Time
	Count  uint64
}
