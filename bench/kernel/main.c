// SPDX-License-Identifier: MIT
/*
 * kernel-bench: what UMCG's kernel part costs, beside futexes, pipes,
 * sched_yield() and plain threads doing the same. Everything runs on one CPU.
 * bench/kernel/run boots the guests, runs this in each and prints the table.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <umcg/umcg.h>

#include "bench.h"

static const struct bench_case *const groups[] = {
	switch_cases, ring_cases, path_cases, hog_cases, syscall_cases, other_cases,
};

static _Noreturn void usage(FILE *to, int code)
{
	fputs("usage: kernel-bench [--list] [--deadline SECONDS] [CASE-PREFIX...]\n"
	      "Prints a comment that names the kernel, then \"case<TAB>metric<TAB>value\" for each figure; times are in ticks\n"
	      "of the time-stamp counter, guest instructions under ./umcg vm --icount.\n", to);
	exit(code);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "deadline", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	unsigned int deadline_s = 30, ran = 0, failed = 0;
	bool list = false, umcg;
	struct utsname uts;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		char *end;

		switch (opt) {
		case 'l':
			list = true;
			break;
		case 'd':
			deadline_s = (unsigned int)strtoul(optarg, &end, 10);
			if (*end || !deadline_s || deadline_s > 3600)
				fail("--deadline takes 1 to 3600 seconds, not \"%s\"", optarg);
			break;
		case 'h':
			usage(stdout, 0);
		default:
			usage(stderr, 2);
		}
	}
	use_one_cpu();
	umcg = !umcg_init(&(struct umcg_options){
		.size = sizeof(struct umcg_options), .backend = UMCG_BACKEND_KERNEL });

	if (!list && !uname(&uts))
		printf("# Linux %s %s%s\n", uts.release, uts.version, umcg ? ", UMCG" : "");
	for (size_t g = 0; g < sizeof(groups) / sizeof(*groups); g++) {
		for (const struct bench_case *c = groups[g]; c->name; c++) {
			if (!chosen(c->name, argv + optind))
				continue;
			ran++;
			if (list)
				puts(c->name);
			else if (c->needs_umcg && !umcg)
				fprintf(stderr, "skipped: %s (this kernel has no UMCG)\n", c->name);
			else
				failed += !run_case(c, deadline_s);
		}
	}
	if (!ran)
		fail("no case begins with \"%s\"; --list shows them", argv[optind]);
	return failed ? 1 : 0;
}
