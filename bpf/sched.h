/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * sched.h: which destination gets a new connection. Three shapes: ring and
 * cursor, table and hash, scan. The Go models are in internal/lvs/sched; a
 * property test holds these to them.
 *
 * Walks are bpf_loop (kernel 5.17), because a bounded loop of 4096 rounds with
 * two map lookups in each costs the verifier minutes.
 */
#ifndef KANAME_SCHED_H
#define KANAME_SCHED_H

#include <stdbool.h>
#include <bpf/bpf_endian.h>

#include "maps.h"

#define NO_DEST (-1)

AI __u32 ring_slot(__u32 slot)
{
	__u32 *d = bpf_map_lookup_elem(&ring, &slot);

	return d ? *d : SLOT_EMPTY;
}

AI bool usable(__u32 dest)
{
	const struct dest_count *c = bpf_map_lookup_elem(&dcount, &dest);

	return c && c->weight && (c->flags & (DCOUNT_AVAILABLE | DCOUNT_OVERLOAD)) ==
					 DCOUNT_AVAILABLE;
}

/* The state of a walk. */
struct walk {
	__u32 off;
	__u32 len;
	__u32 service;
	__u32 base; /* what is hashed; first slot */
	__u32 start;
	__u32 weighted;
	__u32 best;
	__u32 best_weight;
	__u64 best_load;
};

static int ring_walk(__u32 i __attribute__((unused)), struct walk *w)
{
	__u32 id = w->service;
	struct service_run *run = bpf_map_lookup_elem(&srun, &id);
	__u32 dest;

	if (!run)
		return 1;
	dest = ring_slot(w->off + __sync_fetch_and_add(&run->cursor, 1) % w->len);
	if (dest == SLOT_EMPTY || !usable(dest))
		return 0;
	w->best = dest;
	return 1;
}

AI __u64 rotl(__u64 x, int b)
{
	return x << b | x >> (64 - b);
}

struct sip {
	__u64 v0, v1, v2, v3;
};

AI void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

/* SipHash-1-3 of one 32-bit word, folded to 32 bits, under mh's first key. */
AI __u32 mh_hash(__u32 v)
{
	const __u64 key = 2654435761ULL, block = 4ULL << 56 | v;
	struct sip s = {
		0x736f6d6570736575ULL ^ key,
		0x646f72616e646f6dULL ^ key,
		0x6c7967656e657261ULL ^ key,
		0x7465646279746573ULL ^ key,
	};

	s.v3 ^= block;
	sip_round(&s);
	s.v0 ^= block;
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return (__u32)(s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
}

AI __u32 sh_hash(__u32 v)
{
	return v * 0x61C88647U >> 24;
}

/* LVS's fallback adds the first slot to the offset and hashes again, so sh
 * starts at twice its slot (ip_vs_sh_get_fallback). */
static int sh_walk(__u32 i, struct walk *w)
{
	__u32 dest = ring_slot(w->off + (w->start + w->start + i) % 256);

	if (dest == SLOT_EMPTY)
		return 1;
	if (!usable(dest))
		return 0;
	w->best = dest;
	return 1;
}

static int mh_walk(__u32 i, struct walk *w)
{
	__u32 dest = ring_slot(w->off + mh_hash(w->base + (w->start + i) % w->len) % w->len);

	if (dest == SLOT_EMPTY)
		return 1;
	if (!usable(dest))
		return 0;
	w->best = dest;
	return 1;
}

/* Least (weighted) connections: overhead = 256 * active + inactive, compared
 * as overhead * other's weight; the first of equals wins. */
static int scan_walk(__u32 i, struct walk *w)
{
	__u32 dest = ring_slot(w->off + i);
	const struct dest_count *c;
	__u64 load;
	__u32 weight;

	if (dest == SLOT_EMPTY)
		return 0;
	c = bpf_map_lookup_elem(&dcount, &dest);
	if (!c || !c->weight ||
	    (c->flags & (DCOUNT_AVAILABLE | DCOUNT_OVERLOAD)) != DCOUNT_AVAILABLE)
		return 0;
	load = ((__u64)(__u32)c->active << 8) + (__u32)c->inactive;
	weight = w->weighted ? c->weight : 1;
	if (w->best == SLOT_EMPTY || w->best_load * weight > load * w->best_weight) {
		w->best = dest;
		w->best_load = load;
		w->best_weight = weight;
	}
	return 0;
}

/* schedule picks a destination for a new connection; NO_DEST for none. */
__noinline int schedule(const struct service *s, const struct flow *k)
{
	struct walk w = { .best = SLOT_EMPTY };
	__u32 first;

	if (!s || !k || !s->ring_len)
		return NO_DEST;
	w.off = s->ring_off;
	w.len = s->ring_len;
	w.service = s->id;
	w.base = bpf_ntohl(k->src);
	if (s->flags & SERVICE_HASH_PORT)
		w.base += bpf_ntohs(k->sport);

	switch (s->sched) {
	case SCHED_RING:
		bpf_loop(w.len, ring_walk, &w, 0);
		break;
	case SCHED_SH:
	case SCHED_MH:
		w.start = s->sched == SCHED_SH ? sh_hash(w.base) : mh_hash(w.base) % w.len;
		first = ring_slot(w.off + w.start);
		if (first == SLOT_EMPTY)
			break;
		if (usable(first))
			w.best = first;
		else if (!(s->flags & SERVICE_FALLBACK))
			break;
		else if (s->sched == SCHED_SH)
			bpf_loop(256, sh_walk, &w, 0);
		else
			bpf_loop(w.len, mh_walk, &w, 0);
		break;
	case SCHED_LC:
	case SCHED_WLC:
		w.weighted = s->sched == SCHED_WLC;
		bpf_loop(w.len < SCAN_MAX ? w.len : SCAN_MAX, scan_walk, &w, 0);
		break;
	}
	return w.best == SLOT_EMPTY ? NO_DEST : (int)w.best;
}

#endif
