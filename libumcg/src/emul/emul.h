/* SPDX-License-Identifier: MIT */
/*
 * The four calls in user space, on futexes: what the kernel of the patch series
 * does, for kernels that do not. A backend on top of it adds what only it knows,
 * namely when a worker is stopped in the kernel and when it comes back:
 *
 *	emul_block(w)		any thread: w is stopped in the kernel
 *	emul_return(self)	w itself: it is back; held here until picked
 *	emul_preempt(w)		any thread: w shall stop
 *
 * Everything else (states, lists, hand-over, successors, slices, exit, fork) is
 * in here; internal.h has the state machine and the barriers.
 */
#ifndef UMCG_SRC_EMUL_EMUL_H
#define UMCG_SRC_EMUL_EMUL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <umcg/umcg.h>

#pragma GCC visibility push(hidden)

/*
 * What a thread is and who may change it; the low byte of emul_thread::word.
 * User memory (struct umcg_task) is a display and never decides.
 */
enum emul_phase {
	EMUL_FREE,	/* belongs to no thread */
	EMUL_SERVER,
	EMUL_RUNNING,	/* worker in its own code: may be reported */
	EMUL_INSIDE,	/* worker runs in the library: nobody else changes it */
	EMUL_BLOCKING,	/* somebody is reporting it BLOCKED */
	EMUL_BLOCKED,	/* reported; only itself changes that */
	EMUL_RUNNABLE,	/* held; may be claimed */
	EMUL_CLAIMED,	/* its claimer is about to run it */
	EMUL_DEAD,	/* its end is being reported */
};
#define EMUL_PHASE	0x7fU
#define EMUL_AWAITED	0x80U	/* with BLOCKING: the worker sleeps until it is BLOCKED */
#define EMUL_COUNT	0x100U	/* bits 8..31 count its stays in the library */

/*
 * One per registered thread. Memory of this type stays so for ever: whoever has
 * found one may look at it at any time, and sees by the tid in its word whether
 * it still belongs to the same thread. Zeroed in the child of a fork().
 */
struct emul_thread {
	uint64_t word;		/* tid << 32 | count | phase; low half: the worker's futex */
	struct umcg_task *task;	/* shared with the program */
	uint32_t index;		/* small, dense; of this memory, not of the thread */
	/* worker */
	uint32_t preempt;	/* it is asked to stop */
	uint32_t server;	/* tid of who dispatched it; the claimer writes it */
	uint32_t nested;	/* own: umcg_blocking_begin() without its end */
	uint32_t listed;	/* tid of the server on whose blocked list it was put last */
	/* server: all under lock, but the reads of waiting (futex) and idle */
	uint32_t lock;
	uint32_t own_waiting;
	/*
	 * In umcg_wait(): 1, or whatever else than 0 the backend makes of it. The
	 * futex it sleeps on; attach() may point it to memory of the backend.
	 */
	uint32_t *waiting;
	struct emul_thread *running;
	bool idle;		/* waits, and no worker runs */
	bool expired;		/* slice over: whoever runs has to stop */
	bool missed;		/* was to be woken when it did not wait */

	struct emul_thread *next_free;
	uint64_t priv[8];	/* the backend's own, zero at attach() */
} __attribute__((aligned(64)));

/* What a backend gives to the emulation. Any may be NULL. */
struct emul_backend {
	/*
	 * A thread registers, before anybody can find it; in its own context.
	 * An error (-errno) is umcg_register()'s.
	 */
	int (*attach)(struct emul_thread *t, bool worker);
	/*
	 * It is registered no more, and not found any more. In its own context,
	 * or, when it died unseen, in somebody else's.
	 */
	void (*detach)(struct emul_thread *t, bool worker);
	/* Under @s->lock: @s->running has become another worker, or the same anew. */
	void (*ran)(struct emul_thread *s);
	/*
	 * @w->preempt was set while it ran in its own code: make it call
	 * emul_return(). @s: its server, locked; NULL: it has none.
	 */
	void (*poke)(struct emul_thread *w, struct emul_thread *s);
	/*
	 * The caller is a server about to wait, without locks: report what is known of
	 * workers by now. A wait that finds news does not get as far as to sleep, and a
	 * server may make many such in a row.
	 */
	void (*look)(void);
	/*
	 * The server @s, the caller, sleeps while *@s->waiting is 1, at most until
	 * @until (ns). Without locks, signals as the program has them. Returns what
	 * the futex call would; 0 may be too early. It may report workers, and so
	 * end the wait itself. NULL: the futex call.
	 */
	int (*sleep)(struct emul_thread *s, uint64_t until);
	/* The wait is over; last thing before the server goes on. */
	void (*awake)(struct emul_thread *s);
};

/* Once, before the first registration. 0 or -errno. */
int emul_start(const struct emul_backend *backend);

/* The four calls and the markers, for the table of a backend. */
int emul_register(struct umcg_task *self, uint32_t flags);
int emul_unregister(struct umcg_task *self);
int emul_wait(uint32_t flags, uint64_t abs_timeout_ns);
int emul_kick(uint32_t flags, pid_t tid);
int emul_blocking_begin(void);
int emul_blocking_end(void);
int emul_checkpoint(void);

/* This thread's, NULL if it is not registered. Async-signal-safe. */
struct emul_thread *emul_self(void);
/*
 * The registered thread @tid, NULL if there is none. Lock-free and
 * async-signal-safe. It may be gone, or somebody else's, as soon as it was
 * found: emul_tid() tells.
 */
struct emul_thread *emul_find(uint32_t tid);
/* Its memory, whosever it is now; NULL: never used. Lock-free as well. */
struct emul_thread *emul_by_index(uint32_t index);

static inline uint64_t emul_word(const struct emul_thread *t)
{
	return __atomic_load_n(&t->word, __ATOMIC_SEQ_CST);
}

static inline uint32_t emul_tid(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline enum emul_phase emul_phase(uint64_t word)
{
	return (enum emul_phase)(word & EMUL_PHASE);
}

/*
 * @w is known to be stopped in the kernel: RUNNING -> BLOCKED, on its
 * dispatcher's blocked list; then the successor runs in its place, or the server
 * is woken. True: this call has reported it. False: nothing to report, since it
 * was reported already, is back, is in the library, or has UMCG_UF_LOCKED set.
 *
 * emul_block_if() for events that may be late: only while @w has not been in the
 * library since its word was @seen. emul_block() takes the word of now.
 *
 * Masks signals and takes locks: any thread, also a server or worker in a call
 * to the backend, but no signal handler.
 */
bool emul_block(struct emul_thread *w);
bool emul_block_if(struct emul_thread *w, uint64_t seen);

/*
 * In the worker's own context, at a point where it may be held: if it was
 * reported BLOCKED it becomes RUNNABLE, is queued (or takes its idle server's
 * place) and is held until picked; if it is asked to stop it does so, as
 * PREEMPTED. Else nothing. Async-signal-safe in a handler that was installed
 * with all of emul_mask() in its sa_mask; returns at once, with the matter left
 * to the end of the call, if it has interrupted the library.
 */
void emul_return(struct emul_thread *self);

/*
 * Ask @w to stop: 0, or -EAGAIN if it does not run. From then on it stops when it
 * leaves the library or calls emul_return(), whatever the backend does.
 */
int emul_preempt(struct emul_thread *w);

/*
 * The thread of @w has ended without telling: it is reported EXITED. @seen as
 * above; false: it was not to be told any more.
 */
bool emul_exited_if(struct emul_thread *w, uint64_t seen);

/* Signals that are blocked in the library: all but faults and libc's own setxid. */
uint64_t emul_mask(void);

/* The lock of a server, for what a backend keeps under it. Signals are masked. */
uint64_t emul_lock(struct emul_thread *s);		/* returns the mask to restore */
void emul_unlock(struct emul_thread *s, uint64_t mask);

#pragma GCC visibility pop

#endif /* UMCG_SRC_EMUL_EMUL_H */
