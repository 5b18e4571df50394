// SPDX-License-Identifier: MIT
/*
 * Processes that know nothing of UMCG: what does its presence in the kernel,
 * or that of a process that uses it, cost their switches, forks and exits?
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chan.h"
#include "fifo.h"

static struct shared {
	struct chan there, back;
	_Atomic int last;
} *shared;

static pid_t child(void (*fn)(void))
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		_exit(0);
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	if (waitpid(pid, NULL, 0) != pid)
		fail("waitpid: %s", strerror(errno));
}

static struct chan ready;

static void block_for_ever(struct fifo_worker *self)
{
	struct chan never;

	(void)self;
	chan_open(&never, CHAN_PIPE);
	chan_send(&ready);
	chan_recv(&never);
}

static void umcg_process(void)
{
	struct fifo *f = fifo_new(FIFO_QUIET | FIFO_DIRECT);

	for (int i = 0; i < 3; i++)
		fifo_add(f, block_for_ever, NULL);
	fifo_start(f);
	fifo_join(f);
}

static void echo(void)
{
	for (;;) {
		chan_recv(&shared->there);
		chan_send(&shared->back);
	}
}

static double ping_pong(enum chan_kind kind)
{
	struct meter m = { .batch = 250 };
	pid_t pid;

	chan_open(&shared->there, kind);
	chan_open(&shared->back, kind);
	pid = child(echo);
	while (!meter_tick(&m)) {
		chan_send(&shared->there);
		chan_recv(&shared->back);
	}
	end(pid);
	return meter_median(&m) / 2;
}

static double pipe_switch(void)
{
	return ping_pong(CHAN_PIPE);
}

static double futex_switch(void)
{
	return ping_pong(CHAN_FUTEX_SHARED);
}

static void yield_for_ever(void)
{
	for (;;) {
		sched_yield();
		shared->last = 1;
	}
}

static double yield_switch(void)
{
	struct meter m = { .batch = 250 };
	pid_t pid = child(yield_for_ever);
	bool enough = false;

	while (!enough) {
		sched_yield();
		if (shared->last)	/* the other has run in between */
			enough = meter_tick(&m);
		shared->last = 0;
	}
	end(pid);
	return meter_median(&m) / 2;
}

static void nothing(void)
{
}

static double fork_exit(void)
{
	struct meter m = { .batch = 20 };

	while (!meter_tick(&m))
		if (waitpid(child(nothing), NULL, 0) < 0)
			fail("waitpid: %s", strerror(errno));
	return meter_median(&m);
}

static double system_call(void)
{
	struct meter m = { .batch = 2000 };

	while (!meter_tick(&m))
		syscall(SYS_getppid);
	return meter_median(&m);
}

static double (*const what[])(void) = {
	pipe_switch, futex_switch, yield_switch, fork_exit, system_call
};

static void other(const struct bench_case *c)
{
	pid_t umcg = 0;
	double ticks_per_op;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	if (c->needs_umcg) {
		chan_open(&ready, CHAN_PIPE);
		umcg = child(umcg_process);
		for (int i = 0; i < 3; i++)
			chan_recv(&ready);
	}
	ticks_per_op = what[c->arg[0]]();
	if (umcg)
		end(umcg);
	report(c, "ticks", ticks_per_op);
}

const struct bench_case other_cases[] = {
	{ .name = "other.pipe.alone", .run = other, .arg = { 0 } },
	{ .name = "other.pipe.beside_umcg", .run = other, .arg = { 0 }, .needs_umcg = true },
	{ .name = "other.futex.alone", .run = other, .arg = { 1 } },
	{ .name = "other.futex.beside_umcg", .run = other, .arg = { 1 }, .needs_umcg = true },
	{ .name = "other.yield.alone", .run = other, .arg = { 2 } },
	{ .name = "other.yield.beside_umcg", .run = other, .arg = { 2 }, .needs_umcg = true },
	{ .name = "other.fork_exit.alone", .run = other, .arg = { 3 } },
	{ .name = "other.fork_exit.beside_umcg", .run = other, .arg = { 3 }, .needs_umcg = true },
	{ .name = "other.getppid.alone", .run = other, .arg = { 4 } },
	{ .name = "other.getppid.beside_umcg", .run = other, .arg = { 4 }, .needs_umcg = true },
	{ 0 },
};
