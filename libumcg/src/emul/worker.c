// SPDX-License-Identifier: MIT
/* A worker's way through the library: see internal.h for the state machine. */
#include "internal.h"

void emul_set_phase(struct emul_thread *w, enum emul_phase phase)
{
	/* only the one thread that may change the word now is here */
	uint64_t word = EMUL_GET(w->word) & ~(uint64_t)(EMUL_PHASE | EMUL_AWAITED);

	EMUL_SET(w->word, word | phase);
}

/* Somebody is telling @w's server that it sleeps; it is back before that is done. */
static void await_report(struct emul_thread *w, uint64_t word)
{
	/* E3 */
	if (!(word & EMUL_AWAITED) && !EMUL_CAS(w->word, &word, word | EMUL_AWAITED))
		return;
	sys_futex_wait(emul_futex(w), (uint32_t)word | EMUL_AWAITED, SYS_FOREVER);
}

static void unblocked(struct emul_thread *w)
{
	struct emul_where where = emul_where(w);
	struct emul_thread *s = emul_lock_server(where.home);
	bool direct;

	if (!s)
		s = emul_lock_dispatcher(where);
	direct = s && emul_resume_direct(w, s);
	if (s)
		emul_unlock_(s);
	if (direct)
		return;
	emul_park(w, 0);
	emul_enqueue(w, where);
	emul_hold(w);
}

bool emul_enter_now(struct emul_thread *w)
{
	uint64_t word = EMUL_GET(w->word);

	EMUL_POINT(ENTER);
	while (emul_phase(word) == EMUL_RUNNING) {
		/* a report that was decided before fails from here on */
		if (EMUL_CAS(w->word, &word, word - EMUL_RUNNING + EMUL_INSIDE))
			return true;
	}
	return false;
}

bool emul_enter(struct emul_thread *w)
{
	for (;;) {
		uint64_t word;

		if (emul_enter_now(w))
			return true;
		word = EMUL_GET(w->word);
		switch (emul_phase(word)) {
		case EMUL_RUNNING:
			break;
		case EMUL_BLOCKING:
			await_report(w, word);
			break;
		case EMUL_BLOCKED:
			unblocked(w);
			return true;
		default:
			return false;
		}
	}
}

bool emul_park(struct emul_thread *w, uint32_t flags)
{
	/* E1: a request that comes after this costs one spurious stop */
	bool asked = EMUL_XCHG(w->preempt, 0);

	__atomic_store_n(&w->task->stamp, sys_now(), __ATOMIC_RELAXED);
	EMUL_SET(w->server, 0);
	emul_show(w, UMCG_TASK_RUNNABLE | flags);
	EMUL_POINT(PARK);
	emul_set_phase(w, EMUL_RUNNABLE);
	EMUL_POINT(PARKED);
	return asked;
}

void emul_hold(struct emul_thread *w)
{
	for (;;) {
		uint64_t word = EMUL_GET(w->word);

		if (emul_phase(word) != EMUL_RUNNABLE && emul_phase(word) != EMUL_CLAIMED)
			return;
		EMUL_POINT(HOLD);
		/* E2 */
		sys_futex_wait(emul_futex(w), (uint32_t)word, SYS_FOREVER);
	}
}

static void preempted(struct emul_thread *w)
{
	struct emul_where where;
	struct emul_thread *s;
	uint32_t *futex;

	if (EMUL_GET(w->task->user_flags) & UMCG_UF_LOCKED) {
		EMUL_SET(w->preempt, 0);
		emul_show(w, UMCG_TASK_RUNNING | UMCG_TF_PREEMPT_PENDING);
		return;
	}
	where = emul_where(w);
	emul_park(w, UMCG_TF_PREEMPTED);
	s = emul_lock_dispatcher(where);
	if (s) {
		emul_push_runnable(s, w);
		futex = emul_stopped(w, s, NULL, 0);
		emul_unlock_(s);
		emul_wake(futex);
	}
	emul_hold(w);
}

void emul_leave(struct emul_thread *w)
{
	for (;;) {
		uint64_t word = EMUL_GET(w->word);

		/* the count wraps around, and not into the tid */
		EMUL_SET(w->word, (word & ~(uint64_t)UINT32_MAX) | EMUL_RUNNING |
			 (uint32_t)(((uint32_t)word & ~0xffU) + EMUL_COUNT));
		EMUL_POINT(LEAVE);
		if (!EMUL_GET(w->preempt))	/* E1 */
			return;
		if (emul_enter(w) && EMUL_GET(w->preempt))
			preempted(w);
	}
}

void emul_return(struct emul_thread *self)
{
	uint64_t mask = emul_block_signals();

	if (emul_enter(self))
		emul_leave(self);
	emul_restore_signals(mask);
}

/* ---- What others do to a worker ---- */

int emul_claim(uint32_t tid, struct emul_thread **worker)
{
	struct emul_thread *n = emul_find(tid);
	uint64_t word = n ? EMUL_GET(n->word) : 0;

	do {
		if (!n || emul_tid(word) != tid || emul_phase(word) == EMUL_SERVER)
			return -ESRCH;
		if (emul_phase(word) != EMUL_RUNNABLE)
			return -EAGAIN;
	} while (!EMUL_CAS(n->word, &word, word - EMUL_RUNNABLE + EMUL_CLAIMED));
	EMUL_POINT(CLAIMED);
	*worker = n;
	return 0;
}

static void end_blocking(struct emul_thread *w, enum emul_phase phase)
{
	uint64_t word = EMUL_GET(w->word);

	while (!EMUL_CAS(w->word, &word,
			 (word & ~(uint64_t)(EMUL_PHASE | EMUL_AWAITED)) | phase))
		;
	/* E3 */
	if (word & EMUL_AWAITED)
		sys_futex_wake(emul_futex(w));
}

void emul_report(struct emul_thread *w)
{
	struct emul_where where = emul_where(w);
	struct emul_thread *s;
	uint32_t *futex = NULL;
	unsigned int how = 0;

	__atomic_store_n(&w->task->stamp, sys_now(), __ATOMIC_RELAXED);
	emul_show(w, UMCG_TASK_BLOCKED);
	/* E1; who asked it to stop wants the server */
	if (!EMUL_XCHG(w->preempt, 0))
		how = EMUL_STOP_NEXT | EMUL_STOP_QUIET;
	s = emul_lock_dispatcher(where);
	if (s) {
		emul_push_blocked(s, w);
		futex = emul_stopped(w, s, NULL, how);
	}
	EMUL_POINT(REPORTED);
	end_blocking(w, EMUL_BLOCKED);
	if (s)
		emul_unlock_(s);
	emul_wake(futex);
}

bool emul_block_if(struct emul_thread *w, uint64_t seen)
{
	uint64_t mask;
	bool done = false;

	if (emul_phase(seen) != EMUL_RUNNING || !emul_tid(seen))
		return false;
	mask = emul_block_signals();
	if (EMUL_CAS(w->word, &seen, seen - EMUL_RUNNING + EMUL_BLOCKING)) {
		EMUL_POINT(REPORT);
		/* not before: only now it is sure that the thread and its task live */
		done = !(EMUL_GET(w->task->user_flags) & UMCG_UF_LOCKED);
		if (done)
			emul_report(w);
		else
			end_blocking(w, EMUL_RUNNING);
	}
	emul_restore_signals(mask);
	return done;
}

bool emul_block(struct emul_thread *w)
{
	return emul_block_if(w, EMUL_GET(w->word));
}

void emul_ask(struct emul_thread *w, struct emul_thread *s)
{
	EMUL_SET(w->preempt, 1);
	if (emul_phase(EMUL_GET(w->word)) == EMUL_RUNNING && emul_backend->poke)
		emul_backend->poke(w, s);
}

int emul_preempt(struct emul_thread *w)
{
	uint64_t word = EMUL_GET(w->word);
	uint32_t tid = emul_tid(word);
	struct emul_thread *s;
	uint64_t mask;
	bool runs;

	if (emul_phase(word) != EMUL_RUNNING && emul_phase(word) != EMUL_INSIDE)
		return -EAGAIN;
	mask = emul_block_signals();
	EMUL_SET(w->preempt, 1);
	EMUL_POINT(KICK);
	/* E1: either it sees the request, or we see that it has stopped */
	word = EMUL_GET(w->word);
	runs = emul_tid(word) == tid &&
	       (emul_phase(word) == EMUL_RUNNING || emul_phase(word) == EMUL_INSIDE);
	if (runs && emul_phase(word) == EMUL_RUNNING && emul_backend->poke) {
		s = emul_lock_server(EMUL_GET(w->server));
		emul_backend->poke(w, s);
		if (s)
			emul_unlock_(s);
	}
	emul_restore_signals(mask);
	return runs ? 0 : -EAGAIN;
}

void emul_detach_worker(struct emul_thread *w, uint32_t flags, unsigned int how)
{
	struct umcg_task *task = w->task;
	struct emul_where where = emul_where(w);
	struct emul_thread *s;
	uint32_t *futex = NULL;
	uint32_t other = 0;

	emul_show(w, UMCG_TASK_NONE | flags);
	EMUL_POINT(DEAD);
	s = emul_lock_dispatcher(where);
	if (s) {
		if ((flags & UMCG_TF_EXITED) && !emul_push_blocked(s, w) &&
		    w->listed != emul_tid(EMUL_GET(s->word)))
			other = w->listed;
		futex = emul_stopped(w, s, NULL, how);
		emul_unlock_(s);
	}
	/* its older entry says it, and that lies with one who may be quiet */
	s = emul_lock_server(other);
	if (s) {
		uint32_t *told = emul_end_wait(s);

		emul_unlock_(s);
		emul_wake(told);
	}
	emul_unpublish(w);
	if (emul_backend->detach)
		emul_backend->detach(w, true);
	emul_free(w);
	/* the program may have found EXITED with an older entry: now it may free */
	EMUL_SET(task->tid, 0);
	emul_wake(futex);
}

bool emul_exited_if(struct emul_thread *w, uint64_t seen)
{
	uint64_t mask;
	bool done;

	if ((emul_phase(seen) != EMUL_RUNNING && emul_phase(seen) != EMUL_BLOCKED) ||
	    !emul_tid(seen))
		return false;
	mask = emul_block_signals();
	done = EMUL_CAS(w->word, &seen,
			(seen & ~(uint64_t)EMUL_PHASE) | EMUL_DEAD);
	if (done)
		emul_detach_worker(w, UMCG_TF_EXITED, EMUL_STOP_NEXT);
	emul_restore_signals(mask);
	return done;
}
