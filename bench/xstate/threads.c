// SPDX-License-Identifier: MIT
/*
 * Kernel threads on one CPU that hand a baton round by futex: what a switch costs
 * with vector registers in use, rewritten at each turn, and what releasing
 * them before the wait saves. And a signal to oneself, which is how backends on
 * stock kernels stop a worker: its frame holds all that is in use.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <umcg/xstate.h>

#include "xstate_bench.h"

enum how { KEPT, RELEASED, N_HOW };
static const char *const hows[N_HOW] = { "kept", "released" };

struct baton {
	_Alignas(64) uint32_t word;
	pthread_t thread;
	size_t number;
};

static struct baton *ring;
static size_t n_threads;
static enum state using;
static enum how how;
static uint64_t end;	/* turns */
static uint64_t turn, began, count;
static uint32_t done;

/* No libc code in between: its string functions would use the registers themselves. */
static long futex(uint32_t *word, int op, uint32_t value)
{
	long rc = SYS_futex;
	register long r10 __asm__("r10") = 0;

	__asm__ __volatile__("syscall" : "+a"(rc)
			     : "D"(word), "S"((long)op), "d"((long)value), "r"(r10)
			     : "rcx", "r11", "memory");
	return rc;
}

static void pass(struct baton *to)
{
	__atomic_store_n(&to->word, 1, __ATOMIC_RELEASE);
	futex(&to->word, FUTEX_WAKE_PRIVATE, 1);
}

static void *run(void *arg)
{
	struct baton *me = arg, *next = &ring[(me->number + 1) % n_threads];

	clean();
	for (;;) {
		while (!__atomic_load_n(&me->word, __ATOMIC_ACQUIRE))
			futex(&me->word, FUTEX_WAIT_PRIVATE, 0);
		me->word = 0;
		if (__atomic_load_n(&done, __ATOMIC_RELAXED)) {
			pass(next);
			return NULL;
		}
		turn++;
		if (turn == n_threads + 1)	/* everybody has had one */
			began = cpu_ns();
		if (turn == end) {
			count = end - n_threads - 1;
			began = cpu_ns() - began;
			__atomic_store_n(&done, 1, __ATOMIC_RELAXED);
		}
		dirty(using);
		if (how == RELEASED)
			umcg_xstate_release();
		pass(next);
	}
}

static double measure(size_t n)
{
	pthread_attr_t attr;
	int err = 0;

	ring = calloc(n, sizeof(*ring));
	if (!ring)
		abort();
	n_threads = n;
	turn = 0;
	done = 0;
	end = n + 1 + (n > 20000 ? n : 20000);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32768);
	for (size_t i = 0; i < n; i++) {
		ring[i].number = i;
		err = pthread_create(&ring[i].thread, &attr, run, &ring[i]);
		if (err) {
			fprintf(stderr, "xstate-bench: thread %zu: %s\n", i, strerror(err));
			exit(1);
		}
	}
	pass(&ring[0]);
	for (size_t i = 0; i < n; i++)
		pthread_join(ring[i].thread, NULL);
	free(ring);
	return (double)began / (double)count;
}

void bench_threads(void)
{
	static const size_t counts[] = { 2, 100, 1000, 4000 };
	struct umcg_xstate_options all = { .size = sizeof(all), .mode = UMCG_XSTATE_ALL };
	cpu_set_t before, one;
	char name[64];

	/* one CPU: the switch, and no wake-up of another one */
	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&one);
	for (int c = 0; c < CPU_SETSIZE && !CPU_COUNT(&one); c++)
		if (CPU_ISSET(c, &before))
			CPU_SET(c, &one);
	sched_setaffinity(0, sizeof(one), &one);
	umcg_xstate_init(&all);
	for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
		for (using = CLEAN; using < N_STATES; using++) {
			if (!have_state(using))
				continue;
			for (how = KEPT; how < N_HOW; how++) {
				if (using == CLEAN && how == RELEASED)
					continue;
				snprintf(name, sizeof(name), "threads.%zu.%s", counts[c], state_names[using]);
				report(name, hows[how], measure(counts[c]));
			}
		}
	}
	sched_setaffinity(0, sizeof(before), &before);
}

static void handler(int sig)
{
	(void)sig;
}

void bench_signals(void)
{
	enum { N = 20000 };
	struct sigaction sa = { .sa_handler = handler }, old;
	const pid_t pid = getpid(), tid = (pid_t)syscall(SYS_gettid);
	char name[64];

	sigaction(SIGUSR1, &sa, &old);
	for (enum state s = CLEAN; s < N_STATES; s++) {
		uint64_t from;

		if (!have_state(s))
			continue;
		clean();
		dirty(s);
		from = cpu_ns();
		for (int i = 0; i < N; i++)
			syscall(SYS_tgkill, pid, tid, SIGUSR1);
		snprintf(name, sizeof(name), "signal.%s", state_names[s]);
		report(name, "kept", (double)(cpu_ns() - from) / N);
	}
	if (have_state(AMX)) {
		/* used once: the frame has room for it for ever */
		clean();
		uint64_t from = cpu_ns();

		for (int i = 0; i < N; i++)
			syscall(SYS_tgkill, pid, tid, SIGUSR1);
		report("signal.amx", "released", (double)(cpu_ns() - from) / N);
	}
	clean();
	sigaction(SIGUSR1, &old, NULL);
}
