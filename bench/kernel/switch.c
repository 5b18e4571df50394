// SPDX-License-Identifier: MIT
/*
 * Voluntary switches: worker to worker, server to worker and back, a yield.
 * The rival that hands over by futex or pipe is in ring.c.
 */
#include <sched.h>

#include "fifo.h"

static struct {
	struct meter meter;
	struct fifo_worker *worker[2];
	bool ready;
	_Atomic bool stop;
	int last;
} g = { .meter.batch = 250 };

static void to_worker(struct fifo_worker *self, struct fifo_worker *next, uint32_t flags)
{
	self->task.next_tid = next->task.tid;
	must(umcg_wait(flags, 0), "hand-over");
}

static void first_of_pair(struct fifo_worker *self)
{
	while (!g.ready)	/* until the other has parked off the queue */
		must(umcg_wait(UMCG_WAIT_ENQUEUE, 0), "yield");
	while (!meter_tick(&g.meter))
		to_worker(self, g.worker[1], 0);
	g.stop = true;
	to_worker(self, g.worker[1], UMCG_WAIT_ENQUEUE);
}

static void second_of_pair(struct fifo_worker *self)
{
	g.ready = true;
	must(umcg_wait(0, 0), "park");
	while (!g.stop)
		to_worker(self, g.worker[0], 0);
}

static void worker_to_worker(const struct bench_case *c)
{
	struct fifo *f = fifo_new(0);

	g.worker[0] = fifo_add(f, first_of_pair, NULL);
	g.worker[1] = fifo_add(f, second_of_pair, NULL);
	fifo_start(f);
	fifo_join(f);
	report(c, "ticks", meter_median(&g.meter) / 2);
}

static void *parking_worker(void *arg)
{
	struct umcg_task *self = umcg_task_alloc(), *server = arg;

	if (!self)
		fail("out of memory");
	self->server_tid = server->tid;
	must(umcg_register(self, UMCG_REG_WORKER), "umcg_register of a worker");
	while (!g.stop)
		must(umcg_wait(0, 0), "park");
	must(umcg_unregister(self), "umcg_unregister of a worker");
	return NULL;
}

static void server_worker(const struct bench_case *c)
{
	struct umcg_task *self = umcg_task_alloc(), *worker = NULL;
	struct umcg_news news;
	pthread_t thread;
	uint32_t tid;

	if (!self)
		fail("out of memory");
	must(umcg_register(self, UMCG_REG_SERVER), "umcg_register of a server");
	thread = start(parking_worker, self);
	while (!worker) {
		umcg_wait(0, 0);
		umcg_take(self, &news);
		while (umcg_next_blocked(&news))
			;
		worker = umcg_next_runnable(&news);
	}
	tid = worker->tid;
	while (!meter_tick(&g.meter)) {
		self->next_tid = tid;
		must(umcg_wait(0, 0), "to the worker");
	}
	g.stop = true;
	self->next_tid = tid;
	must(umcg_wait(0, 0), "to the worker");
	must(umcg_unregister(self), "umcg_unregister of a server");
	join(thread);
	report(c, "ticks", meter_median(&g.meter) / 2);
}

/* A round of the meter: actor 0 has been away and has come back. */
static bool yielded(int me)
{
	if (g.last == me)
		return false;
	g.last = me;
	if (me == 0 && meter_tick(&g.meter))
		g.stop = true;
	return true;
}

static void yielding_worker(struct fifo_worker *self)
{
	int me = self != g.worker[0];

	while (!g.stop) {
		fifo_step(self);
		must(umcg_wait(UMCG_WAIT_ENQUEUE, 0), "yield");
		yielded(me);
	}
}

static void worker_yield(const struct bench_case *c)
{
	struct fifo *f = fifo_new((unsigned int)c->arg[0]);

	g.worker[0] = fifo_add(f, yielding_worker, NULL);
	g.worker[1] = fifo_add(f, yielding_worker, NULL);
	fifo_start(f);
	fifo_join(f);
	report(c, "ticks", meter_median(&g.meter) / 2);
}

static void *yielding_thread(void *arg)
{
	int me = arg != NULL;

	while (!g.stop) {
		sched_yield();
		yielded(me);
	}
	return NULL;
}

static void thread_yield(const struct bench_case *c)
{
	pthread_t other = start(yielding_thread, &g);

	yielding_thread(NULL);
	join(other);
	report(c, "ticks", meter_median(&g.meter) / 2);
}

const struct bench_case switch_cases[] = {
	{ .name = "switch.worker_to_worker", .run = worker_to_worker, .needs_umcg = true },
	{ .name = "switch.server_worker", .run = server_worker, .needs_umcg = true },
	{ .name = "switch.yield.server", .run = worker_yield, .needs_umcg = true },
	{ .name = "switch.yield.successor", .run = worker_yield,
	  .arg = { FIFO_QUIET | FIFO_DIRECT | FIFO_SUCCESSOR }, .needs_umcg = true },
	{ .name = "switch.sched_yield", .run = thread_yield },
	{ 0 },
};
