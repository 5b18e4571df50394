// SPDX-License-Identifier: MIT
/* The single instructions: what a save, a load, a release and a look at what is in use cost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umcg/xstate.h>

#include "xstate_bench.h"

#define N 20000

static double least_of(void (*body)(void *), void *arg, enum state s)
{
	double least = 1e9;

	for (int round = 0; round < 9; round++) {
		uint64_t began;

		clean();
		dirty(s);
		began = cpu_ns();
		for (int i = 0; i < N; i++)
			body(arg);
		began = cpu_ns() - began;
		if ((double)began / N < least)
			least = (double)began / N;
	}
	return least;
}

static void nothing(void *arg)
{
	(void)arg;
	__asm__ __volatile__("" : : : "memory");
}

static void look(void *arg)
{
	(void)arg;
	(void)umcg_xstate_in_use_();
}

static void save(void *arg)
{
	save_all(arg);
}

static void save_and_load(void *arg)
{
	save_all(arg);
	load_all(arg);
}

static void rewrite(void *arg)
{
	dirty(*(enum state *)arg);
}

static void rewrite_and_release(void *arg)
{
	dirty(*(enum state *)arg);
	umcg_xstate_release();
}

static void load_control(void *arg)
{
	uint32_t mxcsr;
	uint16_t word;

	(void)arg;
	__asm__ __volatile__("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(word));
	__asm__ __volatile__("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(word));
}

void bench_instructions(void)
{
	struct umcg_xstate_options all = { .size = sizeof(all), .mode = UMCG_XSTATE_ALL };
	void *area = aligned_alloc(64, area_size());
	const double empty = least_of(nothing, NULL, CLEAN);
	char name[64];

	if (!area)
		abort();
	memset(area, 0, area_size());
	umcg_xstate_init(&all);
	report("instruction.xgetbv1", "ns", least_of(look, NULL, LIBC) - empty);
	report("instruction.control_words", "ns", least_of(load_control, NULL, CLEAN) - empty);
	for (enum state s = CLEAN; s < N_STATES; s++) {
		double once;

		if (!have_state(s))
			continue;
		snprintf(name, sizeof(name), "instruction.%s", state_names[s]);
		report(name, "save", least_of(save, area, s) - empty);
		report(name, "save_load", least_of(save_and_load, area, s) - empty);
		once = least_of(rewrite, &s, s);
		report(name, "release", least_of(rewrite_and_release, &s, s) - once);
	}
	clean();
	free(area);
}
