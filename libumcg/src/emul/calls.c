// SPDX-License-Identifier: MIT
/*
 * The four calls and the markers, as umcg.h promises them; the order in which
 * errors are found is the kernel's.
 */
#include <limits.h>
#include <pthread.h>

#include "internal.h"

static pthread_key_t at_exit_key;
/* How often the end of this thread has been put off. */
static __thread int rounds __attribute__((tls_model("initial-exec")));

static void detach(struct emul_thread *t, uint32_t flags, unsigned int how)
{
	emul_me = NULL;
	if (emul_phase(EMUL_GET(t->word)) == EMUL_SERVER) {
		emul_detach_server(t, flags);
	} else {
		emul_set_phase(t, EMUL_DEAD);
		emul_detach_worker(t, flags, how);
	}
}

/*
 * The thread returns or calls pthread_exit(). Late: destructors of other libraries
 * still run as what the thread has been. Not in the very last round, in which
 * sanitizers take leave of the thread.
 */
static void at_thread_exit(void *unused)
{
	struct emul_thread *self = emul_self();
	uint64_t mask;

	if (!self)
		return;
	if (++rounds < PTHREAD_DESTRUCTOR_ITERATIONS - 1 &&
	    !pthread_setspecific(at_exit_key, unused))
		return;
	mask = emul_block_signals();
	if (emul_phase(EMUL_GET(self->word)) != EMUL_SERVER)
		emul_enter(self);
	detach(self, UMCG_TF_EXITED, EMUL_STOP_NEXT);
	emul_restore_signals(mask);
}

int emul_start(const struct emul_backend *backend)
{
	int err = emul_init_registry();

	if (err)
		return err;
	err = pthread_key_create(&at_exit_key, at_thread_exit);
	emul_backend = backend;
	return -err;
}

/* A thread that had our tid ended without a word. */
static void bury(struct emul_thread *t)
{
	uint64_t word = EMUL_GET(t->word);

	if (emul_phase(word) == EMUL_SERVER)
		emul_detach_server(t, UMCG_TF_EXITED);
	else
		emul_exited_if(t, word);
}

static int start(struct emul_thread *t, bool worker)
{
	struct emul_where where = { 0, 0 };
	struct emul_thread *old = emul_find(emul_tid(EMUL_GET(t->word)));
	uint32_t home = worker ? EMUL_GET(t->task->server_tid) : 0;
	struct emul_thread *s;
	int err;

	if (old)
		bury(old);
	if (home) {
		s = emul_lock_server(home);
		if (!s)
			return -ESRCH;
		emul_unlock_(s);
	}
	err = emul_backend->attach ? emul_backend->attach(t, worker) : 0;
	if (err)
		return err;
	err = emul_publish(t);
	if (err) {
		if (emul_backend->detach)
			emul_backend->detach(t, worker);
		return err;
	}
	emul_me = t;
	EMUL_SET(t->task->tid, emul_tid(EMUL_GET(t->word)));
	EMUL_SET(t->task->running_tid, 0);
	if (!worker) {
		emul_show(t, UMCG_TASK_RUNNING);
		return 0;
	}
	where.home = home;
	emul_park(t, 0);
	emul_enqueue(t, where);
	emul_hold(t);
	emul_leave(t);
	return 0;
}

int emul_register(struct umcg_task *self, uint32_t flags)
{
	bool worker = flags == UMCG_REG_WORKER;
	struct emul_thread *t;
	uint64_t mask;
	int err;

	if ((!worker && flags != UMCG_REG_SERVER) || (uintptr_t)self % sizeof(*self))
		return -EINVAL;
	if (emul_self())
		return -EBUSY;
	err = emul_check_memory(self);
	if (err)
		return err;
	/* tells when this thread ends */
	rounds = 0;
	if (pthread_setspecific(at_exit_key, self))
		return -ENOMEM;
	mask = emul_block_signals();
	t = emul_alloc();
	if (t) {
		t->task = self;
		EMUL_SET(t->word, (uint64_t)sys_gettid() << 32 |
			 (worker ? EMUL_INSIDE : EMUL_SERVER));
		err = start(t, worker);
		if (err)
			emul_free(t);
	} else {
		err = -ENOMEM;
	}
	emul_restore_signals(mask);
	return err;
}

int emul_unregister(struct umcg_task *self)
{
	struct emul_thread *t = emul_self();
	uint64_t mask;

	if (!t || t->task != self)
		return -EINVAL;
	mask = emul_block_signals();
	if (emul_phase(EMUL_GET(t->word)) != EMUL_SERVER)
		emul_enter(t);
	detach(t, 0, 0);
	emul_restore_signals(mask);
	return 0;
}

static int wait_worker(struct emul_thread *w, uint32_t flags)
{
	uint32_t next = EMUL_GET(w->task->next_tid);
	struct emul_where where;
	struct emul_thread *n = NULL, *s;
	uint32_t *futex;
	bool asked;
	int err;

	if (next) {
		/* before anything is changed: an error changes nothing */
		err = emul_claim(next, &n);
		if (err)
			return err;
		EMUL_SET(w->task->next_tid, 0);
	}
	where = emul_where(w);
	asked = emul_park(w, 0);
	if (flags & UMCG_WAIT_ENQUEUE)
		emul_enqueue(w, where);
	s = emul_lock_dispatcher(where);
	futex = emul_stopped(w, s, n, asked ? 0 : EMUL_STOP_NEXT);
	if (s)
		emul_unlock_(s);
	emul_wake(futex);
	emul_hold(w);
	return 0;
}

int emul_wait(uint32_t flags, uint64_t abs_timeout_ns)
{
	struct emul_thread *self = emul_self();
	uint64_t mask;
	int ret = -EAGAIN;

	if (!self)
		return -ESRCH;
	if (emul_phase(EMUL_GET(self->word)) == EMUL_SERVER) {
		if ((int64_t)abs_timeout_ns < 0 || (flags & ~UMCG_WAIT_PREEMPT))
			return -EINVAL;
		return emul_wait_server(self, flags, abs_timeout_ns);
	}
	if (abs_timeout_ns || (flags & ~UMCG_WAIT_ENQUEUE))
		return -EINVAL;
	mask = emul_block_signals();
	if (emul_enter(self)) {
		ret = wait_worker(self, flags);
		emul_leave(self);
	}
	emul_restore_signals(mask);
	return ret;
}

static int kick(uint32_t tid)
{
	struct emul_thread *t = emul_lock_server(tid);
	uint32_t *futex;

	if (t) {
		futex = emul_end_wait(t);
		emul_unlock_(t);
		emul_wake(futex);
		return 0;
	}
	t = emul_find(tid);
	return t ? emul_preempt(t) : -ESRCH;
}

int emul_kick(uint32_t flags, pid_t tid)
{
	struct emul_thread *self = emul_self();
	uint64_t mask;
	bool entered;
	int ret;

	if (flags)
		return -EINVAL;
	mask = emul_block_signals();
	/* it never blocks: no place to be held for a block that was reported */
	entered = self && emul_enter_now(self);
	ret = tid > 0 ? kick((uint32_t)tid) : -ESRCH;
	if (entered)
		emul_leave(self);
	emul_restore_signals(mask);
	return ret;
}

int emul_blocking_begin(void)
{
	struct emul_thread *self = emul_self();
	uint64_t mask;

	if (!self || emul_phase(EMUL_GET(self->word)) == EMUL_SERVER)
		return 0;
	if (self->nested == UINT_MAX)
		return -EOVERFLOW;
	if (self->nested++)
		return 0;
	mask = emul_block_signals();
	if (emul_enter(self)) {
		if (EMUL_GET(self->task->user_flags) & UMCG_UF_LOCKED) {
			emul_leave(self);
		} else {
			emul_set_phase(self, EMUL_BLOCKING);
			emul_report(self);
		}
	}
	emul_restore_signals(mask);
	return 0;
}

int emul_blocking_end(void)
{
	struct emul_thread *self = emul_self();

	if (!self || emul_phase(EMUL_GET(self->word)) == EMUL_SERVER)
		return 0;
	if (!self->nested)
		return -EINVAL;
	if (!--self->nested)
		emul_return(self);
	return 0;
}

int emul_checkpoint(void)
{
	struct emul_thread *self = emul_self();
	uint64_t word;

	if (!self)
		return 0;
	word = EMUL_GET(self->word);
	if (emul_phase(word) == EMUL_SERVER)
		return 0;
	/*
	 * In and out of the library in one step, which no signal can come in
	 * between: a report that was decided on the old word fails, and one that is
	 * decided on the new word sees the user_flags that were set before.
	 */
	if (emul_phase(word) != EMUL_RUNNING ||
	    !EMUL_CAS(self->word, &word, (word & ~(uint64_t)UINT32_MAX) |
		      (uint32_t)((uint32_t)word + EMUL_COUNT)))
		emul_return(self);
	return 0;
}
