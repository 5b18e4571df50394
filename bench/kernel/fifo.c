// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fifo.h"

static void put(struct fifo *f, struct fifo_worker *w)
{
	if (f->tail - f->head == FIFO_MAX)
		fail("a worker was reported RUNNABLE twice");
	f->queue[f->tail++ % FIFO_MAX] = w;
}

static void take(struct fifo *f)
{
	struct fifo_worker *fresh[FIFO_MAX];
	struct umcg_task *task;
	struct umcg_news news;
	unsigned int n = 0;

	if (!umcg_has_news(f->server))
		return;
	umcg_take(f->server, &news);
	while (umcg_next_blocked(&news))
		;	/* it will come back as runnable */
	while ((task = umcg_next_runnable(&news))) {
		if (n == FIFO_MAX)
			fail("more runnable workers than there are");
		fresh[n++] = (struct fifo_worker *)task;
	}
	while (n)	/* the list is newest first */
		put(f, fresh[--n]);
}

/* The head of the queue becomes next_tid, if that is free; QUIET says whether there is more. */
static void arm(struct fifo *f)
{
	uint32_t none = 0, flags = f->server->user_flags;

	if (f->head != f->tail && !f->server->next_tid &&
	    __atomic_compare_exchange_n(&f->server->next_tid, &none,
					f->queue[f->head % FIFO_MAX]->task.tid, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		f->head++;
	if (f->mode & FIFO_QUIET) {
		flags &= ~UMCG_UF_QUIET;
		if (f->head == f->tail)
			flags |= UMCG_UF_QUIET;
		/* nobody queues from another thread: a plain store will do */
		__atomic_store_n(&f->server->user_flags, flags, __ATOMIC_RELAXED);
	}
}

void fifo_step(struct fifo_worker *self)
{
	struct fifo *f = self->fifo;

	if (!(f->mode & FIFO_SUCCESSOR))
		return;
	/* the queue is ours only while the kernel sees us running */
	__atomic_store_n(&self->task.user_flags, UMCG_UF_LOCKED, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	take(f);
	arm(f);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&self->task.user_flags, 0, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (umcg_state(&self->task) & UMCG_TF_PREEMPT_PENDING)
		must(umcg_wait(UMCG_WAIT_ENQUEUE, 0), "umcg_wait of a worker");
}

/* Somebody waits: a hog has to stop. */
static void stop_hog(struct fifo *f, uint32_t running)
{
	for (unsigned int i = 0; i < f->count; i++)
		if (f->workers[i].hog && f->workers[i].task.tid == running)
			umcg_kick(0, (pid_t)running);	/* -EAGAIN: it has stopped by itself */
}

static uint64_t slice_end(const struct fifo *f)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + f->slice_ns;
}

static void *server_main(void *arg)
{
	struct fifo *f = arg;
	int ret;

	if (f->mode & FIFO_DIRECT)
		f->server->user_flags |= UMCG_UF_DIRECT_RESUME;
	if (f->mode & FIFO_WAKE)
		f->server->user_flags |= UMCG_UF_WAKE_ON_RUNNABLE;
	must(umcg_register(f->server, UMCG_REG_SERVER), "umcg_register of a server");
	__atomic_store_n(&f->ready, true, __ATOMIC_RELEASE);
	for (;;) {
		uint32_t running = __atomic_load_n(&f->server->running_tid, __ATOMIC_ACQUIRE);

		if (running && (f->mode & FIFO_SUCCESSOR))
			fail("the server was woken while a worker runs");
		take(f);
		if (!__atomic_load_n(&f->left, __ATOMIC_ACQUIRE))
			break;
		if (!running)
			arm(f);
		else if (f->head != f->tail)
			stop_hog(f, running);
		ret = umcg_wait(f->slice_ns ? UMCG_WAIT_PREEMPT : 0,
				f->slice_ns ? slice_end(f) : 0);
		if (f->woken)
			f->woken(f);
		if (ret && ret != -EAGAIN && ret != -ETIMEDOUT)
			must(ret, "umcg_wait of a server");
	}
	must(umcg_unregister(f->server), "umcg_unregister of a server");
	return NULL;
}

static void *worker_main(void *arg)
{
	struct fifo_worker *self = arg;
	struct fifo *f = self->fifo;

	while (!__atomic_load_n(&f->ready, __ATOMIC_ACQUIRE))
		sched_yield();
	self->task.server_tid = f->server->tid;
	must(umcg_register(&self->task, UMCG_REG_WORKER), "umcg_register of a worker");
	self->fn(self);
	__atomic_sub_fetch(&f->left, 1, __ATOMIC_RELEASE);
	must(umcg_unregister(&self->task), "umcg_unregister of a worker");
	return NULL;
}

struct fifo *fifo_new(unsigned int mode)
{
	struct fifo *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);

	if (!f)
		fail("out of memory");
	if ((mode & FIFO_WAKE) && (mode & FIFO_SUCCESSOR))
		fail("server and worker would both keep the queue");
	memset(f, 0, sizeof(*f));
	f->mode = mode;
	f->server = umcg_task_alloc();
	if (!f->server)
		fail("out of memory");
	return f;
}

struct fifo_worker *fifo_add(struct fifo *f, void (*fn)(struct fifo_worker *), void *arg)
{
	struct fifo_worker *w = &f->workers[f->count];

	if (f->count == FIFO_MAX)
		fail("too many workers");
	f->count++;
	f->left++;
	w->fifo = f;
	w->fn = fn;
	w->arg = arg;
	return w;
}

void fifo_start(struct fifo *f)
{
	f->thread = start(server_main, f);
	for (unsigned int i = 0; i < f->count; i++)
		f->workers[i].thread = start(worker_main, &f->workers[i]);
}

void fifo_join(struct fifo *f)
{
	for (unsigned int i = 0; i < f->count; i++)
		join(f->workers[i].thread);
	join(f->thread);
	umcg_task_free(f->server);
	free(f);
}
