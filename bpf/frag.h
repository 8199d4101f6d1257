/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * frag.h: fragments. The first one has the ports and goes through all the
 * stages; what was decided is noted, and the others are treated alike. One
 * that overtakes its first fragment is passed to the stack, and counted.
 */
#ifndef KANAME_FRAG_H
#define KANAME_FRAG_H

#include "lb.h"

AI void frag_key(const struct pkt *p, struct frag_key *k)
{
	k->src = p->ip->saddr;
	k->dst = p->ip->daddr;
	k->id = p->ip->id;
	k->proto = p->key.proto;
	k->pad = 0;
}

AI void frag_note(const struct settings_block *st, const struct pkt *p, const struct out *o)
{
	struct frag_key k;
	struct frag f = {
		.last = ticks(st),
		.dest = o->dest,
		.service = o->service,
		.ifindex = o->ifindex,
		.vlan = o->vlan,
		.nat = o->nat,
		.reply = o->reply,
		.addr = o->addr,
	};

	l2_copy(f.dmac, &o->l2);
	frag_key(p, &k);
	bpf_map_update_elem(&frags, &k, &f, BPF_ANY);
}

AI int frag_follow(const struct settings_block *st, const struct pkt *p, struct out *o)
{
	struct frag_key k;
	struct frag *f;

	frag_key(p, &k);
	f = bpf_map_lookup_elem(&frags, &k);
	if (!f || past(ticks(st), f->last, FRAG_TICKS)) {
		count(REASON_FRAG_UNKNOWN);
		return CTX_PASS;
	}
	l2_copy(&o->l2, f->dmac);
	o->ifindex = f->ifindex;
	o->vlan = f->vlan;
	o->nat = f->nat;
	o->addr = f->addr;
	if (f->reply)
		count_out(f->dest, f->service, p->len);
	else
		count_in(f->dest, f->service, p->len);
	return SEND;
}

/* lb_frag takes the fragments of TCP and UDP packets. */
AI int lb_frag(ctx_t *ctx)
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
	if (p.kind == PKT_FRAGMENT) {
		answer = frag_follow(st, &p, &o);
	} else if (p.kind == PKT_FLOW) {
		answer = lb_flow(ctx, st, &p, &o);
		if (answer == SEND)
			frag_note(st, &p, &o);
	} else {
		count(REASON_NOT_L4);
		return CTX_PASS;
	}
	return answer == SEND ? send(ctx, &p, &o) : answer;
}

#endif
