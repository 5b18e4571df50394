// SPDX-License-Identifier: MIT
/*
 * What the kernel would refuse to pin is refused here, too, though a futex could
 * live there: programs that run on one backend run on all.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../backend.h"
#include "internal.h"

/* One line of /proc/self/smaps: 0x7f00-0x7f10 rw-s 0 00:01 5 /dev/zero */
static int judge(FILE *maps, uintptr_t addr)
{
	char line[512], perms[5];
	unsigned long from, to, page;
	bool inside = false;

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) == 3) {
			if (inside)
				return 0;
			inside = addr >= from && addr < to;
			if (inside && perms[3] == 's')
				return -EOPNOTSUPP;
		} else if (inside && sscanf(line, "KernelPageSize: %lu kB", &page) == 1) {
			return page * 1024 > (unsigned long)sysconf(_SC_PAGESIZE) ?
			       -EOPNOTSUPP : 0;
		}
	}
	return 0;
}

int emul_check_memory(struct umcg_task *task)
{
	/* writes to where there must be 0, or fails where nobody may write */
	uintptr_t zero = (uintptr_t)task + offsetof(struct umcg_task, reserved);
	int err = (int)sys6(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)zero, sizeof(uint64_t), 0, 0);
	int saved = errno;
	FILE *maps;

	if (err)
		return err;
	__atomic_store_n(&task->reserved, 0, __ATOMIC_RELAXED);
	if (umcg_task_is_ours(task))
		return 0;
	maps = fopen("/proc/self/smaps", "re");
	err = maps ? judge(maps, (uintptr_t)task) : 0;
	if (maps)
		fclose(maps);
	errno = saved;
	return err;
}
