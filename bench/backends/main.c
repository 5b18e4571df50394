// SPDX-License-Identifier: MIT
/*
 * backend-bench: what a backend costs on this machine, beside futexes and plain
 * threads doing the same. bench/backends/run starts it for each backend in turn
 * and prints the table.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <umcg/umcg.h>

#include "bench.h"

static const struct bench_case *const groups[] = {
	switch_cases, ring_cases, latency_cases, idle_cases, other_cases,
};

/* Without a name: the cases whose figures bench/backends/table.py shows. */
static char *const standard[] = {
	"switch.worker_to_worker", "switch.server_worker", "block.futex.two.plain",
	"latency.", "idle.", "other.", NULL,
};

static _Noreturn void usage(FILE *to, int code)
{
	fputs("usage: backend-bench --backend NAME [--deadline SECONDS] [CASE-PREFIX...]\n"
	      "       backend-bench --list\n"
	      "NAME: kernel, bpf, portable, or none for the rivals alone. Prints\n"
	      "\"case<TAB>metric<TAB>value\" for each figure, times in nanoseconds; everything\n"
	      "runs on one CPU.\n", to);
	exit(code);
}

/*
 * Does it work? In a child: the process itself starts no backend, or what it
 * attaches would be there in the cases without any, too.
 */
static bool works(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid)
		_exit(umcg_init(NULL) ? 1 : 0);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %s", strerror(errno));
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static double ticks_per_ns(void)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	struct timespec from, to;
	uint64_t begin, end;

	clock_gettime(CLOCK_MONOTONIC, &from);
	begin = ticks();
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	end = ticks();
	return (double)(end - begin) /
	       ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "deadline", required_argument, NULL, 'd' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *backend = NULL;
	unsigned int deadline_s = 60, ran = 0, failed = 0;
	bool list = false, umcg = false;
	char **want;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		char *end;

		switch (opt) {
		case 'b':
			backend = optarg;
			break;
		case 'd':
			deadline_s = (unsigned int)strtoul(optarg, &end, 10);
			if (*end || !deadline_s || deadline_s > 3600)
				fail("--deadline takes 1 to 3600 seconds, not \"%s\"", optarg);
			break;
		case 'l':
			list = true;
			break;
		case 'h':
			usage(stdout, 0);
		default:
			usage(stderr, 2);
		}
	}
	if (!list && !backend)
		fail("--backend is missing; --help says more");
	if (backend && strcmp(backend, "none")) {
		if (strcmp(backend, "kernel") && strcmp(backend, "bpf") && strcmp(backend, "portable"))
			fail("--backend takes kernel, bpf, portable or none, not \"%s\"", backend);
		setenv("UMCG_BACKEND", backend, 1);
		umcg = works();
		if (!umcg)
			fail("the %s backend does not work here; umcg-probe says why", backend);
	}
	use_one_cpu();
	bench_unit(list ? 1 : ticks_per_ns());
	want = optind < argc ? argv + optind : (char **)standard;
	for (size_t g = 0; g < sizeof(groups) / sizeof(*groups); g++) {
		for (const struct bench_case *c = groups[g]; c->name; c++) {
			if (list) {
				puts(c->name);
				ran++;
			} else if (chosen(c->name, want) && (umcg || !c->needs_umcg)) {
				failed += !run_case(c, deadline_s);
				ran++;
			}
		}
	}
	if (!ran)
		fail("no case begins with \"%s\"; --list shows them", argv[optind]);
	return failed ? 1 : 0;
}
