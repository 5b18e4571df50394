// SPDX-License-Identifier: MIT
/*
 * A process in which nothing happens: two servers wait, and so do their workers.
 * How often does any of its threads run meanwhile?
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chan.h"
#include "fifo.h"

#define SERVERS		2
#define WORKERS		4	/* of each */
#define SETTLE_NS	500000000
#define SECONDS		3

static struct chan never, ready;

static void blocks(struct fifo_worker *self)
{
	(void)self;
	chan_send(&ready);
	chan_recv(&never);
}

/* Context switches of a thread since its start, both kinds. */
static unsigned long long switches_of(const char *tid)
{
	unsigned long long n, sum = 0;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/status", tid);
	f = fopen(path, "re");
	if (!f)
		return 0;	/* it has just ended */
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %llu", &n) == 1)
			sum += n;
	}
	fclose(f);
	return sum;
}

/* Of all threads but the caller's. */
static unsigned long long switches(void)
{
	unsigned long long sum = 0;
	struct dirent *entry;
	char self[16];
	DIR *dir;

	dir = opendir("/proc/self/task");
	if (!dir)
		fail("/proc/self/task: %s", strerror(errno));
	snprintf(self, sizeof(self), "%d", gettid());
	while ((entry = readdir(dir))) {
		if (isdigit((unsigned char)entry->d_name[0]) && strcmp(entry->d_name, self))
			sum += switches_of(entry->d_name);
	}
	closedir(dir);
	return sum;
}

static void idle(const struct bench_case *c)
{
	const struct timespec settle = { .tv_nsec = SETTLE_NS }, window = { .tv_sec = SECONDS };
	unsigned long long before;

	chan_open(&never, CHAN_PIPE);
	chan_open(&ready, CHAN_PIPE);
	for (int s = 0; s < SERVERS; s++) {
		struct fifo *f = fifo_new((unsigned int)c->arg[0]);

		for (int i = 0; i < WORKERS; i++)
			fifo_add(f, blocks, NULL);
		fifo_start(f);
	}
	for (int i = 0; i < SERVERS * WORKERS; i++)
		chan_recv(&ready);
	nanosleep(&settle, NULL);
	before = switches();
	nanosleep(&window, NULL);
	report(c, "per_second", (double)(switches() - before) / SECONDS);
	fflush(stdout);
	_exit(0);	/* the workers wait for ever */
}

const struct bench_case idle_cases[] = {
	{ .name = "idle.blocked", .run = idle, .needs_umcg = true },
	{ .name = "idle.blocked_quiet", .run = idle, .arg = { FIFO_QUIET | FIFO_DIRECT },
	  .needs_umcg = true },
	{ 0 },
};
