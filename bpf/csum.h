/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* csum.h: incremental Internet checksums (RFC 1624, equation 3). */
#ifndef KANAME_CSUM_H
#define KANAME_CSUM_H

#include "maps.h"

AI __u32 csum_start(__u16 check)
{
	return (__u16)~check;
}

AI __u32 csum_swap16(__u32 sum, __u16 from, __u16 to)
{
	return sum + (__u16)~from + to;
}

AI __u32 csum_swap32(__u32 sum, __u32 from, __u32 to)
{
	sum = csum_swap16(sum, from & 0xffff, to & 0xffff);
	return csum_swap16(sum, from >> 16, to >> 16);
}

/* csum_end folds; sum must be below 2^31. */
AI __u16 csum_end(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

#endif
