// SPDX-License-Identifier: MIT
/*
 * Memory for struct umcg_task. A registered task pins its page and is charged
 * for it, so tasks are packed: the lowest free place of the oldest chunk first.
 *
 * A chunk is CHUNK_PAGES pages, aligned to its own size, so that a task leads
 * to its chunk. The first page holds the bitmaps, the others nothing but tasks:
 *
 *	| free[] | 64 tasks | 64 tasks | ...
 *
 * The pages of tasks are MADV_WIPEONFORK: the child of a fork() has none of
 * the registered threads and finds every task zeroed (state NONE), while the
 * bitmaps, copied, still say which tasks the program holds.
 *
 * Chunks are never unmapped. Ten thousand tasks are 640 KB, and whoever looks
 * at a task too late finds a task and not somebody else's data.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"

#define CHUNK_PAGES	16
#define TASKS_PER_WORD	64

struct chunk {
	struct chunk *next;
	size_t words;		/* of free[]; word i is for tasks 64 * i and up */
	uint64_t free[];	/* a set bit: free */
};

_Static_assert(sizeof(struct umcg_task) == 64, "the ABI says 64 bytes");

/* Under umcg_lock(). */
static struct chunk *chunks;
static struct chunk **last = &chunks;

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static struct umcg_task *first_task(struct chunk *chunk)
{
	return (struct umcg_task *)((char *)chunk + page_size());
}

/* mmap() with an alignment: ask for twice as much and cut both ends off. */
static void *map_aligned(size_t size)
{
	char *raw = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t head;

	if (raw == MAP_FAILED)
		return NULL;
	head = -(uintptr_t)raw & (size - 1);
	if (head)
		munmap(raw, head);
	munmap(raw + head + size, size - head);
	return raw + head;
}

static struct chunk *add_chunk(void)
{
	size_t page = page_size();
	size_t size = CHUNK_PAGES * page;
	struct chunk *chunk = map_aligned(size);

	if (!chunk)
		return NULL;
	/* A kernel that refuses the advice only loses what the advice gives. */
	(void)madvise(first_task(chunk), size - page, MADV_WIPEONFORK);
	/* One task must not cost a large folio. */
	(void)madvise(first_task(chunk), size - page, MADV_NOHUGEPAGE);

	chunk->words = (size - page) / (TASKS_PER_WORD * sizeof(struct umcg_task));
	memset(chunk->free, 0xff, chunk->words * sizeof(chunk->free[0]));
	/* pairs with umcg_task_is_ours(), which takes no lock */
	__atomic_store_n(last, chunk, __ATOMIC_RELEASE);
	last = &chunk->next;
	return chunk;
}

static struct umcg_task *take_from(struct chunk *chunk)
{
	for (size_t i = 0; i < chunk->words; i++) {
		if (chunk->free[i]) {
			int bit = __builtin_ctzll(chunk->free[i]);

			chunk->free[i] &= chunk->free[i] - 1;
			return first_task(chunk) + i * TASKS_PER_WORD + bit;
		}
	}
	return NULL;
}

struct umcg_task *umcg_task_alloc(void)
{
	struct umcg_task *task = NULL;
	int saved = errno;

	umcg_lock();
	for (struct chunk *c = chunks; c && !task; c = c->next)
		task = take_from(c);
	if (!task) {
		struct chunk *c = add_chunk();

		task = c ? take_from(c) : NULL;
	}
	umcg_unlock();
	errno = saved;
	if (task)
		memset(task, 0, sizeof(*task));
	return task;
}

bool umcg_task_is_ours(const struct umcg_task *task)
{
	uintptr_t base = (uintptr_t)task & ~(CHUNK_PAGES * page_size() - 1);
	const struct chunk *c = __atomic_load_n(&chunks, __ATOMIC_ACQUIRE);

	while (c && (uintptr_t)c != base)
		c = __atomic_load_n(&c->next, __ATOMIC_ACQUIRE);
	return c && (uintptr_t)task >= base + page_size();
}

void umcg_task_free(struct umcg_task *task)
{
	uintptr_t mask = CHUNK_PAGES * page_size() - 1;
	struct chunk *chunk = (struct chunk *)((uintptr_t)task & ~mask);
	size_t n;

	if (!task)
		return;
	n = (size_t)(task - first_task(chunk));
	umcg_lock();
	chunk->free[n / TASKS_PER_WORD] |= 1ULL << n % TASKS_PER_WORD;
	umcg_unlock();
}
