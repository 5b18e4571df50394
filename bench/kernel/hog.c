// SPDX-License-Identifier: MIT
/*
 * Beside a CPU hog: two actors in ping-pong, or one that sleeps for a
 * millisecond at a time, on a CPU that somebody else would like to use up. The
 * hog is a plain thread, or a worker of the same server that is stopped after
 * each slice.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "chan.h"
#include "fifo.h"

#define PAIR_NS		200000000
#define SLEEPER_NS	500000000	/* a few hundred samples are needed for a percentile */
#define SLICE_NS	1000000
#define PERIOD_NS	1000000
#define SAMPLES		(1 << 18)

enum who { NOBODY, THREAD, WORKER };
enum what { PAIR, ALONE, SLEEPER };	/* ALONE: the one who answers is a worker, who asks is not */

static struct {
	struct chan chan[2];
	uint64_t sample[SAMPLES];	/* a trip there and back, or how late a sleeper is */
	unsigned int count;
	uint64_t first, last;		/* when they were taken */
	uint64_t hog_ns;		/* CPU time it got */
	_Atomic bool stop;
} g;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	const struct timespec t = {
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
	int err;

	while ((err = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL)) == EINTR)
		;
	must(-err, "clock_nanosleep");
}

static void add_sample(uint64_t value)
{
	g.last = now_ns(CLOCK_MONOTONIC);
	g.sample[g.count++] = value;
	if (g.count == SAMPLES)
		g.stop = true;
}

static void use_up_cpu(struct fifo_worker *self)
{
	(void)self;
	while (!g.stop)
		;
	g.hog_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Sends first; with the stop it sends once more, for the other's sake. */
static void ping(struct fifo_worker *self)
{
	g.first = now_ns(CLOCK_MONOTONIC);
	while (!g.stop) {
		uint64_t t = now_ns(CLOCK_MONOTONIC);

		chan_send(&g.chan[1]);
		if (self)
			fifo_step(self);
		chan_recv(&g.chan[0]);
		add_sample(now_ns(CLOCK_MONOTONIC) - t);
	}
	chan_send(&g.chan[1]);
}

static void pong(struct fifo_worker *self)
{
	for (;;) {
		if (self)
			fifo_step(self);
		chan_recv(&g.chan[1]);
		if (g.stop)
			break;
		chan_send(&g.chan[0]);
	}
	chan_send(&g.chan[0]);
}

static void sleeper(struct fifo_worker *self)
{
	uint64_t t = now_ns(CLOCK_MONOTONIC);

	prctl(PR_SET_TIMERSLACK, 1);
	g.first = t;
	while (!g.stop) {
		if (self)
			fifo_step(self);
		t += PERIOD_NS;
		sleep_until(t);
		add_sample(now_ns(CLOCK_MONOTONIC) - t);
		if (g.last > t)		/* too late for some periods: leave them out */
			t += (g.last - t) / PERIOD_NS * PERIOD_NS;
	}
}

static void *as_thread(void *fn)
{
	(*(void (**)(struct fifo_worker *))fn)(NULL);
	return NULL;
}

static void beside_hog(const struct bench_case *c)
{
	static void (*fn[3])(struct fifo_worker *);
	const bool pair = c->arg[0] != SLEEPER;
	const enum who who[3] = { (enum who)c->arg[1],
				  c->arg[0] == ALONE ? THREAD : (enum who)c->arg[1],
				  (enum who)c->arg[2] };
	struct fifo *f = NULL;
	pthread_t thread[3];
	double run;

	fn[0] = pair ? pong : sleeper;
	fn[1] = pair ? ping : NULL;
	fn[2] = use_up_cpu;
	chan_open(&g.chan[0], CHAN_PIPE);
	chan_open(&g.chan[1], CHAN_PIPE);
	if (c->arg[1] == WORKER) {
		f = fifo_new((unsigned int)c->arg[3]);
		f->slice_ns = c->arg[2] == WORKER ? SLICE_NS : 0;
	}
	for (int i = 0; i < 3; i++) {
		if (!fn[i] || who[i] == NOBODY)
			continue;
		if (who[i] == WORKER)
			fifo_add(f, fn[i], NULL)->hog = i == 2;
		else
			thread[i] = start(as_thread, &fn[i]);
	}
	if (f)
		fifo_start(f);
	sleep_until(now_ns(CLOCK_MONOTONIC) + (pair ? PAIR_NS : SLEEPER_NS));
	g.stop = true;
	for (int i = 0; i < 3; i++)
		if (fn[i] && who[i] == THREAD)
			join(thread[i]);
	if (f)
		fifo_join(f);

	run = (double)(g.last - g.first);
	if (g.count < 10)
		fail("only %u samples were taken", g.count);
	if (pair)
		report(c, "ns_per_trip", run / g.count);
	report(c, "p50_ns", (double)percentile(g.sample, g.count, 50));
	report(c, "p99_ns", (double)percentile(g.sample, g.count, 99));
	if (who[2] != NOBODY)
		report(c, "hog_percent", 100 * (double)g.hog_ns / run);
}

#define QD	(FIFO_QUIET | FIFO_DIRECT)
#define QDS	(FIFO_QUIET | FIFO_DIRECT | FIFO_SUCCESSOR)

#define CASE(name_what, what, hog, who_hog, how, who, mode) \
	{ .name = "hog." hog "." name_what "." how, .run = beside_hog, \
	  .arg = { what, who, who_hog, mode }, .needs_umcg = (who) == WORKER }
#define ALL(name, what) \
	CASE(name, what, "none", NOBODY, "plain", THREAD, 0), \
	CASE(name, what, "none", NOBODY, "direct", WORKER, QD), \
	CASE(name, what, "none", NOBODY, "successor", WORKER, QDS), \
	CASE(name, what, "thread", THREAD, "plain", THREAD, 0), \
	CASE(name, what, "thread", THREAD, "server", WORKER, 0), \
	CASE(name, what, "thread", THREAD, "direct", WORKER, QD), \
	CASE(name, what, "thread", THREAD, "successor", WORKER, QDS), \
	CASE(name, what, "worker", WORKER, "server", WORKER, 0), \
	CASE(name, what, "worker", WORKER, "direct", WORKER, QD), \
	CASE(name, what, "worker", WORKER, "successor", WORKER, QDS), \
	CASE(name, what, "worker", WORKER, "wake", WORKER, FIFO_WAKE)

const struct bench_case hog_cases[] = {
	ALL("pair", PAIR),
	CASE("alone", ALONE, "none", NOBODY, "direct", WORKER, QD),
	CASE("alone", ALONE, "thread", THREAD, "server", WORKER, 0),
	CASE("alone", ALONE, "thread", THREAD, "direct", WORKER, QD),
	ALL("sleeper", SLEEPER),
	{ 0 },
};
