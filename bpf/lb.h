/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * lb.h: the stages of a packet, put together: connection, then service,
 * schedule, insert, rewrite, send. The entry program serves packets of known
 * connections that need nothing special; whatever it cannot do it leaves, not
 * touched, to the full program.
 */
#ifndef KANAME_LB_H
#define KANAME_LB_H

#include "conntrack.h"
#include "hop.h"
#include "parse.h"
#include "rewrite.h"
#include "sched.h"

/*
 * The stages' answers that are not verdicts. A stage that wants a packet sent
 * fills in a struct out and says SEND: the verdict of sending comes last of
 * all, because for the verifier it may be any number, MISS among them.
 */
#define LEAVE (-101) /* the entry program: not mine */
#define MISS (-102)  /* the full program: there is no such connection */
#define SEND (-103)

#define DEST_STATE (DEST_AVAILABLE | DEST_RESOLVED | DEST_LOCAL)
#define DEST_GOOD (DEST_AVAILABLE | DEST_RESOLVED)

AI bool reopens(const struct settings_block *st, const struct pkt *p, __u32 word)
{
	__u32 state = word & CONN_STATE_MASK;

	return p->key.proto == IPPROTO_TCP && (p->tcp_flags & TCP_SYN) &&
	       (state == STATE_TIME_WAIT || state == STATE_CLOSE) &&
	       !(st->flags & SETTING_NO_REUSE);
}

/* note_client remembers where the client's packets come from. */
AI bool note_client(ctx_t *ctx, const struct settings_block *st, const struct pkt *p, struct conn *e,
		    bool full)
{
	const void *eth = p->data;

	if (likely(l2_eq(eth, e->l2_dst) && e->ifindex == ctx_ifindex(ctx) &&
		   e->vlan == p->vlan))
		return true;
	if (!full)
		return false;
	if (!mac_ours(st, eth))
		return false;
	l2_copy(e->l2_dst, eth);
	e->ifindex = ctx_ifindex(ctx);
	e->vlan = p->vlan;
	return true;
}

/* to_dest is the last stage of every packet from a client. */
AI int to_dest(const struct pkt *p, const struct dest *d, __u32 di, struct out *o)
{
	if (unlikely((d->flags & DEST_STATE) != DEST_GOOD)) {
		if (d->flags & DEST_LOCAL) {
			count(REASON_LOCAL);
			return CTX_PASS;
		}
		if (!(d->flags & DEST_RESOLVED)) {
			count(REASON_UNRESOLVED);
			return CTX_DROP;
		}
	}
	out_to_dest(o, p, d, di);
	return SEND;
}

/*
 * serve_reply takes a packet from a real server to the client of a NAT
 * connection. As in LVS it does not ask whether the server is still
 * configured.
 */
AI int serve_reply(ctx_t *ctx, const struct settings_block *st, const struct pkt *p,
		   struct reply *r, __u32 loc, __u32 now, bool full, struct out *o)
{
	struct conn *f = forward_of(r);
	const struct dest *d;
	__u32 di, word;
	bool won;

	if (!f) {
		if (!full)
			return LEAVE;
		free_at(loc, &r->key, READ_ONCE(r->state));
		return MISS;
	}
	word = READ_ONCE(f->state);
	di = f->dest;
	d = bpf_map_lookup_elem(&dests, &di);
	if (!d || !word_live(word))
		return full ? MISS : LEAVE;
	if (past(now, f->last, f->timeout) || d->generation != f->dest_gen) {
		if (!full)
			return LEAVE;
		if (free_at(r->peer, &f->key, word))
			count(REASON_EXPIRED);
		return MISS;
	}
	if (!full && (f->vlan != p->vlan || !f->ifindex))
		return LEAVE;
	if (!mac_eq(p->data, r->l2_dst)) {
		if (!full)
			return LEAVE;
		if (!mac_ours(st, p->data)) {
			count(REASON_OTHER_HOST);
			return CTX_PASS;
		}
		__builtin_memcpy(r->l2_dst, p->data, sizeof(r->l2_dst));
	}
	if (full && !f->ifindex && !client_hop(ctx, f))
		return CTX_DROP;
	word = step(st, f, word, p, DIR_OUTPUT, &won);
	if (won && st->flags & SETTING_SYNC)
		sync_packet(st, f, word, now, false, true);
	touch(f, now);
	count_out(di, d->service, p->len);
	out_to_client(o, f, d->service);
	return SEND;
}

/* serve takes a packet of a known connection. */
AI int serve(ctx_t *ctx, const struct settings_block *st, const struct pkt *p, struct conn *e,
	     __u32 loc, __u32 now, bool full, struct out *o)
{
	__u32 word = READ_ONCE(e->state), di;
	const struct dest *d;
	bool won;

	if (word & CONN_REPLY)
		return serve_reply(ctx, st, p, (struct reply *)e, loc, now, full, o);
	di = e->dest;
	d = bpf_map_lookup_elem(&dests, &di);
	if (!full) {
		if (!word_live(word) || past(now, e->last, e->timeout) || !d ||
		    d->generation != e->dest_gen || (d->flags & DEST_STATE) != DEST_GOOD ||
		    (d->vlan != VLAN_NONE && d->vlan != VLAN_KEEP) || reopens(st, p, word) ||
		    !note_client(ctx, st, p, e, full))
			return LEAVE;
	} else {
		if (!word_live(word))
			return MISS;
		if (!d || past(now, e->last, e->timeout) || d->generation != e->dest_gen) {
			if (free_at(loc, &e->key, word))
				count(REASON_EXPIRED);
			return MISS;
		}
		if (!note_client(ctx, st, p, e, full)) {
			count(REASON_OTHER_HOST);
			return CTX_PASS;
		}
		if (reopens(st, p, word)) {
			if (free_at(loc, &e->key, word))
				count(REASON_REUSED);
			return MISS;
		}
		if (!(d->flags & DEST_AVAILABLE)) {
			if (st->flags & SETTING_EXPIRE_NODEST) {
				free_at(loc, &e->key, word);
				return MISS;
			}
			count(REASON_DEST_GONE);
			return CTX_DROP;
		}
	}
	e->in_pkts++;
	count_in(di, d->service, p->len);
	word = step(st, e, word, p, DIR_INPUT, &won);
	if (st->flags & SETTING_SYNC)
		sync_packet(st, e, word, now, true, won);
	touch(e, now);
	return to_dest(p, d, di, o);
}

AI const struct service *service_of(const struct settings_block *st, const struct flow *k)
{
	struct service_key sk = {};
	const struct service *s;

	sk.addr.b[10] = 0xff;
	sk.addr.b[11] = 0xff;
	__builtin_memcpy(&sk.addr.b[12], &k->dst, 4);
	sk.port = k->dport;
	sk.proto = k->proto;
	s = bpf_map_lookup_elem(&services, &sk);
	if (s || !(st->flags & SETTING_ANY_PORT))
		return s;
	sk.port = 0;
	return bpf_map_lookup_elem(&services, &sk);
}

/* fallback_dest is where a connection goes that has no entry. */
AI int fallback_dest(const struct service *s, __u32 hash)
{
	const struct dest *d;
	__u32 di;

	if (!s->fb_len)
		return NO_DEST;
	di = ring_slot(s->fb_off + (hash >> 16) % s->fb_len);
	d = bpf_map_lookup_elem(&dests, &di);
	/* The replies of NAT could not be translated back without an entry. */
	if (!d || d->method != METHOD_DR || !(d->flags & DEST_AVAILABLE))
		return NO_DEST;
	return di;
}

/* stateless balances a packet whose connection has no room in the table. */
AI int stateless(const struct pkt *p, const struct service *s, __u32 hash, __u32 now,
		 struct out *o)
{
	__u32 id = s->id, di = fallback_dest(s, hash);
	struct service_run *run = bpf_map_lookup_elem(&srun, &id);
	const struct dest *d = bpf_map_lookup_elem(&dests, &di);

	if (!run || !d) {
		count(REASON_TABLE_FULL);
		return CTX_DROP;
	}
	WRITE_ONCE(run->stateless, now | 1);
	count(REASON_STATELESS);
	count_in(di, id, p->len);
	return to_dest(p, d, di, o);
}

/*
 * pick says which destination a packet of no connection gets. While a full
 * table makes us balance without entries, a packet in the middle of a TCP
 * connection may belong to one of those, and goes the same way.
 */
AI int pick(const struct settings_block *st, const struct service *s, const struct pkt *p, __u32 hash,
	    __u32 now)
{
	const struct service_run *run;
	__u32 id = s->id;

	if (p->key.proto != IPPROTO_TCP || tcp_segment(p->tcp_flags) == SEG_SYN)
		return schedule(s, &p->key);
	run = bpf_map_lookup_elem(&srun, &id);
	if (!run || !run->stateless ||
	    past(now, run->stateless, st->timeouts[STATE_ESTABLISHED]))
		return NO_DEST;
	return fallback_dest(s, hash);
}

/* balance takes a packet of no connection: to a service, or not ours. */
AI int balance(ctx_t *ctx, const struct settings_block *st, const struct pkt *p,
	       const struct place *pl, __u32 now, struct out *o)
{
	const struct service *s = service_of(st, &p->key);
	bool tcp = p->key.proto == IPPROTO_TCP;
	struct fresh *f = fresh_get(OWNER_PACKET);
	const struct dest *d;
	__u32 di, state;
	int err;

	if (!s) {
		count(REASON_NO_SERVICE);
		return CTX_PASS;
	}
	if (!mac_ours(st, p->data)) {
		count(REASON_OTHER_HOST);
		return CTX_PASS;
	}
	err = pick(st, s, p, pl->hash, now);
	if (err == NO_DEST) {
		if (tcp && tcp_segment(p->tcp_flags) != SEG_SYN) {
			count(REASON_NO_CONN);
			return CTX_PASS;
		}
		count(REASON_NO_DEST);
		bpf_tail_call(ctx, &JUMP_TABLE, JUMP_REJECT);
		return CTX_DROP;
	}
	di = err;
	d = bpf_map_lookup_elem(&dests, &di);
	if (!d || !f) {
		count(REASON_INTERNAL);
		return CTX_DROP;
	}
	f->nat = d->method == METHOD_NAT && !(d->flags & DEST_LOCAL);
	state = STATE_NONE;
	if (tcp)
		state = tcp_next(f->nat ? DIR_INPUT : DIR_INPUT_ONLY, tcp_segment(p->tcp_flags),
				 STATE_NONE);
	if (state > STATE_SYNACK)
		state = STATE_NONE;
	f->key = p->key;
	f->place = *pl;
	f->word = state | (f->nat ? 0 : CONN_NO_OUTPUT);
	f->now = now;
	f->last = now;
	f->in_pkts = 1;
	f->timeout = st->timeouts[tcp ? state : TIMEOUT_UDP];
	f->dest = di;
	f->dest_gen = d->generation;
	f->ifindex = ctx_ifindex(ctx);
	l2_copy(&f->l2, p->data);
	f->vlan = p->vlan;
	err = insert(f);
	if (err == -REASON_TABLE_FULL && !f->nat)
		return stateless(p, s, pl->hash, now, o);
	if (err) {
		count(-err);
		return CTX_DROP;
	}
	if (st->flags & SETTING_SYNC)
		sync_fresh(st, f);
	count_conn(di, s->id);
	count_in(di, s->id, p->len);
	return to_dest(p, d, di, o);
}

/* lb_entry is the whole path of most packets. */
AI int lb_entry(ctx_t *ctx)
{
	const struct settings_block *st = settings_get();
	struct place pl;
	struct conn_set *s;
	struct conn *e;
	struct words k;
	struct pkt p;
	struct out o;
	int answer;

	if (!st)
		return CTX_PASS;
	if (likely(parse_plain(ctx, &p))) {
		k = flow_words(&p.key);
		words_place(st, k, &pl);
		s = set_at(pl.set[0]);
		e = s ? set_find(s, k, pl.tag) : NULL;
		if (!e) {
			s = set_at(pl.set[1]);
			e = s ? set_find(s, k, pl.tag) : NULL;
		}
		if (likely(e)) {
			answer = serve(ctx, st, &p, e, LOC_NONE, ticks(st), false, &o);
			if (likely(answer == SEND))
				return send(ctx, &p, &o);
			if (answer != LEAVE)
				return answer;
		}
	}
	bpf_tail_call(ctx, &JUMP_TABLE, JUMP_FULL);
	count(REASON_NO_JUMP);
	return CTX_PASS;
}

/* lb_flow takes a parsed TCP or UDP packet through all the stages but the
 * last. */
AI int lb_flow(ctx_t *ctx, const struct settings_block *st, const struct pkt *p, struct out *o)
{
	__u32 now = ticks(st), loc = LOC_NONE;
	struct place pl;
	struct conn *e;
	int answer = MISS;

	flow_place(st, &p->key, &pl);
	e = find(&p->key, &pl, &loc);
	if (e)
		answer = serve(ctx, st, p, e, loc, now, true, o);
	if (answer == MISS)
		answer = balance(ctx, st, p, &pl, now, o);
	return answer;
}

/* lb_full takes every packet that the entry program left. */
AI int lb_full(ctx_t *ctx)
{
	const struct settings_block *st = settings_get();
	struct pkt p = {};
	struct out o = {};
	int answer;

	if (!st)
		return CTX_PASS;
	answer = parse_any(ctx, &p);
	if (answer != CONTINUE)
		return answer;
	if (p.kind == PKT_OTHER) {
		count(REASON_NOT_L4);
		return CTX_PASS;
	}
	if (p.kind == PKT_ICMP || p.kind == PKT_FRAGMENT || p.more_fragments) {
		bpf_tail_call(ctx, &JUMP_TABLE, p.kind == PKT_ICMP ? JUMP_ICMP : JUMP_FRAG);
		count(REASON_NO_JUMP);
		return CTX_PASS;
	}
	answer = lb_flow(ctx, st, &p, &o);
	return answer == SEND ? send(ctx, &p, &o) : answer;
}

#endif
