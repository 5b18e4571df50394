// SPDX-License-Identifier: MIT
/*
 * Servers: what is done under a server's lock, and umcg_wait() of one. A push is
 * done under the lock, too, and so a server that sets waiting and reads its
 * lists under it, or a pusher that reads waiting, sees the other.
 */
#include "internal.h"

void emul_show(struct emul_thread *t, uint32_t state)
{
	struct umcg_task *task = t->task;

	__atomic_store_n(&task->seq, __atomic_load_n(&task->seq, __ATOMIC_RELAXED) + 1,
			 __ATOMIC_RELAXED);
	/* what led to it is visible first: umcg_state() */
	EMUL_SET(task->state, state);
}

struct emul_where emul_where(const struct emul_thread *w)
{
	/* once: a thief who rewrites server_tid gets the worker or does not */
	return (struct emul_where){
		.server = EMUL_GET(w->server),
		.home = EMUL_GET(w->task->server_tid),
	};
}

struct emul_thread *emul_lock_server(uint32_t tid)
{
	struct emul_thread *s = tid ? emul_find(tid) : NULL;
	uint64_t word;

	if (!s || emul_phase(EMUL_GET(s->word)) != EMUL_SERVER)
		return NULL;
	emul_lock_(s);
	word = EMUL_GET(s->word);
	if (emul_tid(word) == tid && emul_phase(word) == EMUL_SERVER)
		return s;
	emul_unlock_(s);
	return NULL;
}

struct emul_thread *emul_lock_dispatcher(struct emul_where where)
{
	struct emul_thread *s = emul_lock_server(where.server);

	return s || where.server == where.home ? s : emul_lock_server(where.home);
}

/*
 * At most one entry per worker and list: the consumer writes LINK_NONE before it
 * looks at the worker's state, which was shown before this cmpxchg (E5). Unlike
 * the kernel this may loop, and so the entry is whole when it becomes visible and
 * a consumer never waits for a pusher that is off its CPU.
 */
static bool push(uint64_t *head, uint64_t *link, struct umcg_task *task)
{
	uint64_t none = UMCG_LINK_NONE, first;

	if (!EMUL_CAS(*link, &none, UMCG_LINK_PENDING))
		return false;
	EMUL_POINT(PUSH);
	first = EMUL_GET(*head);
	do
		EMUL_SET(*link, first ? first : UMCG_LINK_END);
	while (!EMUL_CAS(*head, &first, (uintptr_t)task));
	return true;
}

bool emul_push_blocked(struct emul_thread *s, struct emul_thread *w)
{
	if (!push((uint64_t *)&s->task->blocked_ptr, (uint64_t *)&w->task->blocked_ptr, w->task))
		return false;
	w->listed = emul_tid(EMUL_GET(s->word));
	return true;
}

void emul_push_runnable(struct emul_thread *s, struct emul_thread *w)
{
	push((uint64_t *)&s->task->runnable_ptr, (uint64_t *)&w->task->runnable_ptr, w->task);
}

uint32_t *emul_end_wait(struct emul_thread *s)
{
	s->missed = !EMUL_GET(*s->waiting);
	if (s->missed)
		return NULL;
	EMUL_SET(s->idle, false);
	emul_show(s, UMCG_TASK_RUNNING);
	/* last: it may be awake, and leave. E6 */
	EMUL_SET(*s->waiting, 0);
	return s->waiting;
}

static void set_running(struct emul_thread *s, struct emul_thread *w)
{
	s->running = w;
	EMUL_SET(s->task->running_tid, w ? emul_tid(EMUL_GET(w->word)) : 0);
}

/*
 * The word names a worker and is the token for it: thieves take it by cmpxchg,
 * too. Own it first, claim then; a claim that may have to be undone would make a
 * thief's fail.
 */
static int claim_next(struct emul_thread *s, uint32_t next, struct emul_thread **n)
{
	uint32_t old = next;
	int err;

	if (!EMUL_CAS(s->task->next_tid, &old, 0))
		return -EAGAIN;
	err = emul_claim(next, n);
	old = 0;
	if (err)
		EMUL_CAS(s->task->next_tid, &old, next);
	return err;
}

/* The claimed worker @n goes on, on @s. */
uint32_t *emul_run(struct emul_thread *n, struct emul_thread *s)
{
	uint32_t tid = s ? emul_tid(EMUL_GET(s->word)) : 0;

	if (s)
		set_running(s, n);
	EMUL_SET(n->server, tid);
	EMUL_SET(n->task->running_tid, tid);
	emul_show(n, UMCG_TASK_RUNNING);
	EMUL_POINT(RUN);
	emul_set_phase(n, EMUL_INSIDE);	/* E2 */
	if (s && emul_backend->ran)
		emul_backend->ran(s);
	return emul_futex(n);
}

/* What may be left for a quiet server to do */
static bool has_news(struct emul_thread *s)
{
	return EMUL_GET(s->task->runnable_ptr) || EMUL_GET(s->task->next_tid) ||
	       !(EMUL_GET(s->task->user_flags) & UMCG_UF_QUIET);
}

/* Nobody runs on @s any more. May it sleep on? */
static bool stay_quiet(struct emul_thread *s)
{
	if (!EMUL_GET(*s->waiting) || s->expired || has_news(s))
		return false;
	EMUL_SET(s->idle, true);
	emul_show(s, UMCG_TASK_RUNNABLE | UMCG_TF_IDLE);
	EMUL_POINT(QUIET);
	return !has_news(s);	/* E4 */
}

uint32_t *emul_stopped(struct emul_thread *w, struct emul_thread *s, struct emul_thread *n,
		       unsigned int how)
{
	bool mine = s && s->running == w;
	uint32_t *futex = NULL;
	uint32_t next;

	if (mine && !n && !s->expired && (how & EMUL_STOP_NEXT)) {
		next = EMUL_GET(s->task->next_tid);
		if (!next || claim_next(s, next, &n))
			n = NULL;
	}
	/* a worker whose server is gone: no business of @s */
	if (n)
		futex = emul_run(n, mine ? s : NULL);
	else if (mine)
		set_running(s, NULL);
	if (n && mine && s->expired)
		emul_ask(n, s);
	if (s && !n && !(mine && (how & EMUL_STOP_QUIET) && stay_quiet(s)))
		futex = emul_end_wait(s);
	return futex;
}

bool emul_resume_direct(struct emul_thread *w, struct emul_thread *s)
{
	if (!(EMUL_GET(s->task->user_flags) & UMCG_UF_DIRECT_RESUME) || !EMUL_GET(s->idle) ||
	    EMUL_GET(s->task->runnable_ptr))
		return false;
	EMUL_SET(s->idle, false);
	emul_show(s, UMCG_TASK_RUNNABLE);
	emul_run(w, s);
	return true;
}

static uint32_t *enqueue_on(struct emul_thread *w, struct emul_thread *s)
{
	emul_push_runnable(s, w);
	if (EMUL_GET(s->idle) || (EMUL_GET(s->task->user_flags) & UMCG_UF_WAKE_ON_RUNNABLE))
		return emul_end_wait(s);
	return NULL;
}

void emul_enqueue(struct emul_thread *w, struct emul_where where)
{
	struct emul_thread *s = emul_lock_server(where.home), *peer;
	uint32_t *futex, other;

	if (!s)
		s = emul_lock_server(where.server);
	if (!s)
		return;
	other = EMUL_GET(s->idle) ? 0 : EMUL_GET(s->task->peer_tid);
	if (other) {
		/* never two locks at a time */
		where.home = emul_tid(EMUL_GET(s->word));
		emul_unlock_(s);
		peer = emul_lock_server(other);
		if (peer && EMUL_GET(peer->idle)) {
			s = peer;
		} else {
			if (peer)
				emul_unlock_(peer);
			s = emul_lock_dispatcher((struct emul_where){ where.home, where.server });
			if (!s)
				return;
		}
	}
	futex = enqueue_on(w, s);
	emul_unlock_(s);
	emul_wake(futex);
}

/* The worker that runs on @s has to stop. False: there is none. */
static bool slice_over(struct emul_thread *s)
{
	bool over;

	emul_lock_(s);
	if (EMUL_GET(*s->waiting) && s->running) {
		s->expired = true;
		emul_ask(s->running, s);
	}
	over = !EMUL_GET(*s->waiting) || s->running;
	emul_unlock_(s);
	return over;
}

static int wait_start(struct emul_thread *s)
{
	uint32_t next = EMUL_GET(s->task->next_tid);
	struct emul_thread *n = NULL;
	uint32_t *futex = NULL;
	int ret = 0;

	emul_lock_(s);
	s->expired = false;
	EMUL_SET(*s->waiting, 1);
	EMUL_SET(s->idle, !next && !s->running);
	emul_show(s, UMCG_TASK_RUNNABLE | (s->idle ? UMCG_TF_IDLE : 0));
	EMUL_POINT(WAIT);
	if (s->missed || EMUL_GET(s->task->blocked_ptr) || EMUL_GET(s->task->runnable_ptr)) {
		ret = -EAGAIN;
	} else if (next && !s->running) {
		/* with a running worker it is the successor */
		ret = claim_next(s, next, &n);
		if (!ret)
			futex = emul_run(n, s);
	}
	if (ret)
		emul_end_wait(s);
	emul_unlock_(s);
	emul_wake(futex);
	return ret;
}

/* The wait has ended for @err; unless a wake-up was first. */
static int wait_undo(struct emul_thread *s, int err)
{
	uint64_t mask = emul_lock(s);

	EMUL_POINT(TIMEOUT);
	if (EMUL_GET(*s->waiting))
		emul_end_wait(s);
	else
		err = 0;
	emul_unlock(s, mask);
	return err;
}

/*
 * Does a handler run as soon as only @mask is blocked? It would have run by the
 * time the server sleeps and not end that sleep, though its state said that the
 * wait had begun. What comes in the few instructions from here to the sleep is
 * not seen: a futex cannot be waited for with a mask.
 */
static bool handler_due(uint64_t mask)
{
	uint64_t pending = 0;

	sys6(SYS_rt_sigpending, (long)&pending, sizeof(pending), 0, 0, 0, 0);
	for (pending &= ~mask; pending; pending &= pending - 1) {
		/* as the kernel has it: handler, flags, restorer, mask */
		uintptr_t action[4] = { 0 };

		/* one that nobody handles is pending, too, while it is masked */
		sys6(SYS_rt_sigaction, __builtin_ctzll(pending) + 1, 0, (long)action,
		     sizeof(uint64_t), 0, 0);
		if (action[0] != (uintptr_t)SIG_DFL && action[0] != (uintptr_t)SIG_IGN)
			return true;
	}
	return false;
}

static int sleep_once(struct emul_thread *s, uint64_t until)
{
	if (emul_backend->sleep)
		return emul_backend->sleep(s, until);
	return sys_futex_wait(s->waiting, 1, until);	/* E6 */
}

static int wait_end(struct emul_thread *s, uint32_t flags, uint64_t timeout)
{
	uint64_t mask;

	if (!timeout)
		timeout = SYS_FOREVER;
	EMUL_POINT(SLEEP);
	while (EMUL_GET(*s->waiting)) {
		int err = sleep_once(s, timeout);

		if (!err || err == -EAGAIN)
			continue;
		if (err == -ETIMEDOUT && (flags & UMCG_WAIT_PREEMPT)) {
			mask = emul_block_signals();
			if (slice_over(s))
				err = 0;
			emul_restore_signals(mask);
			timeout = SYS_FOREVER;
			flags = 0;
			if (!err)
				continue;
		}
		return wait_undo(s, err);
	}
	return 0;
}

int emul_wait_server(struct emul_thread *s, uint32_t flags, uint64_t timeout)
{
	uint64_t mask = emul_block_signals();
	bool due;
	int ret;

	if (emul_backend->look)
		emul_backend->look();
	ret = wait_start(s);
	due = !ret && handler_due(mask);
	/* asleep it runs signal handlers */
	emul_restore_signals(mask);
	if (due)
		ret = wait_undo(s, -EINTR);
	else if (!ret)
		ret = wait_end(s, flags, timeout);
	if (emul_backend->awake)
		emul_backend->awake(s);
	return ret;
}

void emul_detach_server(struct emul_thread *s, uint32_t flags)
{
	struct umcg_task *task = s->task;

	emul_lock_(s);
	emul_show(s, UMCG_TASK_NONE | flags);
	emul_unpublish(s);
	/* from here on nobody writes to its task */
	emul_set_phase(s, EMUL_DEAD);
	s->running = NULL;
	emul_unlock_(s);
	if (emul_backend->detach)
		emul_backend->detach(s, false);
	emul_free(s);
	EMUL_SET(task->tid, 0);
}
