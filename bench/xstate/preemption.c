// SPDX-License-Identifier: MIT
/*
 * What it costs to stop a worker that has registers in use, and to run it again: a
 * worker that gives the CPU back by itself (yield), one that is kicked, by itself so
 * that nothing else runs meanwhile, and one whose time is over whenever it runs (slice;
 * with what it spins until it is stopped). On the backend in $UMCG_BACKEND: by a signal,
 * or by the kernel. Under --icount the figures are instructions.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <umcg/umcg.h>

#include "xstate_bench.h"

enum way { YIELD, KICK, SLICE, N_WAYS };
static const char *const ways[N_WAYS] = { "yield", "kick", "slice" };

static struct umcg_task *server, *worker;
static enum state using;
static enum way way;
static uint32_t stop;
static int turns;

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "xstate-bench: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void *work(void *arg)
{
	const pid_t tid = gettid();

	(void)arg;
	worker->server_tid = server->tid;
	must(umcg_register(worker, UMCG_REG_WORKER), "umcg_register() of a worker");
	clean();
	dirty(using);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (way == YIELD)
			must(umcg_wait(UMCG_WAIT_ENQUEUE, 0), "umcg_wait() of a worker");
		else if (way == KICK)
			(void)umcg_kick(0, tid);	/* -EAGAIN: stopped, and back */
	}
	must(umcg_unregister(worker), "umcg_unregister() of a worker");
	return NULL;
}

/* Stops, until there were @turns of the kind that is asked for. CPU time of one. */
static double serve(pthread_t *thread)
{
	bool runnable = false, ended = false;
	uint64_t began = 0;
	int n = 0;

	for (;;) {
		struct umcg_task *task;
		struct umcg_news news;
		int err;

		if (umcg_has_news(server)) {
			umcg_take(server, &news);
			while (umcg_next_blocked(&news))
				;
			while ((task = umcg_next_runnable(&news))) {
				runnable = true;
				if (way != YIELD && !(umcg_state(task) & UMCG_TF_PREEMPTED))
					continue;
				if (n++ == turns / 10)	/* warm */
					began = cpu_ns();
			}
		}
		if (n > turns && !ended) {
			began = cpu_ns() - began;
			ended = true;
			__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
		}
		if (ended && !runnable && !__atomic_load_n(&worker->tid, __ATOMIC_ACQUIRE))
			break;
		if (runnable) {
			server->next_tid = worker->tid;
			runnable = false;
		}
		/* a time that is past */
		err = umcg_wait(way == SLICE && !ended ? UMCG_WAIT_PREEMPT : 0,
				way == SLICE && !ended);
		if (err == -EAGAIN && server->next_tid) {
			server->next_tid = 0;
			runnable = true;
		} else if (err && err != -EAGAIN && err != -ETIMEDOUT) {
			must(err, "umcg_wait() of a server");
		}
	}
	pthread_join(*thread, NULL);
	return (double)began / (double)(turns - turns / 10);
}

void bench_preemption(void)
{
	const char *few = getenv("UMCG_BENCH_TURNS");
	pthread_t thread;
	char name[64];

	turns = few ? atoi(few) : 10000;
	must(umcg_init(NULL), "umcg_init()");
	server = umcg_task_alloc();
	if (!server)
		must(-ENOMEM, "umcg_task_alloc()");
	must(umcg_register(server, UMCG_REG_SERVER), "umcg_register() of a server");
	for (using = CLEAN; using < N_STATES; using++) {
		if (!have_state(using))
			continue;
		for (way = YIELD; way < N_WAYS; way++) {
			worker = umcg_task_alloc();
			if (!worker)
				must(-ENOMEM, "umcg_task_alloc()");
			stop = 0;
			must(-pthread_create(&thread, NULL, work, NULL), "pthread_create()");
			snprintf(name, sizeof(name), "preemption.%s.%s", umcg_backend_name(),
				 state_names[using]);
			report(name, ways[way], serve(&thread));
			umcg_task_free(worker);
		}
	}
	must(umcg_unregister(server), "umcg_unregister() of a server");
	umcg_task_free(server);
}
