// SPDX-License-Identifier: MIT
/*
 * Two paths by themselves, as latencies: from a worker's blocking call to its
 * server's return from umcg_wait(), and from the waker's call to the worker's
 * next user instruction. The rivals: a thread that tells a manager thread by
 * futex and then blocks, and a plain thread that is woken.
 *
 * Nobody else wants the CPU meanwhile: the waker sleeps between two calls, for
 * longer than all others take to go to sleep.
 */
#include <linux/futex.h>
#include <stdio.h>
#include <time.h>

#include "chan.h"
#include "fifo.h"

#define TRIPS	4000
#define WARM_UP	500
#define PAUSE_NS 100000

/* arg[3] */
enum {
	/*
	 * Time is a clock and the backend any: long pauses, since a block may be
	 * noticed late, and a call of the library on each trip, since only that
	 * may hold who comes back. The 99th percentile, too.
	 */
	CLOCK		= 0x1,
	ANNOUNCED	= 0x2,	/* by umcg_blocking_begin() */
};
#define CLOCK_TRIPS	1500
#define CLOCK_PAUSE_NS	1000000

static struct {
	struct chan ask;		/* what is blocked on */
	uint32_t about_to_block;	/* the rival's word */
	volatile uint64_t block_at, wake_at;
	uint64_t to_server[TRIPS], to_running[TRIPS];
	unsigned int trips, blocks, all_trips;
	int flags;
	_Atomic bool stop;
} g;

static void *wakes(void *arg)
{
	const struct timespec pause = { .tv_nsec = g.flags & CLOCK ? CLOCK_PAUSE_NS : PAUSE_NS };

	(void)arg;
	while (!g.stop) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		g.wake_at = ticks();
		chan_send(&g.ask);
	}
	return NULL;
}

static void tell_manager(void)
{
	__atomic_store_n(&g.about_to_block, 1, __ATOMIC_SEQ_CST);
	futex_wake(&g.about_to_block, FUTEX_PRIVATE_FLAG);
}

static void blocks(struct fifo_worker *self, bool tell)
{
	while (!g.stop) {
		if (self)
			fifo_step(self);
		g.block_at = ticks();
		if (tell)
			tell_manager();
		if (g.flags & ANNOUNCED)
			umcg_blocking_begin();
		chan_recv(&g.ask);
		if (g.flags & ANNOUNCED)
			umcg_blocking_end();
		g.to_running[g.trips] = ticks() - g.wake_at;
		if (self && (g.flags & CLOCK))
			must(umcg_wait(UMCG_WAIT_ENQUEUE, 0), "yield");
		g.stop = ++g.trips == g.all_trips;
	}
	if (tell)
		tell_manager();
}

/* The server wakes up twice per trip: for the block, and for the return. */
static void block_seen(struct fifo *f)
{
	(void)f;
	if (g.block_at && g.blocks < g.all_trips) {
		g.to_server[g.blocks++] = ticks() - g.block_at;
		g.block_at = 0;
	}
}

static void *manages(void *arg)
{
	(void)arg;
	while (!g.stop) {
		while (!__atomic_exchange_n(&g.about_to_block, 0, __ATOMIC_SEQ_CST))
			futex_wait(&g.about_to_block, 0, FUTEX_PRIVATE_FLAG);
		block_seen(NULL);
	}
	return NULL;
}

static void worker_blocks(struct fifo_worker *self)
{
	blocks(self, false);
}

static void *thread_blocks(void *tell)
{
	blocks(NULL, tell != NULL);
	return NULL;
}

enum { THREAD, MANAGED, WORKER };

static void report_latency(const struct bench_case *c, const char *metric, uint64_t *v,
			   unsigned int n)
{
	char p99[32];

	if (n <= WARM_UP)
		fail("only %u trips were seen", n);
	report(c, metric, (double)percentile(v + WARM_UP, n - WARM_UP, 50));
	if (g.flags & CLOCK) {
		snprintf(p99, sizeof(p99), "%s_p99", metric);
		report(c, p99, (double)percentile(v + WARM_UP, n - WARM_UP, 99));
	}
}

static void measure(const struct bench_case *c)
{
	pthread_t waker, thread = 0, manager = 0;
	struct fifo *f = NULL;

	g.flags = c->arg[3];
	g.all_trips = g.flags & CLOCK ? CLOCK_TRIPS : TRIPS;
	chan_open(&g.ask, (enum chan_kind)c->arg[0]);
	if (c->arg[1] == WORKER) {
		f = fifo_new((unsigned int)c->arg[2]);
		f->woken = block_seen;
		fifo_add(f, worker_blocks, NULL);
		fifo_start(f);
	} else {
		if (c->arg[1] == MANAGED)
			manager = start(manages, NULL);
		thread = start(thread_blocks, c->arg[1] == MANAGED ? &g : NULL);
	}
	waker = start(wakes, NULL);
	if (f)
		fifo_join(f);
	else
		join(thread);
	if (c->arg[1] == MANAGED)
		join(manager);
	join(waker);

	if (c->arg[1] != MANAGED)
		report_latency(c, "to_running", g.to_running, g.trips);
	if (c->arg[1] == MANAGED || (c->arg[1] == WORKER && !(c->arg[2] & FIFO_QUIET)))
		report_latency(c, "to_server", g.to_server, g.blocks);
}

#define ALL(kind, chan) \
	{ .name = "path." kind ".plain", .run = measure, .arg = { chan, THREAD } }, \
	{ .name = "path." kind ".manager", .run = measure, .arg = { chan, MANAGED } }, \
	{ .name = "path." kind ".server", .run = measure, .arg = { chan, WORKER, 0 }, \
	  .needs_umcg = true }, \
	{ .name = "path." kind ".direct", .run = measure, \
	  .arg = { chan, WORKER, FIFO_QUIET | FIFO_DIRECT }, .needs_umcg = true }

const struct bench_case path_cases[] = {
	ALL("pipe", CHAN_PIPE),
	ALL("futex", CHAN_FUTEX),
	{ 0 },
};

const struct bench_case latency_cases[] = {
	{ .name = "latency.plain", .run = measure, .arg = { CHAN_PIPE, THREAD, 0, CLOCK } },
	{ .name = "latency.manager", .run = measure, .arg = { CHAN_PIPE, MANAGED, 0, CLOCK } },
	{ .name = "latency.server", .run = measure, .arg = { CHAN_PIPE, WORKER, 0, CLOCK },
	  .needs_umcg = true },
	{ .name = "latency.announced", .run = measure,
	  .arg = { CHAN_PIPE, WORKER, 0, CLOCK | ANNOUNCED }, .needs_umcg = true },
	{ .name = "latency.direct", .run = measure,
	  .arg = { CHAN_PIPE, WORKER, FIFO_QUIET | FIFO_DIRECT, CLOCK }, .needs_umcg = true },
	{ .name = "latency.direct_announced", .run = measure,
	  .arg = { CHAN_PIPE, WORKER, FIFO_QUIET | FIFO_DIRECT, CLOCK | ANNOUNCED },
	  .needs_umcg = true },
	{ 0 },
};
