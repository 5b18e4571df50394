/* SPDX-License-Identifier: MIT */
/*
 * An open-loop load, for our program and for its rivals: requests come when a schedule says, whether or
 * not the ones before are done. The schedule is a file made by load.py, one line per request:
 *
 *	at_ns service_ns class deadline_ns
 *
 * A latency is counted from the time that the schedule says, not from when the request was really handed
 * in: what waits because we are late is late, too (no coordinated omission). In C, since Go uses it as well.
 */
#ifndef BENCH_POLICIES_LOAD_H
#define BENCH_POLICIES_LOAD_H

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LOAD_REFUSED = -1 };

struct load_request {
	int64_t at, service, deadline; /* ns; `at` and `deadline` from the start and from `at` */
	int klass;		       /* 1: the long ones */
	int number;		       /* of its class: 0, 1, ... */
	int64_t latency, late;	       /* ns: until it was done; until it was handed in */
};

struct load {
	struct load_request *all;
	long n;
	int64_t start;		/* CLOCK_MONOTONIC */
	int cpu, generator_cpu; /* one serves, the other makes the load */
};

static inline void load_fail(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static inline int64_t load_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The rest of the process is on the first CPU of those allowed, the load generator on the second. */
static inline void load_choose_cpus(struct load *l)
{
	cpu_set_t allowed;
	int found = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		load_fail("sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &allowed)) {
			if (found++)
				l->generator_cpu = cpu;
			else
				l->cpu = cpu;
		}
	if (found < 2)
		load_fail("two CPUs are needed: one serves, the other makes the load");
}

static inline void load_use_cpu(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one))
		load_fail("pthread_setaffinity_np");
}

static inline void load_read(struct load *l, const char *path)
{
	FILE *f = fopen(path, "r");
	struct load_request r = {0, 0, 0, 0, 0, 0, 0};
	long room = 0;
	int numbers[2] = {0, 0}, got;

	if (!f)
		load_fail("the schedule cannot be opened");
	l->all = NULL;
	l->n = 0;
	while ((got = fscanf(f, "%" SCNd64 " %" SCNd64 " %d %" SCNd64, &r.at, &r.service, &r.klass, &r.deadline)) == 4) {
		if (r.klass < 0 || r.klass > 1)
			load_fail("a class of the schedule is not 0 or 1");
		if (l->n == room) {
			room = room ? 2 * room : 1024;
			l->all = (struct load_request *)realloc(l->all, (size_t)room * sizeof(r));
			if (!l->all)
				load_fail("no memory for the schedule");
		}
		r.number = numbers[r.klass]++;
		l->all[l->n++] = r;
	}
	if (got != EOF || !l->n)
		load_fail("the schedule is not lines of four numbers");
	fclose(f);
	load_choose_cpus(l);
}

/* One line per request: latency and lateness in ns; LOAD_REFUSED: it was not taken. */
static inline void load_write(const struct load *l, const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		load_fail("the result cannot be written");
	for (long i = 0; i < l->n; i++)
		fprintf(f, "%" PRId64 " %" PRId64 "\n", l->all[i].latency, l->all[i].late);
	if (fclose(f))
		load_fail("the result cannot be written");
}

/*
 * The calling thread makes the load, and time begins. What else the machine has to do is not to keep it from
 * its CPU, where that may be asked for: the clock that all are measured by is this thread.
 */
static inline void load_generate(struct load *l)
{
	load_use_cpu(l->generator_cpu);
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -20);
	l->start = load_now() + 20000000;
}

/* On the generator's thread: wait for the time of request `i`. It spins: a sleep would be late. */
static inline void load_wait_for(struct load *l, long i)
{
	const int64_t at = l->start + l->all[i].at;
	int64_t now;

	while ((now = load_now()) < at)
		__builtin_ia32_pause();
	l->all[i].late = now - at;
}

static inline void load_done(struct load *l, long i)
{
	l->all[i].latency = load_now() - l->start - l->all[i].at;
}

/* CPU work: a chain of multiplications, each of which needs the one before. */
static inline uint64_t load_work(uint64_t steps)
{
	uint64_t x = 1;

	for (uint64_t i = 0; i < steps; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

/* Steps per ns: the fastest of many tries, so what others do on the machine does not count. */
static inline double load_steps_per_ns(void)
{
	const uint64_t steps = 200000;
	double best = 0;

	for (int i = 0; i < 60; i++) {
		const int64_t before = load_now();
		load_work(steps);
		const double got = (double)steps / (double)(load_now() - before);
		if (got > best)
			best = got;
	}
	return best;
}

#endif
