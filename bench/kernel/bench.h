/* SPDX-License-Identifier: MIT */
/*
 * What all the questions of this benchmark share: time, medians, the lines
 * of the report and the end of a case that went wrong.
 *
 * Time is the time-stamp counter. In a guest that counts instructions
 * (./umcg vm --icount) one tick is one guest instruction, so a figure is the
 * length of a path and repeats from run to run; elsewhere it is a clock.
 */
#ifndef BENCH_KERNEL_BENCH_H
#define BENCH_KERNEL_BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <x86intrin.h>

struct bench_case {
	const char *name;	/* group.question.variant; the report's first column */
	void (*run)(const struct bench_case *c);
	int arg[4];		/* for run() */
	bool needs_umcg;	/* skipped, visibly, where UMCG does not work */
};

/* One array per file, closed by an entry without a name */
extern const struct bench_case switch_cases[], ring_cases[], path_cases[],
	hog_cases[], syscall_cases[], other_cases[],
	latency_cases[], idle_cases[];	/* bench/backends only */

static inline uint64_t ticks(void)
{
	return __rdtsc();
}

/* Report one figure of @c: "name<TAB>metric<TAB>value" on standard output. */
void report(const struct bench_case *c, const char *metric, double value);

/* From now on times are reported in units of so many ticks; at first, of one. */
void bench_unit(double ticks);

/* End the case with a message; the whole run then fails. */
_Noreturn void __attribute__((format(printf, 1, 2))) fail(const char *fmt, ...);

/* Fail unless a call that gives 0 or a negative errno value gave 0. */
void must(int ret, const char *what);

/*
 * The case in a process of its own, so that it leaves nothing behind. False: it
 * failed, or did not end in time.
 */
bool run_case(const struct bench_case *c, unsigned int deadline_s);

/* Does @name begin with one of the words of @want, or is that empty? */
bool chosen(const char *name, char **want);

/* Stay on the first CPU that this process may use, with all that it starts. */
void use_one_cpu(void);

/* pthread_create() and pthread_join() that cannot fail */
pthread_t start(void *(*fn)(void *arg), void *arg);
void join(pthread_t thread);

/*
 * Rounds of equally many operations: the median round, so that a timer tick
 * or a first page fault moves nothing. The first round only warms up.
 */
#define METER_ROUNDS	21

struct meter {
	unsigned int batch;	/* operations per round */
	unsigned int count;	/* operations seen */
	unsigned int rounds;
	uint64_t at[METER_ROUNDS + 2];
};

/* Two no-ops that bench/kernel/profile looks for: it counts what runs between them. */
static inline void profile_begin(void)
{
	__asm__ volatile("nopl 0x554d4301(%rax)");
}

static inline void profile_end(void)
{
	__asm__ volatile("nopl 0x554d4302(%rax)");
}

/* Call before each operation; true once there were enough of them. */
static inline bool meter_tick(struct meter *m)
{
	if (m->count++ % m->batch == 0) {
		m->at[m->rounds++] = ticks();
		if (m->rounds == 2)
			profile_begin();
		if (m->rounds == METER_ROUNDS + 2)
			profile_end();
	}
	return m->rounds == METER_ROUNDS + 2;
}

/* Ticks per operation */
double meter_median(const struct meter *m);

/* The @percent-th percentile of @v, which gets sorted */
uint64_t percentile(uint64_t *v, size_t n, double percent);

#endif
