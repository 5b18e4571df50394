/* SPDX-License-Identifier: MIT */
/*
 * A channel for tokens, with one receiver: a pipe, or a futex word that
 * counts them.
 */
#ifndef BENCH_KERNEL_CHAN_H
#define BENCH_KERNEL_CHAN_H

#include <stdint.h>

enum chan_kind {
	CHAN_PIPE,
	CHAN_FUTEX,		/* between threads */
	CHAN_FUTEX_SHARED,	/* between processes: the struct must be shared memory */
};

struct chan {
	enum chan_kind kind;
	int fd[2];
	uint32_t tokens;
};

void chan_open(struct chan *c, enum chan_kind kind);
void chan_send(struct chan *c);
void chan_recv(struct chan *c);		/* blocks */

/* The two futex calls by themselves; @op_flags 0 or FUTEX_PRIVATE_FLAG */
void futex_wait(uint32_t *word, uint32_t value, int op_flags);
void futex_wake(uint32_t *word, int op_flags);

#endif
