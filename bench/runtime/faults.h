/* SPDX-License-Identifier: MIT */
/*
 * Pages that take a while to come: each first touch waits until a plain thread
 * of ours has let so much time pass and fills the page in. Plain C, since the Go
 * program includes it as well.
 */
#ifndef BENCH_RUNTIME_FAULTS_H
#define BENCH_RUNTIME_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FAULT_PAGE 4096

struct late_pages {
	int fd;
	char *memory;
	long count, delay_ns;
	pthread_t thread;
};

static inline int64_t late_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* All delays are alike, so the pages fall due in the order in which they were asked for. */
static void *late_serve(void *arg)
{
	struct late_pages *p = (struct late_pages *)arg;
	struct due { uint64_t page; int64_t when; } *queue =
		(struct due *)calloc((size_t)p->count, sizeof(*queue));
	long first = 0, last = 0;

	while (queue && first < p->count) {
		struct pollfd in = { p->fd, POLLIN, 0 };
		struct timespec wait = { 0, 0 };
		int64_t left = first < last ? queue[first].when - late_now() : 0;
		struct uffd_msg m;

		wait.tv_nsec = left > 0 ? (long)left : 0;
		ppoll(&in, 1, first < last ? &wait : NULL, NULL);
		while (last < p->count && read(p->fd, &m, sizeof(m)) == sizeof(m)) {
			queue[last].page = m.arg.pagefault.address & ~(uint64_t)(FAULT_PAGE - 1);
			queue[last++].when = late_now() + p->delay_ns;
		}
		for (; first < last && queue[first].when <= late_now(); first++) {
			struct uffdio_zeropage zero;

			memset(&zero, 0, sizeof(zero));
			zero.range.start = queue[first].page;
			zero.range.len = FAULT_PAGE;
			if (ioctl(p->fd, UFFDIO_ZEROPAGE, &zero) && errno != EEXIST)
				abort();
		}
	}
	free(queue);
	return NULL;
}

/* -1 with errno: this kernel, or its settings, have no userfaultfd for us. */
static inline int late_pages_init(struct late_pages *p, long count, long delay_ns)
{
	struct uffdio_register reg;
	struct uffdio_api api;

	memset(&api, 0, sizeof(api));
	memset(&reg, 0, sizeof(reg));
	api.api = UFFD_API;
	p->count = count;
	p->delay_ns = delay_ns;
	p->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (p->fd < 0)
		return -1;
	p->memory = (char *)mmap(NULL, (size_t)count * FAULT_PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uint64_t)(uintptr_t)p->memory;
	reg.range.len = (uint64_t)count * FAULT_PAGE;
	reg.mode = UFFDIO_REGISTER_MODE_MISSING;
	if (p->memory == MAP_FAILED || ioctl(p->fd, UFFDIO_API, &api) ||
	    ioctl(p->fd, UFFDIO_REGISTER, &reg))
		return -1;
	return pthread_create(&p->thread, NULL, late_serve, p) ? -1 : 0;
}

/* After the last page was touched. */
static inline void late_pages_end(struct late_pages *p)
{
	pthread_join(p->thread, NULL);
	munmap(p->memory, (size_t)p->count * FAULT_PAGE);
	close(p->fd);
}

#endif
