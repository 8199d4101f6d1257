/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * inject.h: connections that another director announced, into the table. User
 * space fills the inbox and runs lb_inject (type syscall); the steps are those
 * of packets. See abi.h, SYNCHRONISATION.
 */
#ifndef KANAME_INJECT_H
#define KANAME_INJECT_H

#include "conntrack.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct arrival);
	__uint(max_entries, INBOX);
	__uint(map_flags, BPF_F_MMAPABLE);
} inbox SEC(".maps");

/*
 * renew makes an entry what the arrival says; false: it changed meanwhile. The
 * compare-and-swap is made for the same state too: an entry that was freed since
 * it was found is another's.
 */
AI bool renew(struct conn *e, __u32 word, const struct arrival *a, const struct fresh *f)
{
	__u32 next = (word & ~(__u32)CONN_STATE_MASK) | (a->state & CONN_STATE_MASK);

	if (CMPXCHG(&e->state, word, next) != word)
		return false;
	counts_move(e->dest, word, next);
	WRITE_ONCE(e->timeout, f->timeout);
	WRITE_ONCE(e->last, f->last);
	e->told = TOLD_NEVER;
	return true;
}

/* What meet did about the entry that has the key of an arrival. */
#define MET_AGAIN (-1) /* it is gone, or changed: look again */
#define MET_REPLACED (-2)

AI int meet(struct conn *e, __u32 loc, const struct arrival *a, const struct fresh *f, __u32 mark)
{
	__u32 word = READ_ONCE(e->state);

	if (conn_dead(e, word, f->now)) {
		free_at(loc, &f->key, word);
		return MET_AGAIN;
	}
	if (word & CONN_REPLY)
		return CLASH;
	if (mark && (__s32)(READ_ONCE(e->last) - mark) >= 0)
		return STALE;
	if (e->dest == f->dest)
		return renew(e, word, a, f) ? UPDATED : MET_AGAIN;
	if (!(a->flags & ARRIVAL_ACTIVE))
		return STALE;
	return free_at(loc, &f->key, word) ? MET_REPLACED : MET_AGAIN;
}

/* arrive places one arrival and returns enum placement. */
__noinline int arrive(const struct arrival *a, __u32 now, __u32 mark)
{
	const struct settings_block *st = settings_get();
	struct fresh *f = fresh_get(OWNER_INJECT);
	__u32 loc = LOC_NONE, di;
	const struct dest *d;
	bool replaced = false;
	struct conn *e;
	int answer;

	if (!a || !st || !f)
		return NO_ROOM;
	di = a->dest;
	d = bpf_map_lookup_elem(&dests, &di);
	if (!d || d->generation != a->dest_gen)
		return NO_SERVER;
	f->key = a->key;
	flow_place(st, &f->key, &f->place);
	f->nat = d->method == METHOD_NAT && !(d->flags & DEST_LOCAL);
	f->word = (a->state & CONN_STATE_MASK) | CONN_SYNCED;
	if (!f->nat || (a->flags & ARRIVAL_NO_OUTPUT))
		f->word |= CONN_NO_OUTPUT;
	f->now = now;
	f->last = now - (a->timeout - a->left);
	f->timeout = a->timeout;
	f->dest = di;
	f->dest_gen = a->dest_gen;
	f->in_pkts = 0;
	f->ifindex = 0;
	f->vlan = VLAN_NONE;
	__builtin_memset(&f->l2, 0, sizeof(f->l2));
	/* 4 tries: packets of the very connection may come meanwhile. */
	for (int i = 0; i < 4; i++) {
		e = find(&f->key, &f->place, &loc);
		if (e) {
			answer = meet(e, loc, a, f, mark);
			if (answer >= 0)
				return answer;
			replaced |= answer == MET_REPLACED;
			continue;
		}
		answer = insert(f);
		if (!answer)
			return replaced ? REBOUND : PLACED;
		if (answer == -REASON_REPLY_CLASH)
			return CLASH;
		if (answer != -REASON_CLAIM_RACE)
			return NO_ROOM;
	}
	return STALE;
}

struct inject_run {
	__u32 now;
	__u32 mark;
};

static int inject_one(__u32 i, struct inject_run *r)
{
	struct arrival *a = bpf_map_lookup_elem(&inbox, &i);

	if (!a)
		return 1;
	a->result = arrive(a, r->now, r->mark);
	return 0;
}

/* lb_inject places the arrivals in the inbox. */
SEC("syscall")
int lb_inject(struct inject *in)
{
	const struct settings_block *st = settings_get();
	struct inject_run r = { .mark = in->mark };
	__u32 n = in->count;

	if (!st)
		return -1;
	r.now = ticks(st);
	bpf_loop(n < INBOX ? n : INBOX, inject_one, &r, 0);
	return 0;
}

#endif
