// SPDX-License-Identifier: MIT
/*
 * Who runs without need? In a process in which nothing happens, two servers and
 * their workers waiting: any of its threads. In one whose workers switch all the
 * time: any thread that is neither server nor worker, such as a monitor.
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

static bool belongs_to(const struct fifo *f, const char *tid)
{
	unsigned int number = (unsigned int)atoi(tid);

	for (unsigned int i = 0; i < f->count; i++) {
		if (f->workers[i].task.tid == number)
			return true;
	}
	return f->server->tid == number;
}

/* Of all threads but the caller's and, if @but is not NULL, its server's and workers'. */
static unsigned long long switches(const struct fifo *but)
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
		if (isdigit((unsigned char)entry->d_name[0]) && strcmp(entry->d_name, self) &&
		    !(but && belongs_to(but, entry->d_name)))
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
	before = switches(NULL);
	nanosleep(&window, NULL);
	report(c, "per_second", (double)(switches(NULL) - before) / SECONDS);
	fflush(stdout);
	_exit(0);	/* the workers wait for ever */
}

static _Atomic unsigned long long turns;

static void yields(struct fifo_worker *self)
{
	(void)self;
	for (;; turns++)
		must(umcg_wait(UMCG_WAIT_ENQUEUE, 0), "yield");
}

static void switching(const struct bench_case *c)
{
	const struct timespec settle = { .tv_nsec = SETTLE_NS }, window = { .tv_sec = SECONDS };
	struct fifo *f = fifo_new(0);
	unsigned long long before, turns_before;

	for (int i = 0; i < 2; i++)
		fifo_add(f, yields, NULL);
	fifo_start(f);
	nanosleep(&settle, NULL);
	turns_before = turns;
	before = switches(f);
	nanosleep(&window, NULL);
	report(c, "others_per_second", (double)(switches(f) - before) / SECONDS);
	report(c, "turns_per_second", (double)(turns - turns_before) / SECONDS);
	fflush(stdout);
	_exit(0);	/* the workers go on for ever */
}

const struct bench_case idle_cases[] = {
	{ .name = "idle.blocked", .run = idle, .needs_umcg = true },
	{ .name = "idle.blocked_quiet", .run = idle, .arg = { FIFO_QUIET | FIFO_DIRECT },
	  .needs_umcg = true },
	{ .name = "idle.switching", .run = switching, .needs_umcg = true },
	{ 0 },
};
