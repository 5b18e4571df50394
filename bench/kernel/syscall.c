// SPDX-License-Identifier: MIT
/* System calls that do not block: nobody may pay for UMCG. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chan.h"
#include "fifo.h"

static struct meter meter = { .batch = 250 };

static void getppid_calls(void)
{
	while (!meter_tick(&meter))
		syscall(SYS_getppid);
}

static void read_calls(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char byte;

	if (fd < 0)
		fail("/dev/null: %s", strerror(errno));
	while (!meter_tick(&meter))
		if (read(fd, &byte, 1))
			fail("read from /dev/null: not its end");
}

static void futex_wake_calls(void)
{
	uint32_t word = 0;

	while (!meter_tick(&meter))
		futex_wake(&word, 0);
}

static void (*const calls[])(void) = { getppid_calls, read_calls, futex_wake_calls };

static void as_worker(struct fifo_worker *self)
{
	(*(void (*const *)(void))self->arg)();
}

static void *as_thread(void *call)
{
	(*(void (*const *)(void))call)();
	return NULL;
}

static void *as_server(void *call)
{
	struct umcg_task *self = umcg_task_alloc();

	if (!self)
		fail("out of memory");
	must(umcg_register(self, UMCG_REG_SERVER), "umcg_register of a server");
	(*(void (*const *)(void))call)();
	must(umcg_unregister(self), "umcg_unregister of a server");
	umcg_task_free(self);
	return NULL;
}

enum { THREAD, SERVER, WORKER };

static void measure(const struct bench_case *c)
{
	void (*const *call)(void) = &calls[c->arg[0]];

	if (c->arg[1] == WORKER) {
		struct fifo *f = fifo_new(0);

		fifo_add(f, as_worker, (void *)call);
		fifo_start(f);
		fifo_join(f);
	} else {
		/* a thread among others, as the worker is: libc and fdget() do less for a lone one */
		join(start(c->arg[1] == SERVER ? as_server : as_thread, (void *)call));
	}
	report(c, "ticks", meter_median(&meter));
}

#define ALL(call, nr) \
	{ .name = "syscall." call ".plain", .run = measure, .arg = { nr, THREAD } }, \
	{ .name = "syscall." call ".server", .run = measure, .arg = { nr, SERVER }, .needs_umcg = true }, \
	{ .name = "syscall." call ".worker", .run = measure, .arg = { nr, WORKER }, .needs_umcg = true }

const struct bench_case syscall_cases[] = {
	ALL("getppid", 0),
	ALL("read", 1),
	ALL("futex_wake", 2),
	{ 0 },
};
