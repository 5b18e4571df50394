/* SPDX-License-Identifier: MIT */
/*
 * libumcg: user-managed concurrency groups.
 *
 * A *server* thread owns one CPU's worth of execution and decides which
 * *worker* thread runs there. When the worker blocks in the kernel the
 * server is told at once; when the worker's call has finished the worker is
 * held, before its next user instruction, until a server picks it.
 *
 *	server                              worker
 *	umcg_register(self, SERVER)         self->server_tid = server's tid
 *	                                    umcg_register(self, WORKER)  // returns when picked
 *	loop:                               ...plain blocking code...
 *	    umcg_take(self, &news)          umcg_unregister(self)
 *	    choose a worker w
 *	    self->next_tid = w->tid
 *	    umcg_wait(0, 0)
 *
 * Every function returns 0 or a negative errno value and leaves errno alone.
 * A failed call changes nothing. Times are absolute CLOCK_MONOTONIC
 * nanoseconds, 0 for none. struct umcg_task and the constants: <umcg/abi.h>.
 */
#ifndef UMCG_UMCG_H
#define UMCG_UMCG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <umcg/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Which mechanism ---------------------------------------------------- */

enum umcg_backend {
	UMCG_BACKEND_AUTO = 0,	/* $UMCG_BACKEND if set, else the best that works */
	UMCG_BACKEND_KERNEL,	/* patched kernel */
	UMCG_BACKEND_BPF,	/* stock kernel with eBPF */
	UMCG_BACKEND_PORTABLE,	/* stock kernel, no privilege; its limits: umcg(7) */
};

struct umcg_options {
	size_t size;			/* sizeof(struct umcg_options), for later versions */
	enum umcg_backend backend;
	uint32_t reserved;		/* 0 */
};

/*
 * Choose and start a backend for this process; NULL for the defaults. Thread
 * safe; a second call succeeds if it asks for the same backend or for AUTO,
 * else -EBUSY. The four calls below do it themselves with the defaults when it
 * was left out, and return its error if it fails.
 * -ENOTSUP: the backend does not work here, umcg_backend_probe() says why.
 * -EINVAL: unknown backend in @opts or in $UMCG_BACKEND (which is not read when
 * @opts names a backend, nor in a setuid program), a bad size, or a byte of
 * @opts that this version does not know is not 0.
 * Blocks for as long as a few system calls take. A child of fork() keeps the
 * choice; none of its threads is registered.
 */
int umcg_init(const struct umcg_options *opts);

/* "kernel", "bpf", "portable"; NULL before umcg_init() has succeeded. Never blocks. */
const char *umcg_backend_name(void);

/* What the backend in use promises, UMCG_CAP_*; 0 before umcg_init(). Never blocks. */
#define UMCG_CAP_BLOCK_EVENTS	0x01U	/* a block is reported at once */
#define UMCG_CAP_HOLD		0x02U	/* a returning worker runs no user instruction before it is picked */
#define UMCG_CAP_PREEMPT	0x04U	/* a running worker can be stopped at any instruction */
#define UMCG_CAP_FAULT_EVENTS	0x08U	/* page faults that wait are blocks like any other */
#define UMCG_CAP_ONE_RUNNING	0x10U	/* never two workers of a server in user space */
#define UMCG_CAP_WATCHED	0x20U	/* a monitor reports a block: 100 us after the worker was run, or 1 ms; umcg(7) */
#define UMCG_CAP_HOLD_AT_CALL	0x40U	/* a returning worker runs on until it calls this library */
#define UMCG_CAP_BY_SIGNAL	0x80U	/* workers are stopped by a signal: one that masks it is not */
uint32_t umcg_capabilities(void);

/*
 * Write, as lines of text for people, what this machine can do and, for each
 * backend that it cannot, why not and how to get it. At most @len bytes, the
 * terminating NUL included. Returns the length of the whole text, like
 * snprintf(). @buf may be NULL if @len is 0. Needs no umcg_init().
 */
size_t umcg_backend_probe(char *buf, size_t len);

/* ---- struct umcg_task --------------------------------------------------- */

/*
 * A zeroed struct umcg_task in memory that can be registered; 64 of them share
 * a page (of 4096 bytes), and so one page of RLIMIT_MEMLOCK. NULL when memory is
 * short. Never returned to the system: a late look at a freed task finds a task.
 * A child of fork() finds all its tasks zeroed, allocated as before.
 * umcg_task_free(): only for a worker that has exited (umcg_exited()), or for a
 * task that has unregistered and is on no list (umcg_task_unlinked()). One whose
 * thread ended as a server: only when its tid is 0, which may be a while after
 * the thread was joined. NULL is ignored. Both thread safe; they take a mutex.
 */
struct umcg_task *umcg_task_alloc(void);
void umcg_task_free(struct umcg_task *task);

/* ---- The four calls ----------------------------------------------------- */

/*
 * Make the calling thread a server (UMCG_REG_SERVER) or a worker
 * (UMCG_REG_WORKER). A worker is put on the runnable list of server_tid (of
 * nobody if that is 0) and the call returns when it is first picked.
 * -EINVAL: @flags, or @self is not 64-byte aligned. -EBUSY: registered already.
 * -ESRCH: server_tid is no server of this process. -EFAULT: @self is not
 * writable memory. -EOPNOTSUPP: @self is not anonymous memory (a file, shared
 * memory, a huge page). -ENOMEM: RLIMIT_MEMLOCK, or no memory. -EPERM: sysctl
 * kernel.umcg_disabled, or a seccomp filter. -ENOTSUP: no backend works here;
 * the number is EOPNOTSUPP's, umcg_backend_name() tells them apart.
 */
int umcg_register(struct umcg_task *self, uint32_t flags);

/*
 * The calling thread becomes an ordinary one. -EINVAL: it is not registered
 * with @self. A worker's server is woken; nothing is put on its lists.
 */
int umcg_unregister(struct umcg_task *self);

/*
 * On a server: run the worker in self->next_tid, or wait if that is 0. While a
 * worker of this server still runs, next_tid is its successor and the call
 * waits. Returns
 *   0           there is news: a worker blocked, returned, yielded or exited, or
 *               somebody kicked. next_tid is 0 if it was consumed.
 *   -EAGAIN     at once: a list is not empty, a kick came before the call, or
 *               next_tid is not RUNNABLE or was taken away meanwhile. (It shows
 *               RUNNABLE a moment before it can be run; on a list it can.)
 *   -ESRCH      next_tid is no worker of this process.
 *   -ETIMEDOUT  the time has come; with UMCG_WAIT_PREEMPT the call instead stops
 *               the running worker and returns 0 when it has stopped, and
 *               -ETIMEDOUT only if none was running.
 *   -EINTR      a signal handler has run.
 *   -EINVAL     flags, or a timeout above INT64_MAX.
 * After any error self->state is RUNNING; after -EAGAIN, -ESRCH and -EINVAL
 * next_tid is as it was.
 *
 * On a worker: hand the CPU to the worker in self->next_tid, or to the server
 * if that is 0, and return 0 when picked again. UMCG_WAIT_ENQUEUE: be on the
 * home server's runnable list meanwhile (yield). -EAGAIN, -ESRCH as above;
 * -EINVAL: a timeout, or UMCG_WAIT_PREEMPT.
 *
 * On an unregistered thread: -ESRCH. Blocks.
 */
int umcg_wait(uint32_t flags, uint64_t abs_timeout_ns);

/*
 * @tid a worker: ask it to stop and go to its server's runnable list as
 * PREEMPTED (or to have PREEMPT_PENDING set if it is LOCKED). -EAGAIN: it is
 * not RUNNING.
 * @tid a server: wake it; if it does not wait, its next umcg_wait() returns
 * -EAGAIN at once, so that kick and wait commute.
 * -ESRCH: no registered task of this process. -EINVAL: @flags is not 0.
 * Any thread of the process may call it. Never blocks.
 */
int umcg_kick(uint32_t flags, pid_t tid);

/*
 * A worker says that what it does from here to the matching umcg_blocking_end()
 * is likely to wait in the kernel. It becomes BLOCKED at once, and at the end
 * RUNNABLE, to go on when picked. For backends without UMCG_CAP_BLOCK_EVENTS,
 * which would notice only later; with it they do nothing and return 0. Pairs
 * nest, the outermost counts. A worker with UMCG_UF_LOCKED set, a server or any
 * other thread goes on as if it had not called.
 * 0; umcg_blocking_end(): -EINVAL, there was no beginning (not found out with
 * UMCG_CAP_BLOCK_EVENTS). Not in a signal handler. Blocks until picked.
 */
int umcg_blocking_begin(void);
int umcg_blocking_end(void);

/*
 * For backends without UMCG_CAP_ONE_RUNNING, where a worker whose block was
 * reported may run on, for a moment or until it calls the library: it is held
 * here, until picked, if that is so, and no report that was decided before this
 * call comes after it. A scheduler that shares data between the workers of a
 * server sets UMCG_UF_LOCKED and then calls this before it touches them. With
 * UMCG_CAP_ONE_RUNNING, and on any other thread than a worker, it does nothing.
 * Returns 0. Blocks until picked.
 */
int umcg_checkpoint(void);

/* ---- Lists -------------------------------------------------------------- */

/*
 * Workers that the kernel has pushed on a server's lists. Take both lists at
 * once, then walk all of the blocked ones before the runnable ones, or a
 * worker's latest event may be seen before an earlier one:
 *
 *	umcg_take(self, &news);
 *	while ((w = umcg_next_blocked(&news))) ...
 *	while ((w = umcg_next_runnable(&news))) ...
 *
 * Newest first. A taken list must be walked to its end by the same thread.
 * An entry says "look at this worker": what has become of it is in w->state,
 * read after the entry was returned. RUNNABLE is reported exactly once for
 * each time the worker stops; BLOCKED entries of one worker may coalesce. One
 * taker at a time: the running worker while one runs, else the server.
 */
struct umcg_news {
	__u64 blocked;
	__u64 runnable;
};

static inline void umcg_take(struct umcg_task *server, struct umcg_news *news)
{
	/* runnable first: whoever is found there had blocked before */
	news->runnable = __atomic_exchange_n(&server->runnable_ptr, 0, __ATOMIC_SEQ_CST);
	news->blocked = __atomic_exchange_n(&server->blocked_ptr, 0, __ATOMIC_SEQ_CST);
}

/* Is there anything to take? */
static inline int umcg_has_news(const struct umcg_task *server)
{
	return __atomic_load_n(&server->runnable_ptr, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&server->blocked_ptr, __ATOMIC_ACQUIRE);
}

/* Internal: be kind to the other thread of this core while spinning. */
static inline void umcg_pause_(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield" ::: "memory");
#endif
}

/* Internal: unlink an entry, so that the kernel may push it again. */
static inline __u64 umcg_unlink_(__u64 *link)
{
	__u64 next;

	/* a push in progress is a few instructions with preemption off */
	while ((next = __atomic_load_n(link, __ATOMIC_ACQUIRE)) == UMCG_LINK_PENDING)
		umcg_pause_();
	/* link 0 before the caller reads the state with umcg_state(), both
	 * sequentially consistent; pairs with the kernel's state change, full
	 * barrier, cmpxchg of the link */
	__atomic_exchange_n(link, UMCG_LINK_NONE, __ATOMIC_SEQ_CST);
	return next == UMCG_LINK_END ? 0 : next;
}

static inline struct umcg_task *umcg_next_blocked(struct umcg_news *news)
{
	struct umcg_task *w = (struct umcg_task *)(uintptr_t)news->blocked;

	if (w)
		news->blocked = umcg_unlink_(&w->blocked_ptr);
	return w;
}

static inline struct umcg_task *umcg_next_runnable(struct umcg_news *news)
{
	struct umcg_task *w = (struct umcg_task *)(uintptr_t)news->runnable;

	if (w)
		news->runnable = umcg_unlink_(&w->runnable_ptr);
	return w;
}

/*
 * The whole state word, flags included; all that happened before is visible.
 * Not ordered before an earlier unlinking: see umcg_unlink_().
 */
static inline uint32_t umcg_state(const struct umcg_task *task)
{
	return __atomic_load_n(&task->state, __ATOMIC_SEQ_CST);
}

/* Neither on a list nor being pushed. */
static inline int umcg_task_unlinked(const struct umcg_task *task)
{
	return !__atomic_load_n(&task->blocked_ptr, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&task->runnable_ptr, __ATOMIC_ACQUIRE);
}

/*
 * Asked of an entry's worker: has its thread ended, and is this the last of its
 * entries? Then the kernel and the lists refer to @task no more. True for exactly
 * one entry if one thread takes all of the worker's entries; where workers move
 * between servers two of them may find it so at once, and the program decides
 * which counts and frees. An older entry may show EXITED before the thread has
 * pushed its last one: do not count exits, and do not free, by the state alone.
 */
static inline int umcg_exited(const struct umcg_task *task)
{
	if (!(umcg_state(task) & UMCG_TF_EXITED))
		return 0;
	/* from EXITED to its last access the kernel has preemption off */
	while (__atomic_load_n(&task->tid, __ATOMIC_ACQUIRE))
		umcg_pause_();
	return umcg_task_unlinked(task);
}

#ifdef __cplusplus
}
#endif

#endif /* UMCG_UMCG_H */
