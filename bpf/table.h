/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * table.h: the connection table: find, claim, publish, confirm, free. The
 * protocol is written down in abi.h; this is one of its two speakers.
 */
#ifndef KANAME_TABLE_H
#define KANAME_TABLE_H

#include <stdbool.h>
#include <linux/in.h>

#include "maps.h"
#include "stats.h"
#include "tcp.h"

/* Where a key may be: two sets and the tag it has there. */
struct place {
	__u32 set[2];
	__u32 tag;
	__u32 hash; /* for the stateless fallback */
};

/*
 * A flow as the two words that its 16 bytes are in memory, little-endian: the
 * packet path hashes and compares them instead of the five fields.
 */
struct words {
	__u64 addrs; /* src, dst << 32 */
	__u64 rest;  /* sport, dport << 16, proto << 32 */
};

AI struct words flow_words(const struct flow *k)
{
	return (struct words){
		.addrs = (__u64)k->dst << 32 | k->src,
		.rest = (__u64)k->proto << 32 | (__u32)k->dport << 16 | k->sport,
	};
}

AI void words_place(const struct settings_block *st, struct words k, struct place *pl)
{
	__u64 h = (k.addrs ^ st->hash_seed * 0xD6E8FEB86659FD93ULL) * 0x9E3779B97F4A7C15ULL;

	h = ((h ^ h >> 29) + k.rest) * 0xBF58476D1CE4E5B9ULL;
	h = (h ^ h >> 32) * 0x94D049BB133111EBULL;
	h ^= h >> 31;
	pl->tag = h >> 32 | 2;
	pl->set[0] = (__u32)h & st->conns_mask;
	pl->set[1] = (pl->set[0] ^ (pl->tag * 0x9E3779B1U >> 1 | 1)) & st->conns_mask;
	pl->hash = (__u32)h;
}

AI void flow_place(const struct settings_block *st, const struct flow *k, struct place *pl)
{
	words_place(st, flow_words(k), pl);
}

AI bool flow_eq(const struct flow *a, const struct flow *b)
{
	return a->src == b->src && a->dst == b->dst && a->sport == b->sport &&
	       a->dport == b->dport && a->proto == b->proto;
}

AI bool word_live(__u32 word)
{
	return (word & CONN_STATE_MASK) != STATE_DEAD && !(word & CONN_TENTATIVE);
}

AI bool past(__u32 now, __u32 last, __u32 timeout)
{
	return (__s32)(now - last) > (__s32)timeout;
}

AI struct conn_set *set_at(__u32 index)
{
	return bpf_map_lookup_elem(&conns, &index);
}

/* conn_at follows a locator into the array; NULL for none and the stash. */
AI struct conn *conn_at(__u32 loc)
{
	struct conn_set *s;
	__u32 w;

	if (loc == LOC_NONE || loc == LOC_STASH)
		return NULL;
	s = set_at((loc - 1) >> 3);
	if (!s)
		return NULL;
	/* Without the barrier clang adds the offset before the null check,
	 * which the verifier (6.18) prohibits on map_value_or_null. */
	w = (loc - 1) & (WAYS - 1);
	barrier_var(w);
	return &s->way[w];
}

/* set_find returns the first entry of the key, whatever its state. */
AI struct conn *set_find(struct conn_set *s, struct words k, __u32 tag)
{
#pragma unroll
	for (int w = 0; w < WAYS; w++) {
		const __u64 *key = (const __u64 *)&s->way[w].key;

		if (s->tag[w] == tag && key[0] == k.addrs && key[1] == k.rest)
			return &s->way[w];
	}
	return NULL;
}

/*
 * tags_like says which ways of a set have this tag, as a mask. Without branches:
 * sixteen of them would be too many paths for the verifier, and a bpf_loop costs
 * a call for each way, which is dear where returns are guarded against
 * speculation.
 */
AI __u32 tags_like(const struct conn_set *s, __u32 tag)
{
	__u32 mask = 0;

#pragma unroll
	for (int w = 0; w < WAYS; w++) {
		__u64 differs = READ_ONCE(s->tag[w]) ^ tag;

		barrier_var(differs); /* or clang makes a branch of the next line */
		mask |= (__u32)((differs - 1) >> 63) << w;
	}
	return mask;
}

/* set_find_live returns the first live entry of the key and its locator. */
AI struct conn *set_find_live(__u32 index, const struct flow *k, __u32 tag, __u32 *loc)
{
	struct conn_set *s = set_at(index);

	if (!s)
		return NULL;
	for (int w = 0; w < WAYS; w++) {
		struct conn *e = &s->way[w];

		if (READ_ONCE(s->tag[w]) == tag && flow_eq(&e->key, k) &&
		    word_live(READ_ONCE(e->state))) {
			*loc = (index << 3 | w) + 1;
			return e;
		}
	}
	return NULL;
}

/* find looks everywhere. *loc is LOC_STASH for an entry in the stash. */
AI struct conn *find(const struct flow *k, const struct place *pl, __u32 *loc)
{
	struct conn *e = set_find_live(pl->set[0], k, pl->tag, loc);
	struct runtime_block *rt;

	if (e)
		return e;
	e = set_find_live(pl->set[1], k, pl->tag, loc);
	if (e)
		return e;
	rt = runtime_get();
	if (!rt || rt->stash_count <= 0)
		return NULL;
	e = bpf_map_lookup_elem(&stash, k);
	if (e && word_live(READ_ONCE(e->state))) {
		*loc = LOC_STASH;
		return e;
	}
	return NULL;
}

/* overload_check sets or clears the overload bit as the totals say. */
AI void overload_check(__u32 dest, struct dest_count *c, bool added)
{
	const struct dest *d = bpf_map_lookup_elem(&dests, &dest);

	if (!d || (!d->upper && !d->lower && !(READ_ONCE(c->flags) & DCOUNT_OVERLOAD)))
		return;
	/* Twice: the totals may move between the look and the change. */
	for (int i = 0; i < 2; i++) {
		__s64 total = (__s64)READ_ONCE(c->active) + READ_ONCE(c->inactive);
		bool over = READ_ONCE(c->flags) & DCOUNT_OVERLOAD;
		bool below = d->lower ? total < d->lower
			     : d->upper ? total * 4 < (__s64)d->upper * 3
					: true;

		if (added && d->upper && total >= d->upper && !over)
			__sync_fetch_and_or(&c->flags, DCOUNT_OVERLOAD);
		else if (below && over && !(added && d->upper && total >= d->upper))
			__sync_fetch_and_and(&c->flags, ~(__u32)DCOUNT_OVERLOAD);
		else
			return;
	}
}

/* counts_add puts a confirmed entry into the counts, counts_sub takes it out,
 * counts_move follows a change of state. Only the winner calls them. */
AI void counts_add(__u32 dest, __u32 word)
{
	struct dest_count *c = bpf_map_lookup_elem(&dcount, &dest);

	if (!c)
		return;
	__sync_fetch_and_add(state_active(word) ? &c->active : &c->inactive, 1);
	overload_check(dest, c, true);
}

AI void counts_sub(__u32 dest, __u32 word)
{
	struct dest_count *c = bpf_map_lookup_elem(&dcount, &dest);

	if (!c)
		return;
	__sync_fetch_and_add(state_active(word) ? &c->active : &c->inactive, -1);
	overload_check(dest, c, false);
}

AI void counts_move(__u32 dest, __u32 from, __u32 to)
{
	__s32 delta = (__s32)state_active(to) - (__s32)state_active(from);
	struct dest_count *c;

	if (!delta)
		return;
	c = bpf_map_lookup_elem(&dcount, &dest);
	if (!c)
		return;
	__sync_fetch_and_add(&c->active, delta);
	__sync_fetch_and_add(&c->inactive, -delta);
}

/* reply_key is the key of the reply entry of a NAT connection. */
AI bool reply_key(const struct conn *f, struct flow *k)
{
	__u32 di = f->dest;
	const struct dest *d = bpf_map_lookup_elem(&dests, &di);

	if (!d)
		return false;
	__builtin_memcpy(&k->src, &d->addr.b[12], 4);
	k->dst = f->key.src;
	k->sport = d->port;
	k->dport = f->key.sport;
	k->proto = f->key.proto;
	k->pad[0] = 0;
	k->pad[1] = 0;
	k->pad[2] = 0;
	return true;
}

/* forward_of follows a reply entry; NULL when its connection is gone. */
AI struct conn *forward_of(const struct reply *r)
{
	struct conn *f;
	__u32 w;

	if (r->peer == LOC_STASH) {
		struct flow k = {
			.src = r->key.dst,
			.dst = r->vaddr,
			.sport = r->key.dport,
			.dport = r->vport,
			.proto = r->key.proto,
		};

		f = bpf_map_lookup_elem(&stash, &k);
	} else {
		f = conn_at(r->peer);
	}
	if (!f)
		return NULL;
	w = READ_ONCE(f->state);
	if (w >> CONN_EPOCH_SHIFT != r->fwd_epoch || (w & CONN_STATE_MASK) == STATE_DEAD ||
	    (w & CONN_REPLY) || f->key.src != r->key.dst || f->key.sport != r->key.dport)
		return NULL;
	return f;
}

AI void tag_clear(__u32 loc)
{
	struct conn_set *s = set_at((loc - 1) >> 3);

	if (s)
		__sync_lock_test_and_set(&s->tag[(loc - 1) & (WAYS - 1)], TAG_FREE);
}

AI void stash_moved(__s32 by)
{
	struct runtime_block *rt = runtime_get();

	if (rt)
		__sync_fetch_and_add(&rt->stash_count, by);
}

/* free_reply frees the reply entry of f, if it still is f's. */
AI void free_reply(const struct conn *f, __u32 floc, __u32 peer)
{
	struct flow k = {};
	struct reply *r;
	__u32 w;

	if (peer == LOC_NONE || !reply_key(f, &k))
		return;
	if (peer == LOC_STASH)
		r = bpf_map_lookup_elem(&stash, &k);
	else
		r = (struct reply *)conn_at(peer);
	if (!r || !flow_eq(&r->key, &k) || r->peer != floc)
		return;
	w = READ_ONCE(r->state);
	if (!(w & CONN_REPLY) || r->fwd_epoch != READ_ONCE(f->state) >> CONN_EPOCH_SHIFT ||
	    (w & CONN_STATE_MASK) == STATE_DEAD ||
	    CMPXCHG(&r->state, w, w | CONN_STATE_MASK) != w)
		return;
	if (peer == LOC_STASH) {
		if (!bpf_map_delete_elem(&stash, &k))
			stash_moved(-1);
	} else {
		tag_clear(peer);
	}
}

AI bool conn_free(struct conn *e, __u32 loc, __u32 w)
{
	if ((w & CONN_STATE_MASK) == STATE_DEAD ||
	    CMPXCHG(&e->state, w, w | CONN_STATE_MASK) != w)
		return false;
	if (!(w & CONN_REPLY)) {
		if (!(w & CONN_TENTATIVE))
			counts_sub(e->dest, w);
		free_reply(e, loc, e->peer);
	}
	if (loc == LOC_STASH) {
		struct flow k = e->key;

		if (!bpf_map_delete_elem(&stash, &k))
			stash_moved(-1);
	} else {
		tag_clear(loc);
	}
	return true;
}

/*
 * free_at is the step "free" of abi.h for the entry at a locator (in the
 * stash: of the key) whose word was w. 0: somebody else changed or freed it.
 *
 * It is a global function, as are claim, rescan_sets, schedule and insert_reply: the
 * verifier takes each of them once and by itself. Inlined into each other
 * they exceed its million instructions.
 */
__noinline int free_at(__u32 loc, const struct flow *k, __u32 w)
{
	struct conn *e;

	if (!k)
		return 0;
	e = loc == LOC_STASH ? bpf_map_lookup_elem(&stash, k) : conn_at(loc);
	return e && conn_free(e, loc, w);
}

/* conn_dead says whether nobody may use a live entry any more. */
AI bool conn_dead(const struct conn *e, __u32 w, __u32 now)
{
	const struct dest *d;
	__u32 di;

	if (w & CONN_REPLY)
		return !forward_of((const struct reply *)e);
	if (past(now, READ_ONCE(e->last), READ_ONCE(e->timeout)))
		return true;
	di = e->dest;
	d = bpf_map_lookup_elem(&dests, &di);
	return !d || d->generation != e->dest_gen;
}

/* With this many free ways the first set is taken without a look at the
 * second, which would cost every packet of the connection a cache line more.
 * Below, the emptier one: that is what keeps both from filling up. */
#define ROOMY (WAYS / 2)

/* Who inserts. A run of lb_inject is interrupted by packets on the same CPU, so
 * each has working memory of its own. */
enum owner {
	OWNER_PACKET = 0,
	OWNER_INJECT,
	OWNERS,
};

/* What claim found in its two sets. */
struct survey {
	__u32 set[2];
	__u32 now;
	__u32 free[2];	/* number of free ways */
	__u32 way[2];	/* locator of the first free one */
	__u32 dead;	/* locator of a dead entry */
	__u32 dead_word;
	__u32 half;	/* locator of the half-open entry that is longest idle */
	__u32 half_word;
	__u32 half_age;
};

/* A map of the programs' own, like scratch: on the stack this is too much for
 * the chain of calls. bpf_loop wants a pointer into the stack, so it gets one
 * to this pointer. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct survey);
	__uint(max_entries, OWNERS);
} surveys SEC(".maps");

struct survey_ref {
	struct survey *v;
};

/* survey_way looks at one way, i of 16. This and rescan_way are bodies of
 * bpf_loop (kernel 5.17): written as loops, the paths through 16 ways are too
 * many for the verifier. */
static int survey_way(__u32 i, struct survey_ref *ref)
{
	struct survey *v = ref->v;
	__u32 side = i >> 3 & 1, w = i & (WAYS - 1), index, loc, tag, word, state, age;
	struct conn_set *s;
	struct conn *e;

	if (side && v->free[0] >= ROOMY)
		return 1;
	index = side ? v->set[1] : v->set[0];
	s = set_at(index);
	if (!s)
		return 1;
	loc = (index << 3 | w) + 1;
	tag = READ_ONCE(s->tag[w]);
	if (tag == TAG_FREE) {
		if (side) {
			v->free[1]++;
			v->way[1] = loc;
		} else {
			v->free[0]++;
			v->way[0] = loc;
		}
		return 0;
	}
	if (tag == TAG_CLAIMED || v->dead)
		return 0;
	e = &s->way[w];
	word = READ_ONCE(e->state);
	if (!word_live(word))
		return 0;
	if (conn_dead(e, word, v->now)) {
		v->dead = loc;
		v->dead_word = word;
		return 0;
	}
	state = word & CONN_STATE_MASK;
	if ((word & CONN_REPLY) || e->key.proto != IPPROTO_TCP ||
	    (state != STATE_SYN_RECV && state != STATE_NONE))
		return 0;
	age = v->now - e->last + 1;
	if (age > v->half_age) {
		v->half_age = age;
		v->half = loc;
		v->half_word = word;
	}
	return 0;
}

/* take_free claims the way if it is free. */
AI bool take_free(__u32 loc)
{
	struct conn_set *s = set_at((loc - 1) >> 3);

	return s && CMPXCHG(&s->tag[(loc - 1) & (WAYS - 1)], TAG_FREE, TAG_CLAIMED) == TAG_FREE;
}

/*
 * claim takes a way for the key: a free one, else that of a dead entry, else
 * that of a half-open connection. Established ones are never touched. The
 * result is the locator of a way whose tag is TAG_CLAIMED, or LOC_NONE.
 */
__noinline __u32 claim(const struct place *pl, __u32 now, __u32 owner)
{
	struct survey *v = bpf_map_lookup_elem(&surveys, &owner);
	struct survey_ref ref = { .v = v };

	if (!pl || !v)
		return LOC_NONE;
	/* 4 tries: another CPU may take what the survey found. */
	for (int try = 0; try < 4; try++) {
		struct conn *e;
		__u32 loc;

		__builtin_memset(v, 0, sizeof(*v));
		v->set[0] = pl->set[0];
		v->set[1] = pl->set[1];
		v->now = now;
		bpf_loop(2 * WAYS, survey_way, &ref, 0);
		loc = v->free[0] >= v->free[1] ? v->way[0] : v->way[1];
		if (!loc) {
			loc = v->dead ? v->dead : v->half;
			e = conn_at(loc);
			if (!e)
				return LOC_NONE;
			/* The word of the survey: a half-open entry that was
			 * established since is not ours to take. */
			if (!free_at(loc, &e->key, v->dead ? v->dead_word : v->half_word))
				continue;
			count(v->dead ? REASON_EXPIRED : REASON_RECLAIMED);
		}
		if (take_free(loc))
			return loc;
	}
	return LOC_NONE;
}

AI void publish(__u32 loc, __u32 tag)
{
	struct conn_set *s = set_at((loc - 1) >> 3);

	if (s)
		CMPXCHG(&s->tag[(loc - 1) & (WAYS - 1)], TAG_CLAIMED, tag);
}

/* withdraw gives up an own entry that is tentative or was killed. */
AI void withdraw(struct conn *e, __u32 loc)
{
	__sync_fetch_and_or(&e->state, STATE_DEAD);
	tag_clear(loc);
}

struct rescan {
	const struct flow *key;
	__u32 set[2];
	__u32 tag;
	__u32 own;
	__u32 lost;
};

/*
 * rescan_way looks for another entry of the same key in one way, i of 16. Of
 * two tentative ones the lower locator survives; a confirmed one always does.
 */
static int rescan_way(__u32 i, struct rescan *r)
{
	__u32 w = i & (WAYS - 1), index = i >> 3 & 1 ? r->set[1] : r->set[0], loc, word;
	struct conn_set *s = set_at(index);
	struct conn *e;

	if (!s)
		return 0;
	loc = (index << 3 | w) + 1;
	e = &s->way[w];
	if (loc == r->own || READ_ONCE(s->tag[w]) != r->tag || !flow_eq(&e->key, r->key))
		return 0;
	word = READ_ONCE(e->state);
	if ((word & CONN_STATE_MASK) == STATE_DEAD)
		return 0;
	if (!(word & CONN_TENTATIVE) || loc < r->own) {
		r->lost = 1;
		return 1;
	}
	/* Kill it; its creator sees that and withdraws. When that fails it was
	 * confirmed, and we lose, or withdrawn already. */
	word = CMPXCHG(&e->state, word, word | CONN_STATE_MASK);
	if (word_live(word)) {
		r->lost = 1;
		return 1;
	}
	return 0;
}

/* rescan_sets says whether another entry of the key survives. Own LOC_NONE
 * kills every tentative one: that is how the stash does it. */
__noinline int rescan_sets(const struct flow *k, const struct place *pl, __u32 own)
{
	struct rescan r = { .key = k, .own = own };
	const struct conn_set *first, *second;
	__u32 mask, set, way;

	if (!k || !pl)
		return 1;
	r.set[0] = pl->set[0];
	r.set[1] = pl->set[1];
	r.tag = pl->tag;
	first = set_at(pl->set[0]);
	second = set_at(pl->set[1]);
	if (!first || !second)
		return 1;
	/* Nobody else has this tag: the common case. */
	mask = tags_like(first, pl->tag) | tags_like(second, pl->tag) << WAYS;
	if (own != LOC_NONE) {
		set = (own - 1) >> 3;
		way = (own - 1) & (WAYS - 1);
		mask &= ~(set == pl->set[0] ? 1U << way : 0);
		mask &= ~(set == pl->set[1] ? 1U << (way + WAYS) : 0);
	}
	if (!mask)
		return 0;
	bpf_loop(2 * WAYS, rescan_way, &r, 0);
	return r.lost;
}

AI bool in_stash(const struct flow *k)
{
	const struct runtime_block *rt = runtime_get();

	return rt && READ_ONCE(rt->stash_count) > 0 && bpf_map_lookup_elem(&stash, k);
}

/* confirm ends an insertion. On true the entry counts and is everybody's. */
AI bool confirm(struct conn *e, const struct flow *k, const struct place *pl, __u32 loc,
		__u32 word)
{
	return !rescan_sets(k, pl, loc) && !in_stash(k) &&
	       CMPXCHG(&e->state, word, word & ~(__u32)CONN_TENTATIVE) == word;
}

#endif
