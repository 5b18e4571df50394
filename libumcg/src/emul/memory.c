// SPDX-License-Identifier: MIT
/*
 * What the kernel would refuse to pin is refused here, too, though a futex could
 * live there: programs that run on one backend run on all.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../backend.h"
#include "internal.h"

/*
 * PROCMAP_QUERY of Linux 6.11, asked by an address; the headers here may be
 * older. Neither the number of mappings nor their size matters to it.
 */
struct map_query {
	uint64_t size;
	uint64_t flags;
	uint64_t addr;
	uint64_t from, to;
	uint64_t vma_flags;
	uint64_t page_size;
	uint64_t offset, inode;
	uint32_t major, minor, name_size, build_id_size;
	uint64_t name, build_id;
};
#define MAP_QUERY		_IOWR('f', 17, struct map_query)
#define MAP_QUERY_SHARED	0x08

static int judge(bool shared, uint64_t mapping_page)
{
	return shared || mapping_page > (uint64_t)sysconf(_SC_PAGESIZE) ? -EOPNOTSUPP : 0;
}

static bool query(FILE *maps, uintptr_t addr, int *verdict)
{
	struct map_query q = { .size = sizeof(q), .addr = addr };

	if (ioctl(fileno(maps), MAP_QUERY, &q))
		return false;
	*verdict = judge(q.vma_flags & MAP_QUERY_SHARED, q.page_size);
	return true;
}

/* smaps: it walks the page tables of all that is mapped before, too. */
static int judge_pages(uintptr_t addr)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[512], perms[5];
	unsigned long from, to, page;
	bool inside = false;
	int verdict = 0;

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) == 3) {
			if (inside)
				break;
			inside = addr >= from && addr < to;
		} else if (inside && sscanf(line, "KernelPageSize: %lu kB", &page) == 1) {
			verdict = judge(false, page * 1024);
			break;
		}
	}
	if (maps)
		fclose(maps);
	return verdict;
}

/* A line of /proc/self/maps: 7f00-7f10 rw-s 0 00:01 5 /dev/zero */
static int read_maps(FILE *maps, uintptr_t addr)
{
	char line[512], perms[5];
	unsigned long from, to, inode;

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu", &from, &to, perms, &inode) != 4)
			continue;
		if (addr < from || addr >= to)
			continue;
		if (perms[3] == 's')
			return judge(true, 0);
		/* large pages are a file's, if need be one without a name */
		return inode ? judge_pages(addr) : 0;
	}
	return 0;
}

int emul_check_mapping(uintptr_t addr)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int verdict = 0;

	if (!maps)
		return 0;
	if (!query(maps, addr, &verdict))
		verdict = read_maps(maps, addr);
	fclose(maps);
	return verdict;
}

int emul_check_memory(struct umcg_task *task)
{
	/* writes to where there must be 0, or fails where nobody may write */
	uintptr_t zero = (uintptr_t)task + offsetof(struct umcg_task, reserved);
	int err = (int)sys6(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)zero, sizeof(uint64_t), 0, 0);
	int saved = errno;

	if (err)
		return err;
	__atomic_store_n(&task->reserved, 0, __ATOMIC_RELAXED);
	if (umcg_task_is_ours(task))
		return 0;
	err = emul_check_mapping((uintptr_t)task);
	errno = saved;
	return err;
}
