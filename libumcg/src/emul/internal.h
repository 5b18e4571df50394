/* SPDX-License-Identifier: MIT */
/*
 * What the files of the emulation share. All of it runs with emul_mask() blocked.
 *
 * Worker, emul_thread::word:
 *
 *	RUNNING  -> INSIDE	itself: it enters the library
 *	INSIDE   -> RUNNING	itself: it leaves
 *	RUNNING  -> BLOCKING	whoever has noticed that it sleeps (cmpxchg)
 *	INSIDE   -> BLOCKING	itself: umcg_blocking_begin()
 *	BLOCKING -> BLOCKED	the one who reports it, when all of that is done
 *	BLOCKED  -> RUNNABLE	itself, when it is back
 *	BLOCKED  -> INSIDE	itself: takes the place of its idle server
 *	INSIDE   -> RUNNABLE	itself: yields, hands over, is preempted, registers
 *	RUNNABLE -> CLAIMED	whoever wants to run it (cmpxchg)
 *	CLAIMED  -> INSIDE	its claimer, then wake-up
 *	INSIDE   -> DEAD	itself, at its end
 *	RUNNING, BLOCKED -> DEAD  whoever finds that its thread has ended (cmpxchg)
 *
 * So only two words ever race: a report against the entry to the library, and two
 * claims; both are one cmpxchg. Each entry counts, and a report that was decided
 * on an older word fails: it loses against a worker that came back meanwhile.
 * In all other phases exactly one thread may change the word, and only it writes
 * what the program sees of the worker (state, running_tid, stamp, seq).
 *
 * A server is changed under its lock, pushes on its lists included: who holds the
 * lock of a server that is not gone may write to its struct umcg_task.
 *
 * Pairs (all sequentially consistent):
 *   E1	kick: preempt = 1, then the word	worker: word RUNNING, then preempt
 *	(emul_preempt)				(emul_leave); or word BLOCKING, then
 *						xchg preempt (report)
 *   E2	claimer: word INSIDE, then wake-up	hold: futex compares the word
 *   E3	reporter: word BLOCKED by xchg, wakes	worker: sets AWAITED by cmpxchg, then
 *	if that finds AWAITED			futex compares the word
 *   E4	enqueuer (user space): queue, clear	emul_stay_quiet(): state IDLE, then
 *	QUIET, then state, then kick		QUIET, runnable_ptr, next_tid
 *   E5	push: state, then the link		consumer: link 0, then the state
 *   E6	end of a wait: waiting = 0, then wake	server: futex compares waiting
 */
#ifndef UMCG_SRC_EMUL_INTERNAL_H
#define UMCG_SRC_EMUL_INTERNAL_H

#include "emul.h"
#include "point.h"
#include "sys.h"

#define EMUL_TIDS	(1U << 22)	/* the kernel's limit */

#pragma GCC visibility push(hidden)

extern const struct emul_backend *emul_backend;

/* ---- thread.c: memory, and who is registered ---- */

extern __thread struct emul_thread *emul_me __attribute__((tls_model("initial-exec")));

int emul_init_registry(void);
/* For the calling thread, not to be found yet; NULL: no memory. */
struct emul_thread *emul_alloc(void);
/* From now on emul_find() and emul_self() know it. */
int emul_publish(struct emul_thread *t);
/* No more. Then, when its task is not touched any more, emul_free(). */
void emul_unpublish(struct emul_thread *t);
void emul_free(struct emul_thread *t);

/* ---- memory.c ---- */

/* May @task be registered? 0, -EFAULT, -EOPNOTSUPP. */
int emul_check_memory(struct umcg_task *task);
/* Is it mapped privately, in pages of the usual size? 0, -EOPNOTSUPP. Spoils errno. */
int emul_check_mapping(uintptr_t addr);

/* ---- worker.c ---- */

/*
 * The calling worker comes into the library; it is held first if it was reported
 * BLOCKED. False: it is in there already (a handler has interrupted it).
 */
bool emul_enter(struct emul_thread *w);
/* The same without being held. False: do not leave. */
bool emul_enter_now(struct emul_thread *w);
/* And goes; if it is asked to stop, it is held first. */
void emul_leave(struct emul_thread *w);

void emul_set_phase(struct emul_thread *w, enum emul_phase phase);
/* From here on @w, the caller, may be run. True: it had been asked to stop. */
bool emul_park(struct emul_thread *w, uint32_t flags);
/* Until it is run. */
void emul_hold(struct emul_thread *w);
/* Phase BLOCKING -> BLOCKED, with all that belongs to it. */
void emul_report(struct emul_thread *w);
/* The end of a worker: phase DEAD. @flags: UMCG_TF_EXITED or 0 */
void emul_detach_worker(struct emul_thread *w, uint32_t flags, unsigned int how);

/* A worker by tid, claimed: 0, -ESRCH, -EAGAIN. */
int emul_claim(uint32_t tid, struct emul_thread **worker);

/* ---- server.c ---- */

#define EMUL_STOP_NEXT	1U	/* the successor may run */
#define EMUL_STOP_QUIET	2U	/* the server may sleep on */

/* Who dispatched a worker, and its home; taken before it parks. */
struct emul_where {
	uint32_t server;
	uint32_t home;
};
struct emul_where emul_where(const struct emul_thread *w);

/* The server @tid, locked; NULL: there is none. */
struct emul_thread *emul_lock_server(uint32_t tid);
/* The dispatcher, else the home. */
struct emul_thread *emul_lock_dispatcher(struct emul_where where);
void emul_lock_(struct emul_thread *s);
void emul_unlock_(struct emul_thread *s);

/* What the program sees. */
void emul_show(struct emul_thread *t, uint32_t state);

/*
 * Under @s's lock (NULL: it has no server). They return the futex to wake after
 * unlock, or NULL.
 */
uint32_t *emul_end_wait(struct emul_thread *s);
int emul_wait_server(struct emul_thread *s, uint32_t flags, uint64_t timeout);
uint32_t *emul_stopped(struct emul_thread *w, struct emul_thread *s, struct emul_thread *n,
		       unsigned int how);
uint32_t *emul_run(struct emul_thread *n, struct emul_thread *s);
/* False: an older entry of @w is still out, on the list of w->listed. */
bool emul_push_blocked(struct emul_thread *s, struct emul_thread *w);
void emul_push_runnable(struct emul_thread *s, struct emul_thread *w);
/* Take the place of the idle server: @w runs. */
bool emul_resume_direct(struct emul_thread *w, struct emul_thread *s);

/* Tell @where.home, or its idle peer, or else the dispatcher, that @w wants to run. */
void emul_enqueue(struct emul_thread *w, struct emul_where where);
/* Ask @w, which runs on @s (locked, may be NULL), to stop. */
void emul_ask(struct emul_thread *w, struct emul_thread *s);
void emul_detach_server(struct emul_thread *s, uint32_t flags);

static inline void emul_wake(uint32_t *futex)
{
	if (futex)
		sys_futex_wake(futex);
}

/* The low half of the word. */
static inline uint32_t *emul_futex(struct emul_thread *w)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "where the low half is");
	return (uint32_t *)&w->word;
}

static inline uint64_t emul_block_signals(void)
{
	return sys_sigmask(SIG_BLOCK, emul_mask());
}

static inline void emul_restore_signals(uint64_t mask)
{
	sys_sigmask(SIG_SETMASK, mask);
}

#define EMUL_GET(word)		__atomic_load_n(&(word), __ATOMIC_SEQ_CST)
#define EMUL_SET(word, value)	__atomic_store_n(&(word), (value), __ATOMIC_SEQ_CST)
#define EMUL_XCHG(word, value)	__atomic_exchange_n(&(word), (value), __ATOMIC_SEQ_CST)
/* *old is what was found */
#define EMUL_CAS(word, old, value)						\
	__atomic_compare_exchange_n(&(word), (old), (value), 0, __ATOMIC_SEQ_CST,	\
				    __ATOMIC_SEQ_CST)

#pragma GCC visibility pop

#endif /* UMCG_SRC_EMUL_INTERNAL_H */
