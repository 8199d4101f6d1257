/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * sync.h: which packets make the director announce their connection to its
 * backups. The rules are written down in abi.h, SYNCHRONISATION.
 */
#ifndef KANAME_SYNC_H
#define KANAME_SYNC_H

#include "table.h"

AI bool sync_announced(const struct settings_block *st, const struct conn *e, __u32 word)
{
	const __u32 set = 1 << STATE_ESTABLISHED | 1 << STATE_FIN_WAIT | 1 << STATE_TIME_WAIT |
			  1 << STATE_CLOSE | 1 << STATE_CLOSE_WAIT;

	return e->key.proto != IPPROTO_TCP || set >> (word & 31) & 1 ||
	       ((word & CONN_STATE_MASK) == STATE_SYN_RECV && (st->sync_flags & SYNC_HALF_OPEN));
}

AI __u16 told_at(__u32 now, __u32 retries)
{
	__u32 t = now >> TOLD_UNIT & TOLD_TIME;

	return (t ? t : 1) << TOLD_SHIFT | retries;
}

/* refresh_due is the refresh rule. *retries is how many there were with this. */
AI bool refresh_due(const struct settings_block *st, const struct conn *e, __u32 now,
		    __u32 *retries)
{
	__u32 told = e->told, span = e->timeout / 2, age;

	*retries = 0;
	if (told <= TOLD_OVERDUE)
		return true;
	if (span < st->refresh_floor)
		span = st->refresh_floor;
	if (span > st->refresh)
		span = st->refresh;
	age = (((now >> TOLD_UNIT) - (told >> TOLD_SHIFT)) & TOLD_TIME) << TOLD_UNIT;
	if ((__s32)(now - e->last) >= (__s32)span || age >= span)
		return true;
	*retries = (told & 3) + 1;
	return *retries <= st->retries && age >= st->retry_span;
}

/* client_due is what holds for packets from the client. */
AI bool client_due(const struct settings_block *st, struct conn *e, __u32 now, __u32 *retries)
{
	*retries = 0;
	if ((st->sync_flags & SYNC_AT_ONCE) && e->told == TOLD_NEVER)
		return true;
	if (st->refresh && !refresh_due(st, e, now, retries))
		return false;
	if (!st->period)
		return st->refresh || (st->threshold && e->in_pkts == st->threshold);
	if (e->in_pkts % st->period == st->threshold)
		return true;
	if (st->refresh && !*retries && e->told > TOLD_OVERDUE)
		e->told = TOLD_OVERDUE;
	return false;
}

/*
 * announce says that the connection is as it is, and notes it. It is a global
 * function: it is needed rarely, and in line it would make the fast path longer.
 */
__noinline int announce(struct conn *e, __u32 word, __u32 told)
{
	struct event *ev;

	if (!e)
		return 0;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(REASON_SYNC_MISSED);
		e->told = TOLD_NEVER;
		return 0;
	}
	ev->key = e->key;
	ev->state = word;
	ev->timeout = e->timeout;
	ev->dest = e->dest;
	ev->dest_gen = e->dest_gen;
	ev->in_pkts = e->in_pkts;
	ev->pad = 0;
	bpf_ringbuf_submit(ev, 0);
	e->told = told;
	return 1;
}

/*
 * sync_packet announces the connection if a packet that left it with this word
 * makes it due. It comes before touch: e->last is the packet before.
 */
AI void sync_packet(const struct settings_block *st, struct conn *e, __u32 word, __u32 now,
		    bool from_client, bool won)
{
	__u32 retries = 0;

	if (!sync_announced(st, e, word))
		return;
	if (!won || ((word & CONN_STATE_MASK) == STATE_ESTABLISHED &&
		     !(st->sync_flags & SYNC_AT_ONCE))) {
		if (!from_client || !client_due(st, e, now, &retries))
			return;
	}
	announce(e, word, told_at(now, retries));
}

#endif
