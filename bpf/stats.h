/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* stats.h: reason counters, traffic counters. */
#ifndef KANAME_STATS_H
#define KANAME_STATS_H

#include "maps.h"

AI void count(__u32 reason)
{
	__u64 *n = bpf_map_lookup_elem(&reasons, &reason);

	if (n)
		(*n)++;
}

/* count_in adds one packet from the client, to the server and its service. */
AI void count_in(__u32 dest, __u32 service, __u32 len)
{
	struct counters *c = bpf_map_lookup_elem(&dstats, &dest);

	if (c) {
		c->in_pkts++;
		c->in_bytes += len;
	}
	c = bpf_map_lookup_elem(&sstats, &service);
	if (c) {
		c->in_pkts++;
		c->in_bytes += len;
	}
}

/* count_out adds one packet from the server. */
AI void count_out(__u32 dest, __u32 service, __u32 len)
{
	struct counters *c = bpf_map_lookup_elem(&dstats, &dest);

	if (c) {
		c->out_pkts++;
		c->out_bytes += len;
	}
	c = bpf_map_lookup_elem(&sstats, &service);
	if (c) {
		c->out_pkts++;
		c->out_bytes += len;
	}
}

AI void count_conn(__u32 dest, __u32 service)
{
	struct counters *c = bpf_map_lookup_elem(&dstats, &dest);

	if (c)
		c->conns++;
	c = bpf_map_lookup_elem(&sstats, &service);
	if (c)
		c->conns++;
}

#endif
