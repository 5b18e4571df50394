/* SPDX-License-Identifier: MIT */
/*
 * The smallest scheduler that uses everything the kernel offers: one server,
 * its workers in a first-in-first-out queue.
 *
 * Who may touch the queue: the worker that runs, while one runs; else the
 * server. With FIFO_SUCCESSOR the running worker keeps it (fifo_step()), and
 * the server stays asleep; without, only the server does.
 */
#ifndef BENCH_KERNEL_FIFO_H
#define BENCH_KERNEL_FIFO_H

#include <umcg/umcg.h>

#include "bench.h"

enum {
	FIFO_QUIET	= 0x1,	/* a block with nothing queued leaves the server asleep */
	FIFO_DIRECT	= 0x2,	/* ...and the worker that returns takes its place */
	FIFO_SUCCESSOR	= 0x4,	/* a block runs the head of the queue, no server between */
	FIFO_WAKE	= 0x8,	/* a return wakes the server, which stops a hog that runs */
};

#define FIFO_MAX	16

struct fifo_worker {
	struct umcg_task task;	/* first: the lists hold its address */
	struct fifo *fifo;
	void (*fn)(struct fifo_worker *self);
	void *arg;
	bool hog;
	pthread_t thread;
};

struct fifo {
	struct umcg_task *server;
	unsigned int mode;
	uint64_t slice_ns;	/* 0: as long as they like */
	unsigned int head, tail;
	struct fifo_worker *queue[FIFO_MAX];
	struct fifo_worker workers[FIFO_MAX];
	unsigned int count;	/* of workers */
	unsigned int left;	/* of them that still live */
	bool ready;		/* the server is registered */
	void (*woken)(struct fifo *f);	/* after each umcg_wait(), or NULL */
	pthread_t thread;
};

/* Zeroed, in memory that can be registered. */
struct fifo *fifo_new(unsigned int mode);

/* Add a worker that runs @fn once. Before fifo_start(). */
struct fifo_worker *fifo_add(struct fifo *f, void (*fn)(struct fifo_worker *), void *arg);

/* Start the server thread and the workers; wait until all of them have ended. */
void fifo_start(struct fifo *f);
void fifo_join(struct fifo *f);

/* The running worker, before it may block: take the news, arm a successor. */
void fifo_step(struct fifo_worker *self);

#endif
