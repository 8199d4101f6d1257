/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tcp.h: TCP states as LVS has them (behaviour of
 * net/netfilter/ipvs/ip_vs_proto_tcp.c, the tables for ordinary, not "secure"
 * TCP).
 */
#ifndef KANAME_TCP_H
#define KANAME_TCP_H

#include "maps.h"

enum tcp_flags {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/* Where a packet of a flow comes from, and whether we see both directions. */
enum direction {
	DIR_INPUT = 0,	/* client to server, both directions seen */
	DIR_OUTPUT,	/* server to client */
	DIR_INPUT_ONLY, /* client to server, replies take another way */
};

/* What counts in a segment's flags, in this order of precedence. */
enum segment {
	SEG_SYN = 0,
	SEG_FIN,
	SEG_ACK,
	SEG_RST,
	SEG_NONE, /* none of them: the connection is closed */
};

AI __u32 tcp_segment(__u8 flags)
{
	if (flags & TCP_RST)
		return SEG_RST;
	if (flags & TCP_SYN)
		return SEG_SYN;
	if (flags & TCP_FIN)
		return SEG_FIN;
	return flags & TCP_ACK ? SEG_ACK : SEG_NONE;
}

#define NO STATE_NONE
#define ES STATE_ESTABLISHED
#define SS STATE_SYN_SENT
#define SR STATE_SYN_RECV
#define FW STATE_FIN_WAIT
#define TW STATE_TIME_WAIT
#define CL STATE_CLOSE
#define CW STATE_CLOSE_WAIT
#define LA STATE_LAST_ACK
#define LI STATE_LISTEN
#define SA STATE_SYNACK

/* next_state[direction][segment][state]; 8 and 16 so that masks bound it. */
static const __u8 next_state[3][8][16] = {
	[DIR_INPUT] = {
		/*            NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
		[SEG_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[SEG_FIN] = { CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW },
		[SEG_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[SEG_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR },
		[SEG_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
	},
	[DIR_OUTPUT] = {
		[SEG_SYN] = { SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR },
		[SEG_FIN] = { TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW },
		[SEG_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES },
		[SEG_RST] = { CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL },
		[SEG_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
	},
	[DIR_INPUT_ONLY] = {
		[SEG_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[SEG_FIN] = { CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW },
		[SEG_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[SEG_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
		[SEG_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
	},
};

#undef NO
#undef ES
#undef SS
#undef SR
#undef FW
#undef TW
#undef CL
#undef CW
#undef LA
#undef LI
#undef SA

AI __u32 tcp_next(__u32 dir, __u32 segment, __u32 state)
{
	if (dir > DIR_INPUT_ONLY)
		dir = DIR_INPUT_ONLY;
	return next_state[dir][segment & 7][state & 15];
}

/* state_active says whether an entry in this state counts as active. */
AI __u32 state_active(__u32 word)
{
	const __u32 set = 1 << STATE_ESTABLISHED | 1 << STATE_SYN_SENT |
			  1 << STATE_SYN_RECV | 1 << STATE_SYNACK;

	return set >> (word & 31) & 1;
}

#endif
