/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* conntrack.h: what a packet does to its connection, and new connections. */
#ifndef KANAME_CONNTRACK_H
#define KANAME_CONNTRACK_H

#include "parse.h"
#include "sync.h"
#include "table.h"

/* The 12 address bytes of an Ethernet header, or of a conn (l2_dst, l2_src),
 * or of a dest (dmac, smac): in all of them in this order. */
struct l2 {
	__u32 w[3];
};

AI bool l2_eq(const void *a, const void *b)
{
	const struct l2 *x = a, *y = b;

	return x->w[0] == y->w[0] && x->w[1] == y->w[1] && x->w[2] == y->w[2];
}

AI void l2_copy(void *to, const void *from)
{
	struct l2 *x = to;
	const struct l2 *y = from;

	x->w[0] = y->w[0];
	x->w[1] = y->w[1];
	x->w[2] = y->w[2];
}

AI bool mac_eq(const void *a, const void *b)
{
	const __u16 *x = a, *y = b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

/* mac_ours says whether a frame to this MAC is for us. */
AI bool mac_ours(const struct settings_block *st, const void *mac)
{
	const __u16 *m = mac;
	__u64 key;

	if (!(st->flags & SETTING_CHECK_MAC))
		return true;
	key = (__u64)bpf_ntohs(m[0]) << 32 | (__u64)bpf_ntohs(m[1]) << 16 | bpf_ntohs(m[2]);
	return bpf_map_lookup_elem(&macs, &key) != NULL;
}

/* touch notes that a packet came; the line is written only when it changes. */
AI void touch(struct conn *e, __u32 now)
{
	if (e->last != now)
		WRITE_ONCE(e->last, now);
}

/*
 * step moves the connection on by a packet of the direction. The CPU whose
 * compare-and-swap succeeds moves the counts. LVS sets the timeout at every
 * packet, so that a changed timeout holds for old connections too. It returns the
 * word that is in force then, and sets *won if this packet changed the state.
 */
AI __u32 step(const struct settings_block *st, struct conn *e, __u32 word, const struct pkt *p,
	      __u32 dir, bool *won)
{
	__u32 state, to;

	*won = false;
	if (p->key.proto != IPPROTO_TCP) {
		to = st->timeouts[TIMEOUT_UDP];
		if (e->timeout != to)
			WRITE_ONCE(e->timeout, to);
		return word;
	}
	/* 4 tries: losing means that another packet of this very connection
	 * was faster; what this one adds is then little. */
	for (int i = 0; i < 4; i++) {
		__u32 next = word, d = dir;

		if (!word_live(word))
			return word;
		if (word & CONN_NO_OUTPUT) {
			if (dir == DIR_OUTPUT)
				next &= ~(__u32)CONN_NO_OUTPUT;
			else
				d = DIR_INPUT_ONLY;
		}
		state = tcp_next(d, tcp_segment(p->tcp_flags), word & CONN_STATE_MASK);
		next = (next & ~(__u32)CONN_STATE_MASK) | state;
		if (next == word)
			break;
		to = CMPXCHG(&e->state, word, next);
		if (to == word) {
			counts_move(e->dest, word, next);
			*won = (word ^ next) & CONN_STATE_MASK;
			word = next;
			break;
		}
		if (to >> CONN_EPOCH_SHIFT != word >> CONN_EPOCH_SHIFT)
			return word | STATE_DEAD;
		word = to;
	}
	state = word & CONN_STATE_MASK;
	if (state > STATE_SYNACK)
		return word;
	to = st->timeouts[state];
	if (e->timeout != to)
		WRITE_ONCE(e->timeout, to);
	return word;
}

/* A new connection, as insert needs it. */
struct fresh {
	struct flow key;
	struct place place;
	__u32 word; /* state and flags, no epoch */
	__u32 now;
	__u32 last;
	__u32 timeout;
	__u32 dest;
	__u32 dest_gen;
	__u32 in_pkts;
	__u32 ifindex;
	struct l2 l2;
	__u16 vlan;
	__u8 nat;
	__u8 owner; /* OWNER_PACKET or OWNER_INJECT */
	/* Filled on the way. */
	__u32 loc;	 /* of the forward entry */
	__u32 epoch;	 /* of the forward entry */
	__u32 reply_loc; /* of the reply entry, once made */
	struct flow reply_key;
	struct place reply_place;
	struct conn entry; /* on its way into the stash */
};

/* One connection at a time is made on a CPU for an owner: what describes it is
 * kept here, because on the stack the chain of calls exceeds the verifier's 512
 * bytes. The map belongs to the programs and is not shared. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct fresh);
	__uint(max_entries, OWNERS);
} scratch SEC(".maps");

AI struct fresh *fresh_get(__u32 owner)
{
	struct fresh *f = bpf_map_lookup_elem(&scratch, &owner);

	if (f)
		f->owner = owner;
	return f;
}

AI void fill(struct conn *e, const struct fresh *f)
{
	e->key = f->key;
	e->last = f->last;
	e->timeout = f->timeout;
	e->dest = f->dest;
	e->dest_gen = f->dest_gen;
	e->in_pkts = f->in_pkts;
	e->peer = LOC_NONE;
	e->ifindex = f->ifindex;
	l2_copy(e->l2_dst, &f->l2);
	e->vlan = f->vlan;
	e->told = TOLD_NEVER;
}

AI void fill_reply(struct reply *r, const struct flow *k, const struct fresh *f)
{
	r->key = *k;
	r->fwd_epoch = f->epoch;
	r->peer = f->loc;
	r->vaddr = f->key.dst;
	r->vport = f->key.dport;
	__builtin_memset(r->l2_dst, 0, sizeof(r->l2_dst));
	__builtin_memset(r->pad, 0, sizeof(r->pad));
}

/*
 * reply_room makes sure that no live connection has the reply tuple. Two
 * virtual services with one real server can be asked for from the same client
 * port; the replies of the two could not be told apart, so the second waits
 * until the first is closed.
 */
AI bool reply_room(const struct flow *k, const struct place *pl, __u32 now)
{
	__u32 loc = LOC_NONE, word, state;
	struct conn *e = find(k, pl, &loc), *f;

	if (!e)
		return true;
	word = READ_ONCE(e->state);
	if (!(word & CONN_REPLY))
		return false;
	f = forward_of((struct reply *)e);
	if (!f) {
		free_at(loc, k, word);
		return true;
	}
	word = READ_ONCE(f->state);
	state = word & CONN_STATE_MASK;
	if (word & CONN_TENTATIVE)
		return false;
	if (conn_dead(f, word, now) || (k->proto == IPPROTO_TCP &&
	    (state == STATE_TIME_WAIT || state == STATE_CLOSE)))
		return free_at(((struct reply *)e)->peer, &f->key, word);
	return false;
}

/* stash_drop takes back what was put into the stash a moment ago. 3 tries:
 * packets of the connection may change its state meanwhile. */
AI void stash_drop(const struct flow *k)
{
	for (int i = 0; i < 3; i++) {
		struct conn *e = bpf_map_lookup_elem(&stash, k);

		if (!e || free_at(LOC_STASH, k, READ_ONCE(e->state)))
			return;
	}
}

/* stash_reply puts the reply entry into the stash; 0, or a reason negated. */
AI int stash_reply(struct fresh *f)
{
	__builtin_memset(&f->entry, 0, sizeof(f->entry));
	fill_reply((struct reply *)&f->entry, &f->reply_key, f);
	f->entry.state = CONN_REPLY;
	if (bpf_map_update_elem(&stash, &f->reply_key, &f->entry, BPF_NOEXIST))
		return -REASON_TABLE_FULL;
	stash_moved(1);
	if (rescan_sets(&f->reply_key, &f->reply_place, LOC_NONE)) {
		stash_drop(&f->reply_key);
		return -REASON_CLAIM_RACE;
	}
	return 0;
}

/* stash_conn puts the forward entry into the stash. */
AI int stash_conn(struct fresh *f)
{
	int err;

	fill(&f->entry, f);
	f->entry.state = f->word | f->epoch << CONN_EPOCH_SHIFT;
	err = bpf_map_update_elem(&stash, &f->key, &f->entry, BPF_NOEXIST);
	if (err)
		return err == -17 /* EEXIST */ ? -REASON_CLAIM_RACE : -REASON_TABLE_FULL;
	stash_moved(1);
	counts_add(f->dest, f->word);
	if (rescan_sets(&f->key, &f->place, LOC_NONE)) {
		stash_drop(&f->key);
		return -REASON_CLAIM_RACE;
	}
	count(REASON_STASHED);
	return 0;
}

/* insert_reply makes the reply entry of the forward entry at f->loc; 0, or a
 * reason negated. */
__noinline int insert_reply(struct fresh *f)
{
	const struct settings_block *st = settings_get();
	const struct conn *e;
	struct reply *r;
	__u32 loc, word;

	if (!st || !f)
		return -REASON_INTERNAL;
	e = f->loc == LOC_STASH ? bpf_map_lookup_elem(&stash, &f->key) : conn_at(f->loc);
	if (!e || !reply_key(e, &f->reply_key))
		return -REASON_INTERNAL;
	flow_place(st, &f->reply_key, &f->reply_place);
	if (!reply_room(&f->reply_key, &f->reply_place, f->now))
		return -REASON_REPLY_CLASH;
	loc = f->loc == LOC_STASH ? LOC_NONE : claim(&f->reply_place, f->now, f->owner);
	r = (struct reply *)conn_at(loc);
	if (!r) {
		if (f->owner != OWNER_PACKET)
			return -REASON_TABLE_FULL;
		f->reply_loc = LOC_STASH;
		return stash_reply(f);
	}
	fill_reply(r, &f->reply_key, f);
	word = ((r->state >> CONN_EPOCH_SHIFT) + 1) << CONN_EPOCH_SHIFT | CONN_REPLY |
	       CONN_TENTATIVE;
	WRITE_ONCE(r->state, word);
	publish(loc, f->reply_place.tag);
	if (!confirm((struct conn *)r, &f->reply_key, &f->reply_place, loc, word)) {
		withdraw((struct conn *)r, loc);
		return -REASON_CLAIM_RACE;
	}
	f->reply_loc = loc;
	return 0;
}

/* insert_stash is the last place for a connection. */
AI int insert_stash(struct fresh *f)
{
	struct conn *e;
	int err;

	f->loc = LOC_STASH;
	f->epoch = bpf_get_prandom_u32() & 0xffff;
	err = stash_conn(f);
	if (err || !f->nat)
		return err;
	err = insert_reply(f);
	if (err) {
		stash_drop(&f->key);
		return err;
	}
	e = bpf_map_lookup_elem(&stash, &f->key);
	if (e)
		e->peer = f->reply_loc;
	return 0;
}

/* insert enters a new connection; 0, or a reason negated. */
__noinline int insert(struct fresh *f)
{
	struct conn *e;
	__u32 word;
	int err;

	if (!f)
		return -REASON_INTERNAL;
	f->reply_loc = LOC_NONE;
	f->loc = claim(&f->place, f->now, f->owner);
	e = conn_at(f->loc);
	if (!e) /* the stash is for packets: others can wait */
		return f->owner == OWNER_PACKET ? insert_stash(f) : -REASON_TABLE_FULL;
	fill(e, f);
	f->epoch = ((e->state >> CONN_EPOCH_SHIFT) + 1) & 0xffff;
	word = f->word | CONN_TENTATIVE | f->epoch << CONN_EPOCH_SHIFT;
	WRITE_ONCE(e->state, word);
	if (f->nat) {
		err = insert_reply(f);
		if (err) {
			withdraw(e, f->loc);
			return err;
		}
		e->peer = f->reply_loc;
	}
	publish(f->loc, f->place.tag);
	if (!confirm(e, &f->key, &f->place, f->loc, word)) {
		free_reply(e, f->loc, f->reply_loc);
		withdraw(e, f->loc);
		return -REASON_CLAIM_RACE;
	}
	counts_add(f->dest, f->word);
	return 0;
}

/* sync_fresh announces a connection that a packet has just made, if it is due. */
AI void sync_fresh(const struct settings_block *st, const struct fresh *f)
{
	struct conn *e;

	if (f->loc == LOC_STASH)
		e = bpf_map_lookup_elem(&stash, &f->key);
	else
		e = conn_at(f->loc);
	if (e)
		sync_packet(st, e, f->word, f->now, true, false);
}

#endif
