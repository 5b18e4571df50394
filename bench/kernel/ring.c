// SPDX-License-Identifier: MIT
/*
 * Blocking: actors in a ring, each waits for a token and passes it on.
 * Two actors and one token is a ping-pong, in which every receive blocks;
 * three and two tokens keep one actor runnable all the time. An actor is a
 * worker of the one server or a plain thread; all plain is the rival.
 *
 * A plain thread often finds its token without blocking, because the wake-up
 * of the other preempted it; two workers of one server cannot run at once, so
 * each of their receives blocks. SCHED_BATCH threads, which are not preempted by
 * a wake-up, show what that alone is worth.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "chan.h"
#include "fifo.h"

#define ACTORS_MAX	3

struct actor {
	struct chan *in, *out;
};

static struct {
	struct meter meter;
	struct chan chan[ACTORS_MAX];
	struct actor actor[ACTORS_MAX];
	bool batch;
	_Atomic bool stop;
} g = { .meter.batch = 250 };

/*
 * The first actor keeps the time. Once it says stop, the next token goes
 * round and ends everybody.
 */
static void run_actor(struct actor *a, struct fifo_worker *self)
{
	bool stop = false;

	while (!stop) {
		if (self)
			fifo_step(self);
		chan_recv(a->in);
		if (a == g.actor && meter_tick(&g.meter))
			g.stop = true;
		stop = g.stop;
		chan_send(a->out);
	}
}

static void worker_actor(struct fifo_worker *self)
{
	run_actor(self->arg, self);
}

static void *thread_actor(void *arg)
{
	const struct sched_param none = { 0 };

	if (g.batch && sched_setscheduler(0, SCHED_BATCH, &none))
		fail("sched_setscheduler: %s", strerror(errno));
	run_actor(arg, NULL);
	return NULL;
}

enum shape {
	PLAIN_TWO,	/* two plain threads */
	PLAIN_THREE,
	ALONE,		/* a worker alone on its server, woken by a plain thread */
	TWO,		/* two workers of one server */
	THREE,		/* three workers, two tokens */
};

static const struct {
	int actors, tokens, first_worker;
} shapes[] = {
	[PLAIN_TWO]	= { 2, 1, 2 },
	[PLAIN_THREE]	= { 3, 2, 3 },
	[ALONE]		= { 2, 1, 1 },
	[TWO]		= { 2, 1, 0 },
	[THREE]		= { 3, 2, 0 },
};

static void ring(const struct bench_case *c)
{
	const int n = shapes[c->arg[1]].actors, first_worker = shapes[c->arg[1]].first_worker;
	pthread_t thread[ACTORS_MAX];
	struct fifo *f = NULL;

	g.batch = c->arg[3];
	if (first_worker < n)
		f = fifo_new((unsigned int)c->arg[2]);
	for (int i = 0; i < n; i++) {
		chan_open(&g.chan[i], (enum chan_kind)c->arg[0]);
		g.actor[i] = (struct actor){ &g.chan[i], &g.chan[(i + 1) % n] };
	}
	for (int i = 0; i < n; i++) {
		if (i < first_worker)
			thread[i] = start(thread_actor, &g.actor[i]);
		else
			fifo_add(f, worker_actor, &g.actor[i]);
	}
	if (f)
		fifo_start(f);
	for (int i = 0; i < shapes[c->arg[1]].tokens; i++)
		chan_send(&g.chan[i]);
	for (int i = 0; i < first_worker; i++)
		join(thread[i]);
	if (f)
		fifo_join(f);
	/* one operation: a receive and a send of one actor */
	report(c, "ticks", meter_median(&g.meter) / n);
}

#define QD	(FIFO_QUIET | FIFO_DIRECT)
#define QDS	(FIFO_QUIET | FIFO_DIRECT | FIFO_SUCCESSOR)

#define PLAIN(kind, chan, shape, nr) \
	{ .name = "block." kind "." shape ".plain", .run = ring, .arg = { chan, nr } }
#define BATCH(kind, chan, shape, nr) \
	{ .name = "block." kind "." shape ".batch", .run = ring, .arg = { chan, nr, 0, true } }
#define WORKERS(kind, chan, shape, nr, how, mode) \
	{ .name = "block." kind "." shape "." how, .run = ring, .arg = { chan, nr, mode }, \
	  .needs_umcg = true }
#define ALL(kind, chan) \
	PLAIN(kind, chan, "two", PLAIN_TWO), \
	BATCH(kind, chan, "two", PLAIN_TWO), \
	PLAIN(kind, chan, "three", PLAIN_THREE), \
	BATCH(kind, chan, "three", PLAIN_THREE), \
	WORKERS(kind, chan, "alone", ALONE, "server", 0), \
	WORKERS(kind, chan, "alone", ALONE, "direct", QD), \
	WORKERS(kind, chan, "two", TWO, "server", 0), \
	WORKERS(kind, chan, "two", TWO, "direct", QD), \
	WORKERS(kind, chan, "two", TWO, "successor", QDS), \
	WORKERS(kind, chan, "three", THREE, "server", 0), \
	WORKERS(kind, chan, "three", THREE, "direct", QD), \
	WORKERS(kind, chan, "three", THREE, "successor", QDS)

const struct bench_case ring_cases[] = {
	ALL("pipe", CHAN_PIPE),
	ALL("futex", CHAN_FUTEX),
	{ 0 },
};
