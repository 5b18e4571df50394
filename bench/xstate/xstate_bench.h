/* SPDX-License-Identifier: MIT */
/*
 * Parts of xstate-bench: what it costs to keep extended state, or not to. Each case
 * prints lines "case<TAB>metric<TAB>ns", one measurement each; bench/xstate/run
 * repeats them, interleaved, and takes medians and ratios.
 */
#ifndef XSTATE_BENCH_H
#define XSTATE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is in use. */
enum state { CLEAN, LIBC, AVX512, AMX, N_STATES };
extern const char *const state_names[N_STATES];
bool have_state(enum state s);	/* here; AMX: permission is asked for by the first call */
void dirty(enum state s);	/* rewrite those registers */
void clean(void);		/* everything that can be initial is */

/* CPU time of the process: what the machine does besides is not in it. */
uint64_t cpu_ns(void);
/* A save area for XSAVE: its size, and saving to and loading from one. */
size_t area_size(void);
void save_all(void *area);
void load_all(const void *area);

void report(const char *name, const char *metric, double ns);

void bench_instructions(void);	/* instructions.c: the single pieces */
void bench_dead(void);		/* dead.c: what a wait with dead registers would cost in the kernel */
void bench_fibers(void);	/* fibers.c: switches in user space, lazy and eager */
void bench_threads(void);	/* threads.c: kernel switches */
void bench_signals(void);	/* threads.c: a signal's frame, without and with AMX */
void bench_preemption(void);	/* preemption.c: a worker is stopped and goes on */

#endif
