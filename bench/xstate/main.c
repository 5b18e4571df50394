// SPDX-License-Identifier: MIT
/* xstate-bench [PREFIX...], xstate-bench preemption: see xstate_bench.h. Run by bench/xstate/run. */
#include <stdio.h>
#include <string.h>

#include <umcg/xstate.h>

#include "xstate_bench.h"

/* What a process has in use after nothing but a few calls of libc's. */
static void libc_leaves(void)
{
	static char a[4096], b[4096];
	uint64_t before, after;

	clean();
	before = umcg_xstate_in_use_();
	memset(a, 1, sizeof(a));
	memcpy(b, a, sizeof(b));
	if (strlen(b) + (size_t)memcmp(a, b, sizeof(a)) == 0)
		puts("");
	after = umcg_xstate_in_use_();
	printf("# in use after memset, memcpy, strlen and memcmp: %#lx, before: %#lx\n",
	       (unsigned long)after, (unsigned long)before);
}

static void policy(void)
{
	static const uint32_t counts[] = { 2, 100, 1000 };

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		struct umcg_xstate_options o = { .size = sizeof(o), .threads = counts[i] };
		struct umcg_xstate_decision d = { .size = sizeof(d) };

		if (umcg_xstate_init(&o) || umcg_xstate_policy(&d))
			continue;
		printf("# policy for %u threads: available %#lx, released %#lx, AVX-512 saves %.1f ns and costs %.1f, AVX %.1f and %.1f\n",
		       counts[i], (unsigned long)d.available, (unsigned long)d.release,
		       (double)d.avx512_saves_ns, (double)d.avx512_costs_ns,
		       (double)d.avx_saves_ns, (double)d.avx_costs_ns);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = { { "instruction", bench_instructions }, { "dead", bench_dead },
		      { "fibers", bench_fibers },
		      { "threads", bench_threads }, { "signal", bench_signals } };
	struct umcg_xstate_decision d = { .size = sizeof(d) };

	/* it wants a backend, and no state that could be released */
	if (argc == 2 && !strcmp(argv[1], "preemption")) {
		bench_preemption();
		return 0;
	}
	/* before an option decides */
	policy();
	if (umcg_xstate_policy(&d) || !d.available) {
		puts("skip: this CPU has no extended state that could be released");
		return 77;
	}
	libc_leaves();
	if (!have_state(AMX))
		puts("# no AMX here: its rows are left out");
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		bool wanted = argc == 1;

		for (int a = 1; a < argc; a++)
			wanted |= !strncmp(parts[i].name, argv[a], strlen(parts[i].name));
		if (wanted)
			parts[i].run();
	}
	return 0;
}
