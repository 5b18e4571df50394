// SPDX-License-Identifier: MIT
/*
 * Who is registered: from a tid to its struct emul_thread, by a table of two
 * levels that only grows, so that a look-up takes no lock and is safe in a
 * handler. The structs are reused, never freed, and never become anything else.
 *
 * All of it is in memory that the kernel wipes in the child of a fork(): the
 * child has none of the threads and starts with an empty table. A pointer that
 * a thread has kept (emul_me) leads to zeros there.
 */
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

#define LEAF_BITS	10
#define LEAF_SIZE	(1U << LEAF_BITS)
#define CHUNK_SIZE	(64U * 1024)
#define CHUNK_THREADS	(CHUNK_SIZE / sizeof(struct emul_thread))
#define MAX_CHUNKS	(EMUL_TIDS / CHUNK_THREADS)

struct registry {
	uint32_t lock;
	uint32_t used;			/* indices given out */
	struct emul_thread *free;
	struct emul_thread **leaf[EMUL_TIDS / LEAF_SIZE];
	struct emul_thread *chunk[MAX_CHUNKS];
};

static struct registry *registry;
const struct emul_backend *emul_backend;
__thread struct emul_thread *emul_me __attribute__((tls_model("initial-exec")));

#ifdef UMCG_EMUL_POINTS
void (*emul_at_point)(enum emul_point point);
#endif

static void *map(size_t size)
{
	void *p = (void *)sys6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if ((unsigned long)p > -4096UL)
		return NULL;
	if (sys6(SYS_madvise, (long)p, (long)size, MADV_WIPEONFORK, 0, 0, 0)) {
		sys6(SYS_munmap, (long)p, (long)size, 0, 0, 0, 0);
		return NULL;
	}
	return p;
}

/* A lock of three states: 0 free, 1 held, 2 held and somebody sleeps. */
static void lock_word(uint32_t *word)
{
	uint32_t old = 0;

	if (EMUL_CAS(*word, &old, 1))
		return;
	for (int i = 0; i < 100 && old != 2; i++) {
		umcg_pause_();
		old = 0;
		if (EMUL_CAS(*word, &old, 1))
			return;
	}
	while (EMUL_XCHG(*word, 2))
		sys_futex_wait(word, 2, SYS_FOREVER);
}

static void unlock_word(uint32_t *word)
{
	if (EMUL_XCHG(*word, 0) == 2)
		sys_futex_wake(word);
}

void emul_lock_(struct emul_thread *s)
{
	lock_word(&s->lock);
}

void emul_unlock_(struct emul_thread *s)
{
	unlock_word(&s->lock);
}

uint64_t emul_lock(struct emul_thread *s)
{
	uint64_t mask = emul_block_signals();

	lock_word(&s->lock);
	return mask;
}

void emul_unlock(struct emul_thread *s, uint64_t mask)
{
	unlock_word(&s->lock);
	emul_restore_signals(mask);
}

uint64_t emul_mask(void)
{
	/*
	 * Not the faults, which must not be put off, and not the signal that libc
	 * sends to all threads for setuid() and waits for: a held worker answers it.
	 */
	const uint64_t not_these = 1ULL << (SIGSEGV - 1) | 1ULL << (SIGBUS - 1) |
				   1ULL << (SIGFPE - 1) | 1ULL << (SIGILL - 1) |
				   1ULL << (SIGTRAP - 1) | 1ULL << (SIGSYS - 1) |
				   1ULL << (33 - 1);

	return ~not_these;
}

int emul_init_registry(void)
{
	registry = map(sizeof(*registry));
	return registry ? 0 : -ENOMEM;
}

static struct emul_thread **slot(uint32_t tid, bool make)
{
	struct emul_thread ***at, **leaf;

	if (tid >= EMUL_TIDS || !registry)
		return NULL;
	at = &registry->leaf[tid >> LEAF_BITS];
	leaf = EMUL_GET(*at);
	if (!leaf && make) {
		/* under the lock */
		leaf = map(LEAF_SIZE * sizeof(*leaf));
		EMUL_SET(*at, leaf);
	}
	return leaf ? &leaf[tid & (LEAF_SIZE - 1)] : NULL;
}

struct emul_thread *emul_find(uint32_t tid)
{
	struct emul_thread **at = slot(tid, false);
	struct emul_thread *t = at ? EMUL_GET(*at) : NULL;

	return t && emul_tid(emul_word(t)) == tid ? t : NULL;
}

struct emul_thread *emul_self(void)
{
	struct emul_thread *t = emul_me;

	return t && emul_tid(emul_word(t)) ? t : NULL;
}

struct emul_thread *emul_by_index(uint32_t index)
{
	struct emul_thread *chunk;

	if (!registry || index / CHUNK_THREADS >= MAX_CHUNKS)
		return NULL;
	chunk = EMUL_GET(registry->chunk[index / CHUNK_THREADS]);
	return chunk ? &chunk[index % CHUNK_THREADS] : NULL;
}

static struct emul_thread *fresh(void)
{
	uint32_t index = registry->used;
	struct emul_thread *t, *chunk;

	if (index / CHUNK_THREADS >= MAX_CHUNKS)
		return NULL;
	t = emul_by_index(index);
	if (!t) {
		chunk = map(CHUNK_SIZE);
		if (!chunk)
			return NULL;
		EMUL_SET(registry->chunk[index / CHUNK_THREADS], chunk);
		t = &chunk[index % CHUNK_THREADS];
	}
	registry->used = index + 1;
	t->index = index;
	return t;
}

struct emul_thread *emul_alloc(void)
{
	struct emul_thread *t;

	lock_word(&registry->lock);
	t = registry->free;
	if (t)
		registry->free = t->next_free;
	else
		t = fresh();
	unlock_word(&registry->lock);
	if (!t)
		return NULL;
	/* not the lock: somebody who came too late may hold it for a moment */
	t->next_free = NULL;
	t->running = NULL;
	EMUL_SET(t->preempt, 0);
	EMUL_SET(t->server, 0);
	t->waiting = &t->own_waiting;
	EMUL_SET(*t->waiting, 0);
	EMUL_SET(t->idle, false);
	t->nested = t->listed = 0;
	t->expired = t->missed = false;
	memset(t->priv, 0, sizeof(t->priv));
	return t;
}

int emul_publish(struct emul_thread *t)
{
	struct emul_thread **at;

	lock_word(&registry->lock);
	at = slot(emul_tid(emul_word(t)), true);
	if (at)
		EMUL_SET(*at, t);
	unlock_word(&registry->lock);
	return at ? 0 : -ENOMEM;
}

void emul_unpublish(struct emul_thread *t)
{
	struct emul_thread **at = slot(emul_tid(emul_word(t)), false);
	struct emul_thread *old = t;

	if (at)
		EMUL_CAS(*at, &old, NULL);
}

void emul_free(struct emul_thread *t)
{
	/* whoever still holds it finds that it is nobody's */
	EMUL_SET(t->word, 0);
	lock_word(&registry->lock);
	t->next_free = registry->free;
	registry->free = t;
	unlock_word(&registry->lock);
}
