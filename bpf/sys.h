/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * sys.h: programs that user space runs (type syscall, BPF_PROG_RUN): to read
 * the packet path's clock, and to free what is dead in the stash, which user
 * space cannot change in place.
 */
#ifndef KANAME_SYS_H
#define KANAME_SYS_H

#include "inject.h"
#include "table.h"

SEC("syscall")
int lb_clock(struct clock *c)
{
	c->jiffies = bpf_jiffies64();
	c->mono_ns = bpf_ktime_get_ns();
	return 0;
}

struct bpf_map;

struct sweep {
	__u32 now;
	__u32 freed;
};

static long sweep_one(struct bpf_map *map __attribute__((unused)), const struct flow *k,
		      struct conn *e, struct sweep *s)
{
	__u32 word = READ_ONCE(e->state);

	struct flow key;

	if (!k || !word_live(word) || !conn_dead(e, word, s->now))
		return 0;
	key = *k; /* free_at needs it after the element is gone */
	if (free_at(LOC_STASH, &key, word))
		s->freed++;
	return 0;
}

/* Only so that these enums are in the object's BTF, where bpf2go finds them. */
struct abi_enums {
	enum conn_state conn_state;
	enum conn_word conn_word;
	enum sched_kind sched_kind;
	enum service_flags service_flags;
	enum method method;
	enum dest_flags dest_flags;
	enum dcount_flags dcount_flags;
	enum setting_flags setting_flags;
	enum jump jump;
	enum reason reason;
	enum sync_flags sync_flags;
	enum arrival_flags arrival_flags;
	enum placement placement;
	struct reply reply;
	struct event event;
	struct ask ask;
	struct arrival arrival;
	struct inject inject;
};

/* lb_sweep returns how many dead stash entries it freed. */
SEC("syscall")
int lb_sweep(struct abi_enums *ctx __attribute__((unused)))
{
	const struct settings_block *st = settings_get();
	struct sweep s = {};

	if (!st)
		return 0;
	s.now = ticks(st);
	bpf_for_each_map_elem(&stash, sweep_one, &s, 0);
	return s.freed;
}

#endif
