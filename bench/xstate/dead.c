// SPDX-License-Identifier: MIT
/*
 * A wait whose caller says that its registers are dead, so that the kernel need not
 * save them, against a wait that saves them, released before or not. In user space, by
 * the instructions that the kernel would use, for n threads that take turns, each of
 * them with registers that it has rewritten. The flag's part keeps the control words: a
 * thread that has MXCSR's default needs nothing saved, one that has not (a single inexact
 * result leaves a flag there) needs its XMM registers set to zero in the image.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umcg/xstate.h>

#include "xstate_bench.h"

enum how { NOTHING, KEPT, RELEASED, DEAD, DEAD_MXCSR, N_HOW };
static const char *const hows[N_HOW] = { "nothing", "kept", "released", "dead", "dead_mxcsr" };

/* The head of an area. */
struct area {
	uint16_t control_word;
	unsigned char x87[22];
	uint32_t mxcsr, mxcsr_mask;
	unsigned char st[128], xmm[256], rest[96];
	uint64_t in_use, compacted;
};

/* What the kernel would do instead of XSAVES. */
static void discard(struct area *a)
{
	uint64_t keep = 0;
	uint32_t mxcsr;
	uint16_t word;

	__asm__ __volatile__("fnstcw %0\n\tstmxcsr %1" : "=m"(word), "=m"(mxcsr));
	if (word != 0x37f) {
		memset(a, 0, 24);
		memset(a->st, 0, sizeof(a->st));
		a->control_word = word;
		keep |= 1;
	}
	if (mxcsr != 0x1f80) {
		memset(a->xmm, 0, sizeof(a->xmm));
		keep |= 2;
	}
	a->mxcsr = mxcsr;
	a->in_use = keep;
}

static double turns(unsigned char *areas, size_t each, size_t n, enum state s, enum how how)
{
	const size_t count = n > 20000 ? n : 20000;
	const uint32_t flag = 0x1fa0, usual = 0x1f80;
	uint64_t began = 0;

	__asm__ __volatile__("ldmxcsr %0" : : "m"(how == DEAD_MXCSR ? flag : usual));
	/* the first round makes the areas, and is not counted */
	for (size_t i = 0, at = 0; i < count + n; i++) {
		if (i == n)
			began = cpu_ns();
		dirty(s);
		if (how == RELEASED)
			umcg_xstate_release();
		if (how == KEPT || how == RELEASED || i < n)
			save_all(areas + at * each);
		if (how == DEAD || how == DEAD_MXCSR)
			discard((struct area *)(void *)(areas + at * each));
		if (++at == n)
			at = 0;
		if (how != NOTHING && i >= n)
			load_all(areas + at * each);
	}
	began = cpu_ns() - began;
	__asm__ __volatile__("ldmxcsr %0" : : "m"(usual));
	clean();
	return (double)began / (double)count;
}

void bench_dead(void)
{
	static const size_t counts[] = { 2, 100, 1000 };
	struct umcg_xstate_options all = { .size = sizeof(all), .mode = UMCG_XSTATE_ALL };
	const size_t each = area_size();
	char name[64];

	umcg_xstate_init(&all);
	for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
		unsigned char *areas = aligned_alloc(64, each * counts[c]);

		if (!areas)
			abort();
		memset(areas, 0, each * counts[c]);
		for (enum state s = CLEAN; s < N_STATES; s++) {
			double ns[N_HOW];

			if (!have_state(s))
				continue;
			for (enum how how = NOTHING; how < N_HOW; how++) {
				ns[how] = 1e9;
				for (int round = 0; round < 5; round++) {
					const double t = turns(areas, each, counts[c], s, how);

					if (t < ns[how])
						ns[how] = t;
				}
			}
			snprintf(name, sizeof(name), "dead.%zu.%s", counts[c], state_names[s]);
			for (enum how how = KEPT; how < N_HOW; how++)
				report(name, hows[how], ns[how] - ns[NOTHING]);
		}
		free(areas);
	}
}
