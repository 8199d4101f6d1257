/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * abi.h: every struct, enum and rule that the packet path (C) and the daemon
 * (Go) share. Fixed-width types, explicit padding, no bit-fields, no unions.
 * The Go types are generated from these by bpf2go -type; a Go test checks
 * sizes and offsets. A change that alters a layout or the protocol below
 * raises SCHEMA_VERSION.
 *
 * MAPS (maps.h), all shared by name between the XDP and the TC object:
 *
 *   conns     ARRAY, mmapable   u32 set       -> struct conn_set
 *   stash     HASH              struct flow   -> struct conn   (overflow)
 *   services  HASH              service_key   -> struct service
 *   ring      ARRAY             u32 slot      -> u32 destination index
 *   dests     ARRAY             u32 index     -> struct dest
 *   dcount    ARRAY, mmapable   u32 index     -> struct dest_count
 *   srun      ARRAY             u32 service   -> struct service_run
 *   dstats    PERCPU_ARRAY      u32 index     -> struct counters
 *   sstats    PERCPU_ARRAY      u32 service   -> struct counters
 *   reasons   PERCPU_ARRAY      enum reason   -> u64 packets
 *   settings  ARRAY(1), mmapable              -> struct settings_block
 *   runtime   ARRAY(1), mmapable              -> struct runtime_block
 *   frags     LRU_HASH          frag_key      -> struct frag
 *   macs      HASH              u64 MAC       -> u32 (any value: "ours")
 *   meta      ARRAY(1)                        -> struct meta_block
 *   events    RINGBUF                         struct event  (SYNCHRONISATION)
 *   asks      RINGBUF                         struct ask    (a client's MAC)
 *   inbox     ARRAY, mmapable   u32 place     -> struct arrival
 *   scratch, surveys  PERCPU_ARRAY(2), private to an object: may be shared, need
 *                     not; never pinned. Element 0 is the packet path's, 1 that
 *                     of lb_inject, which packets interrupt.
 *   xdp_jump, tc_jump  PROG_ARRAY  enum jump  -> program
 *
 * max_entries of conns (a power of two), stash, services, ring, dests (=
 * dcount = dstats), srun (= sstats) may be set before load, alike in both
 * objects; maps.h has defaults. settings.conns_mask must be max_entries(conns) - 1.
 *
 * TIME is the tick: (u32)(jiffies64 >> settings.tick_shift), 75..125 Hz:
 * shift 0 for HZ 100, 1 for 250, 2 for 300, 3 for 1000. The program
 * `lb_clock` (type syscall) reads the clock for user space; see struct clock.
 * Ticks wrap: an entry is dead when (s32)(now - last) > (s32)timeout.
 *
 * THE CONNECTION TABLE
 *
 * hash  = 64 bits, words_place in table.h (Go model: prog.PlaceOf)
 * set 1 = low 32 bits & conns_mask; tag = high 32 bits | 2
 * set 2 = set 1 ^ ((tag * 0x9E3779B1 >> 1) | 1), & conns_mask
 * A way is named by its locator: set << 3 | way, plus 1; 0 names no way,
 * LOC_STASH says "in the stash, look up by key".
 *
 * Life of a way, by tag value and state word. Each step is one atomic
 * compare-and-swap; whoever wins it does the work of the step alone.
 *
 *   claim    tag 0 -> TAG_CLAIMED. The winner owns the whole entry and writes
 *            it: key, last, timeout, dest, ..., and at the end the state word
 *            with the epoch of the earlier one plus 1 and CONN_TENTATIVE set.
 *   publish  tag TAG_CLAIMED -> tag of the key.
 *   rescan   both sets of the key are searched for another published entry
 *            of the same key (tag and key equal, state not STATE_DEAD):
 *              not tentative                 -> withdraw own, use the other
 *              tentative, lower locator      -> withdraw own
 *              tentative, higher locator     -> kill: its state -> STATE_DEAD;
 *                                               lost that race: start again
 *   confirm  own state: CONN_TENTATIVE cleared. Lost: it was killed, withdraw.
 *            The winner adds the entry to the counts (see COUNTS).
 *   withdraw (own, tentative or killed) state -> STATE_DEAD, tag -> 0. A
 *            tentative entry is in no count. Only its creator clears the tag.
 *   use      a reader takes an entry whose tag and key match, whose state is
 *            neither dead nor tentative, whose deadline has not passed and
 *            whose destination has the generation of the entry.
 *   change   state s -> s' by compare-and-swap on the whole state word, same
 *            epoch; the winner moves active/inactive if they differ, then
 *            stores timeout.
 *   free     state s -> STATE_DEAD (same epoch and flags). The winner, alone:
 *            (1) takes the entry out of the counts, (2) frees the reply entry
 *            named by peer, (3) sets tag to 0. After (3) the way may be
 *            claimed at once: nothing of it may be touched any more.
 *   Free may be done by the packet path (on lookup of a dead entry, when it
 *   needs the way, on reuse) and by user space, with the same steps.
 *   User space must use sequentially consistent atomics on tag and state
 *   (Go's sync/atomic are).
 *
 *   What a crash of user space inside a step can leave behind, for the next
 *   start to put right before it begins: TAG_CLAIMED for good, or STATE_DEAD
 *   with a tag (set the tag to 0), and counts that are off by that entry
 *   (audit: recount). The packet path never stops inside a step.
 *
 * Stash entries follow the same rules for the state word; there is no tag.
 * Insertion is BPF_NOEXIST and confirmed at once; then the two sets are
 * searched: tentative entries of the key are killed, a confirmed one makes the
 * stash entry go again. Who confirms in a set looks into the stash before and
 * withdraws if the key is there. Freeing ends with deleting the key. Whoever
 * inserts or deletes moves runtime.stash_count; it is looked at only to
 * skip the lookup when 0. User space cannot change stash entries in place:
 * it runs `lb_sweep` (type syscall), which frees the dead ones among them.
 *
 * REPLY ENTRIES (NAT only). The key of a packet from the real server, (RIP,
 * CIP, rport, cport), is a second entry of type struct reply, with CONN_REPLY
 * in its state word, that points at the forward entry. It is valid while the
 * forward entry at `peer` has state epoch == fwd_epoch, is not dead, and its
 * client end equals the reply key's destination. It counts nowhere, has no
 * time of its own, is claimed before the forward entry is confirmed and freed
 * with it. A reply entry whose forward entry is not valid is garbage: free it
 * (state -> STATE_DEAD by compare-and-swap, then tag -> 0).
 *
 * COUNTS. dcount[i].active + inactive is the number of confirmed forward
 * entries (conns and stash) with dest == i, whatever their generation; active
 * are those in SYN_SENT, SYN_RECV, SYNACK and ESTABLISHED (TCP only: UDP
 * entries keep STATE_NONE and are inactive). A slot of dests may be given to
 * another destination only when its two counts are 0 and no entry names it;
 * raising `generation` makes its entries dead at once, after which user space
 * frees them. A destination that is removed keeps its slot with
 * DEST_AVAILABLE cleared until then; added again it gets it back.
 * DCOUNT_OVERLOAD: set when upper > 0 and active + inactive >= upper after an
 * entry was added; cleared after an entry was taken out when lower > 0 ?
 * total < lower : upper > 0 ? total * 4 < upper * 3 : always. After either
 * change look again and undo if the totals say so.
 *
 * SYNCHRONISATION (sync.h, inject.h; lvs.SyncRules is the Go model's input). With
 * SETTING_SYNC a packet that the rules of the settings' second cache line want
 * announced puts a struct event into `events`. They are those of IPVS
 * (sync_conn of ip_vs_sync.c), but for three: a change of state is announced by
 * the packet that makes it, the server's too; SYNC_AT_ONCE; and what one
 * director never told counts as due (conn.told, below).
 *   announced state   TCP: ESTABLISHED, FIN_WAIT, TIME_WAIT, CLOSE, CLOSE_WAIT;
 *                     with SYNC_HALF_OPEN SYN_RECV too; UDP: always. Nothing is
 *                     announced in another.
 *   change            This packet's compare-and-swap moved the entry into an
 *                     announced state other than ESTABLISHED, or, with
 *                     SYNC_AT_ONCE, into any: announce.
 *   else              For packets from the client alone. SYNC_AT_ONCE and told
 *                     is TOLD_NEVER: announce. Otherwise all of these must hold:
 *                     refresh > 0: due by refresh; period > 0: in_pkts % period
 *                     == threshold; both 0: threshold > 0 and in_pkts ==
 *                     threshold.
 *   due by refresh    told is TOLD_NEVER or TOLD_OVERDUE; or the last
 *                     announcement or the packet before this one is at least
 *                     min(refresh, max(timeout / 2, floor)) ago; or it was
 *                     followed by fewer than `retries` others and is at least
 *                     retry_span ago.
 * conn.told says when this director announced the entry last: bits 2..15 are the
 * tick >> TOLD_UNIT modulo 2^14 (0 is written as 1), bits 0..1 the retries since
 * the last due one. It wraps after 2^14 units (1 to 2 hours), hence the packet
 * before, and hence TOLD_OVERDUE: what refresh wants and the packet's number
 * forbids is noted, since the time may wrap until the number fits. refresh is at
 * most REFRESH_MAX ticks, half of the wrap. told is written without atomics: two
 * CPUs may announce one connection twice. Whoever enters or updates an entry for
 * another director writes TOLD_NEVER, so that this one announces it when its
 * client's packets come here.
 * An event that finds no room counts as REASON_SYNC_MISSED and leaves TOLD_NEVER.
 * runtime.missed_told is how many of those user space has reported. Submitting
 * wakes the reader only when it has caught up.
 *
 * Entering what another director announced is lb_inject's (type syscall), so
 * that the insertion above has one speaker: user space writes struct arrivals
 * into `inbox`, runs it with a struct inject as context and reads the results
 * (enum placement). An arrival of no entry is inserted, never into the stash,
 * with CONN_SYNCED, in_pkts 0, ifindex 0 and no MACs (the client's first packet
 * brings them); one of an entry with this destination changes state, timeout and
 * last; one of an entry with another destination replaces it if ARRIVAL_ACTIVE.
 * With a mark, an entry whose last is not before it is left alone.
 *
 * A reply whose forward entry has ifindex 0 (the server speaks first after a
 * failover) asks the kernel's routes for the way to the client. Where those do
 * not know it, or the answer is not for this hook, the packet is dropped and a
 * struct ask tells user space, which finds out and writes the entry: vlan and
 * the MACs, then ifindex.
 *
 * SCHEDULERS
 *   SCHED_RING  (rr, wrr)  slot = srun[id].cursor++ % ring_len; a slot whose
 *               destination is unusable is skipped, at most ring_len slots.
 *   SCHED_SH    ring_len 256. H = (u32)(port + addr) * 0x61C88647 >> 24 with
 *               port 0 without SERVICE_HASH_PORT, both the client's, in host
 *               order. slot = H. Unusable and SERVICE_FALLBACK: slots
 *               (H + H + i) % 256 for i = 0, 1, ...; an empty slot ends it.
 *   SCHED_MH    ring_len slots (4093 as LVS). M(x) = hsiphash(K, x + port +
 *               addr) % ring_len, slot = M(0); with SERVICE_FALLBACK then
 *               M((M(0) + i) % ring_len) for i = 0, 1, ... ring_len - 1; an
 *               empty slot ends it. hsiphash is SipHash-1-3 over the 4 bytes,
 *               K = {2654435761, 2654435761}, as the 64-bit kernel has it.
 *               (sched.SHHash and sched.MHHash are the Go models of both.)
 *   SCHED_LC, SCHED_WLC  the region lists destination indices in the order in
 *               which ties are decided (first wins); at most SCAN_MAX.
 *               overhead = active * 256 + inactive.
 *   usable = weight > 0, DCOUNT_AVAILABLE, not DCOUNT_OVERLOAD. SLOT_EMPTY is
 *   no destination. Nothing usable: REASON_NO_DEST, ICMP port unreachable.
 *   A service's region is replaced by writing a free region of `ring` and
 *   then the service; the old region must stay for one RCU grace period (any
 *   program run started before the update), in practice 100 ms.
 *   The fallback region (fb_*) serves when the table has no room: slot =
 *   (u32)(hash >> 16) % fb_len, must hold usable DR destinations only. NAT is
 *   never balanced statelessly: nothing could translate the replies.
 */
#ifndef KANAME_ABI_H
#define KANAME_ABI_H

#include <linux/types.h>

#define SCHEMA_VERSION 2

#define WAYS 8
#define TAG_FREE 0U
#define TAG_CLAIMED 1U
#define LOC_NONE 0U
#define LOC_STASH 0xffffffffU
#define SLOT_EMPTY 0xffffffffU
#define SCAN_MAX 4096
#define VLAN_NONE 0U	  /* untagged */
#define VLAN_KEEP 0xffffU /* dest.vlan: send with the tag the packet came with */
#define INBOX 256	  /* arrivals that one run of lb_inject takes */
#define TOLD_NEVER 0U
#define TOLD_OVERDUE 1U
#define TOLD_SHIFT 2 /* of the time in conn.told */
#define TOLD_UNIT 5  /* ticks in its unit, as a shift */
#define TOLD_TIME 0x3fffU
#define REFRESH_MAX 262112U /* ticks: (2^13 - 1) units, about 40 minutes */

/* An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d. */
struct addr {
	__u8 b[16];
};

/* The five things that name an IPv4 flow, as a packet carries them. */
struct flow {
	__be32 src;
	__be32 dst;
	__be16 sport;
	__be16 dport;
	__u8 proto; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 pad[3]; /* zero */
};

/* State byte, LVS's numbering (IP_VS_TCP_S_*). UDP keeps STATE_NONE. */
enum conn_state {
	STATE_NONE = 0,
	STATE_ESTABLISHED,
	STATE_SYN_SENT,
	STATE_SYN_RECV,
	STATE_FIN_WAIT,
	STATE_TIME_WAIT,
	STATE_CLOSE,
	STATE_CLOSE_WAIT,
	STATE_LAST_ACK,
	STATE_LISTEN,
	STATE_SYNACK,
	STATE_DEAD = 255,
};

/* The state word: state byte, flag byte, 16-bit epoch. */
enum conn_word {
	CONN_STATE_MASK = 0xff,
	CONN_REPLY = 0x100,	 /* a struct reply, not a struct conn */
	CONN_NO_OUTPUT = 0x200,	 /* no reply seen: input-only transitions */
	CONN_TENTATIVE = 0x400,	 /* published, not confirmed */
	CONN_SYNCED = 0x800,	 /* made by user space, not by a packet */
	CONN_EPOCH_SHIFT = 16,
};

/* A forward entry, 64 bytes. key is (CIP, VIP, cport, vport). */
struct conn {
	struct flow key;
	__u32 state;	/* the state word */
	__u32 last;	/* tick of the last packet, either direction */
	__u32 timeout;	/* ticks */
	__u32 dest;	/* index into dests */
	__u32 dest_gen; /* dests[dest].generation at insertion */
	__u32 in_pkts;	/* packets from the client to this director, modulo 2^32 */
	__u32 peer;	/* locator of the reply entry, LOC_NONE for DR */
	__u32 ifindex;	/* of the last packet from the client; 0: none came here yet */
	__u8 l2_dst[6]; /* of the last packet from the client: our MAC */
	__u8 l2_src[6]; /* ... and the MAC the replies of NAT go to */
	__u16 vlan;	/* its VLAN id, VLAN_NONE when untagged */
	__u16 told;	/* when it was announced, see SYNCHRONISATION */
};

/* A reply entry, 64 bytes, in the place of a struct conn. key is
 * (RIP, CIP, rport, cport). */
struct reply {
	struct flow key;
	__u32 state;	 /* the state word, CONN_REPLY set, STATE_NONE */
	__u32 fwd_epoch; /* epoch of the forward entry */
	__u32 peer;	 /* locator of the forward entry */
	__be32 vaddr;	 /* VIP and virtual port: with key, the forward key */
	__be16 vport;
	__u8 l2_dst[6]; /* of the last packet from the server: our MAC */
	__u32 pad[6];
};

/* 8 ways and their tags; the rest of the first cache line is unused. */
struct conn_set {
	__u32 tag[WAYS];
	__u32 pad[8];
	struct conn way[WAYS];
};

enum sched_kind {
	SCHED_RING = 0,
	SCHED_SH,
	SCHED_MH,
	SCHED_LC,
	SCHED_WLC,
};

enum service_flags {
	SERVICE_HASH_PORT = 1 << 0, /* sh-port, mh-port */
	SERVICE_FALLBACK = 1 << 1,  /* sh-fallback, mh-fallback */
};

struct service_key {
	struct addr addr;
	__be16 port; /* 0: any port, see SETTING_ANY_PORT */
	__u8 proto;
	__u8 pad;
};

struct service {
	__u32 id; /* index into srun and sstats */
	__u32 flags;
	__u32 sched; /* enum sched_kind */
	__u32 ring_off;
	__u32 ring_len; /* 0: no destination */
	__u32 fb_off;
	__u32 fb_len; /* 0: no stateless fallback */
	__u32 pad;
};

/* What the packet path itself writes about a service. */
struct service_run {
	__u32 cursor;	 /* SCHED_RING */
	__u32 stateless; /* tick of the last packet without an entry; 0: never */
};

enum method {
	METHOD_NAT = 0,
	METHOD_DR = 1,
};

enum dest_flags {
	DEST_AVAILABLE = 1 << 0, /* configured; cleared: packets are dropped */
	DEST_RESOLVED = 1 << 1,	 /* ifindex, vlan, dmac, smac are valid */
	DEST_LOCAL = 1 << 2,	 /* an address of this host: PASS untouched */
};

struct dest {
	struct addr addr; /* RIP */
	__be16 port;	  /* rport; DR: not used */
	__u8 method;	  /* enum method */
	__u8 pad0;
	__u32 flags;	  /* enum dest_flags */
	__u32 generation; /* entries of another generation are dead */
	__u32 service;	  /* id of its service */
	__u32 ifindex;
	__u16 vlan; /* VLAN id, VLAN_NONE or VLAN_KEEP */
	__u16 pad1;
	__u8 dmac[6];
	__u8 smac[6];
	__u32 upper; /* connection limits, 0: none */
	__u32 lower;
	__u32 pad2;
};

enum dcount_flags {
	DCOUNT_AVAILABLE = 1 << 0, /* may be scheduled; user space's bit */
	DCOUNT_OVERLOAD = 1 << 1,  /* both sides' bit: atomic and/or only */
};

struct dest_count {
	__s32 active;
	__s32 inactive;
	__u32 weight;
	__u32 flags;
};

/* Bytes are of IP packets (tot_len). */
struct counters {
	__u64 conns;
	__u64 in_pkts;
	__u64 in_bytes;
	__u64 out_pkts;
	__u64 out_bytes;
};

enum setting_flags {
	SETTING_ANY_PORT = 1 << 0,	/* a service with port 0 exists */
	SETTING_CHECK_MAC = 1 << 1,	/* only frames to a MAC in macs are ours */
	SETTING_EXPIRE_NODEST = 1 << 2, /* as the sysctl expire_nodest_conn */
	SETTING_NO_REUSE = 1 << 3,	/* as conn_reuse_mode 0 */
	SETTING_SYNC = 1 << 4,		/* announce connections */
};

enum sync_flags {
	SYNC_AT_ONCE = 1 << 0, /* with the packet that establishes, the first of UDP */
	SYNC_HALF_OPEN = 1 << 1, /* connections in SYN_RECV too */
};

#define TIMEOUT_UDP 11

/* Two cache lines, of which most packets read the first. hash_seed, conns_mask and tick_shift belong to the contents
 * of the table: they are set once, before the first program is attached. */
struct settings_block {
	__u32 hash_seed;
	__u32 conns_mask;
	__u32 tick_shift;
	__u32 flags;
	__u32 timeouts[12]; /* ticks, by enum conn_state; [TIMEOUT_UDP] */
	/* What SETTING_SYNC announces. */
	__u32 sync_flags;   /* enum sync_flags */
	__u32 threshold;
	__u32 period;
	__u32 refresh;	    /* ticks, 0: none, at most REFRESH_MAX */
	__u32 refresh_floor; /* ticks of 10 s */
	__u32 retry_span;   /* ticks, refresh / 8 */
	__u32 retries;	    /* 0 to 3 */
	__u32 pad[9];
};

struct runtime_block {
	__s32 stash_count;
	__u32 missed_told; /* user space's: REASON_SYNC_MISSED as it last said it */
	__u32 pad[14];
};

/* A connection to announce, as it was when the packet came. */
struct event {
	struct flow key;
	__u32 state; /* the state word */
	__u32 timeout;
	__u32 dest;
	__u32 dest_gen;
	__u32 in_pkts;
	__u32 pad;
};

/* The way to this connection's client is not known, and a reply waits. */
struct ask {
	struct flow key; /* of the forward entry */
};

enum arrival_flags {
	ARRIVAL_ACTIVE = 1 << 0,    /* takes the place of another destination's entry */
	ARRIVAL_NO_OUTPUT = 1 << 1, /* NAT: nothing of the server's was seen yet */
};

/* What became of an arrival, with the numbers of lvs.Placement. */
enum placement {
	PLACED = 0,
	UPDATED,
	REBOUND,
	STALE,
	NO_SERVICE,
	NO_SERVER,
	UNSUPPORTED,
	CLASH,
	NO_ROOM,
};

/* A connection that another director announced. */
struct arrival {
	struct flow key;
	__u32 state; /* enum conn_state */
	__u32 flags; /* enum arrival_flags */
	__u32 timeout;
	__u32 left; /* ticks until its deadline, at most timeout */
	__u32 dest;
	__u32 dest_gen;
	__u32 result; /* enum placement, out */
	__u32 pad[5];
};

/* The context of lb_inject. */
struct inject {
	__u32 count; /* arrivals in the inbox, at most INBOX */
	__u32 mark;  /* 0: none */
};

/* Filled by lb_clock (type syscall), run with a struct clock as context.
 * jiffies64 starts at 2^32 - 300 * HZ at boot; two readings give HZ. */
struct clock {
	__u64 jiffies; /* jiffies64 */
	__u64 mono_ns; /* CLOCK_MONOTONIC, read together with jiffies */
};

struct meta_block {
	__u32 schema; /* SCHEMA_VERSION of whoever created the maps */
	__u32 pad[15]; /* for user space */
};

struct frag_key {
	__be32 src;
	__be32 dst;
	__be16 id;
	__u8 proto;
	__u8 pad;
};

/* What happened to the first fragment of a datagram, for the others. */
struct frag {
	__u32 last; /* tick; good for FRAG_TICKS */
	__u32 dest; /* index into dests and its service, for the counters */
	__u32 service;
	__u32 ifindex; /* where to send it */
	__u8 dmac[6];
	__u8 smac[6];
	__u16 vlan;
	__u8 nat;   /* enum nat */
	__u8 reply; /* 1: from the server to the client */
	__be32 addr;
};

#define FRAG_TICKS (30 * 125) /* 30 to 50 s, as the tick goes */

/* What NAT does to the addresses of a packet. */
enum nat {
	NAT_NONE = 0,
	NAT_DST,
	NAT_SRC,
};

enum jump {
	JUMP_FULL = 0, /* VLAN, IP options, misses: the whole path */
	JUMP_ICMP,
	JUMP_FRAG,
	JUMP_REJECT, /* answer with ICMP port unreachable */
	JUMP_MAX,
};

/* Why a packet was not simply forwarded. PASS: to the stack untouched, unless
 * it says otherwise. */
enum reason {
	REASON_NOT_IPV4 = 0,	/* PASS */
	REASON_NOT_L4,		/* PASS: neither TCP, UDP nor an ICMP error */
	REASON_NO_SERVICE,	/* PASS: no connection and no service */
	REASON_TRUNCATED,	/* PASS: shorter than its headers say */
	REASON_MALFORMED,	/* PASS: version, header length, tot_len */
	REASON_OTHER_HOST,	/* PASS: frame for another MAC, see CHECK_MAC */
	REASON_MULTICAST_MAC,	/* PASS */
	REASON_LOCAL,		/* PASS: the real server is this host */
	REASON_NO_CONN,		/* PASS: TCP to a service, no entry, no SYN */
	REASON_ICMP_UNRELATED,	/* PASS: about no connection of ours */
	REASON_FRAG_UNKNOWN,	/* PASS: its first fragment was not seen */
	REASON_NO_DEST,		/* rejected: nothing usable to schedule */
	REASON_REJECT_SENT,	/* TX: the ICMP error for NO_DEST */
	REASON_DEST_GONE,	/* DROP: server removed (expire_nodest_conn 0) */
	REASON_UNRESOLVED,	/* DROP: the server's MAC is not known */
	REASON_TTL,		/* DROP: TTL 1 or 0 */
	REASON_TABLE_FULL,	/* DROP: NAT, no room for the connection */
	REASON_REPLY_CLASH,	/* DROP: NAT, reply tuple in use by another */
	REASON_CLAIM_RACE,	/* DROP: two CPUs inserted the flow at once */
	REASON_STATELESS,	/* forwarded without an entry: table full */
	REASON_RECLAIMED,	/* event: half-open entry given up */
	REASON_EXPIRED,		/* event: dead entry found and freed */
	REASON_REUSED,		/* event: SYN on a closed entry, scheduled anew */
	REASON_STASHED,		/* event: entry went to the stash */
	REASON_NO_JUMP,		/* PASS: a tail call had no target */
	REASON_INTERNAL,	/* DROP: a lookup that cannot fail failed */
	REASON_REWRITE,		/* DROP: the kernel refused to change the packet */
	REASON_SYNC_MISSED,	/* event: no room to announce a connection */
	REASON_CLIENT_UNRESOLVED, /* DROP: a reply, and no way to the client is known */
	REASON_MAX,
};

#endif
