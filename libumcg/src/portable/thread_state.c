// SPDX-License-Identifier: MIT
/* What a thread of this process does, as /proc knows it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../emul/sys.h"
#include "portable.h"

/* "1234 (any name) S 1 ...": the letter, 0 if this is no such line of @tid. */
static char parse(const char *line, uint32_t tid)
{
	char *end;
	const char *name_end;

	if (strtoul(line, &end, 10) != tid || end[0] != ' ' || end[1] != '(')
		return 0;
	/* a name may hold anything, what follows has no bracket */
	name_end = strrchr(end, ')');
	return name_end && name_end[1] == ' ' ? name_end[2] : 0;
}

static char look(int fd, uint32_t tid)
{
	char line[256];		/* a name has 15 bytes */
	long n = sys6(SYS_pread64, fd, (long)line, sizeof(line) - 1, 0, 0, 0);

	if (n == -ESRCH)
		return 'X';
	if (n <= 0)
		return 0;
	line[n] = '\0';
	return parse(line, tid);
}

char portable_thread_state(uint32_t tid, int32_t *fd, uint32_t *of)
{
	char path[64], state = 0;

	if (*fd >= 0 && *of == tid)
		state = look(*fd, tid);
	if (state)
		return state;
	/*
	 * Another thread's; or a program that closes all descriptors has closed
	 * ours, and perhaps has opened its own in that place: leave that alone.
	 */
	if (*fd >= 0 && *of != tid && look(*fd, *of))
		sys6(SYS_close, *fd, 0, 0, 0, 0, 0);
	snprintf(path, sizeof(path), "/proc/self/task/%u/stat", (unsigned int)tid);
	*fd = (int32_t)sys6(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	*of = tid;
	if (*fd == -ENOENT)
		return 'X';
	return *fd < 0 ? 0 : look(*fd, tid);
}
