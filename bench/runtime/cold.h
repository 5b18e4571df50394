/* SPDX-License-Identifier: MIT */
/*
 * A file on a disk of which nothing is in memory: each page of it is read once.
 * Plain C, since the Go program includes it as well.
 */
#ifndef BENCH_RUNTIME_COLD_H
#define BENCH_RUNTIME_COLD_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLD_PAGE 4096
#define COLD_PAGES 16384 /* a power of two */
#define COLD_TASKS 64

/* Its descriptor, or -1 with errno. It has no name, and is gone with the process. */
static inline int cold_open(void)
{
	static char block[1 << 20];
	char name[] = "/var/tmp/bench-cold-XXXXXX";
	const int fd = mkostemp(name, O_CLOEXEC);
	size_t i;

	if (fd < 0)
		return -1;
	unlink(name);
	memset(block, 'c', sizeof(block));
	for (i = 0; i < (size_t)COLD_PAGES * COLD_PAGE / sizeof(block); i++)
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			return -1;
	/* only what is on the disk can be forgotten; no page is read ahead */
	if (fdatasync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) ||
	    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		return -1;
	return fd;
}

/* Of the i-th read of a task that makes `each` of them: another page for each, and far from the last. */
static inline long cold_offset(long task, long each, long i)
{
	return (task * each + i) * 7919 % COLD_PAGES * COLD_PAGE;
}

/* The most reads of a task. */
#define COLD_MOST (COLD_PAGES / COLD_TASKS)

#endif
