package lint

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var syncRules = []rule{
	{"sync-unauthenticated", finding.Note, syncUnauthenticated},
	{"sync-takes-every-id", finding.Note, syncTakesEveryID},
	{"sync-both-roles", finding.Note, syncBothRoles},
	{"sync-maxlen", finding.Warning, syncMaxLen},
	{"sync-scope", finding.Note, syncScope},
	{"sync-without-servers", finding.Note, syncWithoutServers},
	{"sync-without-daemon", finding.Note, syncWithoutDaemon},
	{"sync-late", finding.Note, syncLate},
}

// sync returns the sync daemon and where it sends to, nil without one.
func (c *checker) sync() (*config.SyncDaemon, netip.AddrPort) {
	s := c.cfg.Global.SyncDaemon
	if s == nil {
		return nil, netip.AddrPort{}
	}
	return s, netip.AddrPortFrom(s.Group, uint16(s.Port))
}

// syncUnauthenticated: a backup believes every datagram.
func syncUnauthenticated(c *checker) {
	s, group := c.sync()
	if s == nil || c.cfg.Kaname.Sync.Key != "" {
		return
	}
	id := fmt.Sprintf("of syncid %d", s.SyncID)
	if s.SyncID == 0 {
		id = "of every syncid"
	}
	c.reportFor(s.Where, fmt.Sprintf("anybody on the segment of %s who can send to %s can insert, redirect or exhaust connections %s here: the protocol has no authentication", s.Interface, group, id),
		"no sync_key in the block kaname",
		"@kaname sync_key between kaname directors (kernel IPVS as backup takes no notice of the signature, as master it is refused), or keep the segment private")
}

// syncTakesEveryID: syncid 0 is no id but the wish for all.
func syncTakesEveryID(c *checker) {
	s, _ := c.sync()
	if s == nil || s.SyncID != 0 {
		return
	}
	evidence := "id 0"
	switch {
	case s.HasID:
	case s.Instance == "":
		evidence = "no vrrp_instance whose VRID it would be, and no id"
	default:
		evidence = "lvs_sync_daemon_interface knows no id"
	}
	c.reportFor(s.Where, "with syncid 0 this director takes the connections of every director on the segment, of other clusters too, and only directors with syncid 0 take its own",
		evidence, "id 1 or above, the same on the directors of one cluster")
}

// syncBothRoles: VRRP has no say in it.
func syncBothRoles(c *checker) {
	if s, _ := c.sync(); s != nil && s.Instance == "" {
		c.reportFor(s.Where, "this director announces and takes connections all the time, whatever VRRP says; that is right where both directors carry traffic at once",
			"lvs_sync_daemon names no vrrp_instance", "with one active director, name the vrrp_instance: the MASTER then announces and the BACKUP takes")
	}
}

// Sizes of a datagram's payload.
const (
	payload4   = 1472 // MTU 1500 less IPv4 and UDP header
	payload6   = 1452
	maxCounted = 9188 // 255 of the smallest connections: the count is one byte
)

// syncMaxLen: long datagrams are lost on the way or in the backup.
func syncMaxLen(c *checker) {
	s, _ := c.sync()
	if s == nil {
		return
	}
	fits := payload4
	if s.Group.Is6() {
		fits = payload6
	}
	evidence, fix := fmt.Sprintf("maxlen %d", s.MaxLen), fmt.Sprintf("maxlen %d, or none", fits)
	switch {
	case s.MaxLen > maxCounted:
		c.reportFor(s.Where, fmt.Sprintf("a datagram above %d bytes can hold more than 255 connections, which its header cannot count: kernels as peers lose those behind the 255th", maxCounted), evidence, fix)
	case s.MaxLen > fits:
		c.reportFor(s.Where, fmt.Sprintf("datagrams above %d bytes are sent in fragments at the usual MTU of 1500, and a peer with kernel IPVS whose own maxlen is not as large drops them", fits), evidence, fix)
	}
}

// syncScope: how far the group's address and the TTL carry.
func syncScope(c *checker) {
	s, _ := c.sync()
	if s == nil {
		return
	}
	evidence := fmt.Sprintf("group %s ttl %d", s.Group, s.TTL)
	switch local := s.Group.IsLinkLocalMulticast(); {
	case s.Group.IsInterfaceLocalMulticast():
		c.reportFor(s.Where, fmt.Sprintf("%s does not leave this host: no other director hears it", s.Group), evidence, "group ff02::81")
	case local && s.TTL > 1:
		c.reportFor(s.Where, fmt.Sprintf("routers never forward %s, so the TTL changes nothing: the other director must be on the segment of %s", s.Group, s.Interface), evidence, "ttl 1, or a group outside 224.0.0.0/24 and ff02::/16")
	case s.TTL > 1:
		c.reportFor(s.Where, fmt.Sprintf("multicast routers carry the connections off the segment of %s: everybody within %d hops who joins the group can read them", s.Interface, s.TTL), evidence, "ttl 1 and no group, when the other director is on the same segment")
	case !local:
		c.reportFor(s.Where, fmt.Sprintf("%s is a group that switches with IGMP or MLD snooping deliver only while a querier is on the segment", s.Group), evidence, "no group: 224.0.0.81 reaches every port")
	}
}

// syncWithoutServers: there is nothing to announce and nowhere to put what is
// heard.
func syncWithoutServers(c *checker) {
	if s, _ := c.sync(); s != nil && len(c.cfg.VirtualServers) == 0 {
		c.reportFor(s.Where, "the sync daemon has nothing to announce here, and what it hears is kept, but serves nobody", "no virtual_server that can run", "the virtual_servers of the other director")
	}
}

// syncWithoutDaemon: settings of what does not run.
func syncWithoutDaemon(c *checker) {
	if c.cfg.Global.SyncDaemon != nil || c.global("lvs_sync_daemon") != nil {
		return // one that is dropped has its own finding
	}
	var first finding.Place
	c.blocks(func(path string, block *syntax.Statement) {
		if path != "kaname" || !first.IsZero() {
			return
		}
		for _, st := range block.Block.Body {
			kw := st.Keyword()
			if first.IsZero() && strings.HasPrefix(kw, "sync_") && config.Grammar().Kind(path, kw) != syntax.Unknown {
				first = st.Pos().Place()
			}
		}
	})
	if !first.IsZero() {
		c.reportFor(first, "no connection is synchronised, so the sync settings do nothing", "no lvs_sync_daemon in global_defs", "global_defs { lvs_sync_daemon eth0 VI_1 }")
	}
}

// syncLate: IPVS's own rules announce a connection when it has lasted.
func syncLate(c *checker) {
	s, _ := c.sync()
	rules := c.cfg.Kaname.Sync.Rules
	if s == nil || rules.AtOnce {
		return
	}
	var at *syntax.Statement
	c.inBlocks("kaname", func(block *syntax.Statement) {
		if st := keyword(block, "sync_at_once"); st != nil {
			at = st
		}
	})
	if at == nil {
		return
	}
	when, evidence := "only when its state changes, or for the first time long after it began", "no sync_threshold"
	if rules.Threshold > 0 {
		when = fmt.Sprintf("not before its packet %d", rules.Threshold)
		evidence = fmt.Sprintf("sync_threshold %d %d", rules.Threshold, rules.Period)
	}
	c.reportFor(at.Pos().Place(), fmt.Sprintf("with sync_at_once off a connection is announced %s: a failover before that cuts it, and shorter ones are never known to the backup", when), evidence, "sync_at_once on, unless the wire has to look as IPVS's own")
}
