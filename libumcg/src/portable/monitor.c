// SPDX-License-Identifier: MIT
/*
 * The monitor: one thread that finds workers asleep in the kernel.
 *
 * Each server has a timer, which whoever runs a worker there sets at least
 * LOOK_NS and at most LOOK_NS + PET_NS ahead, and sets anew only when less than
 * LOOK_NS is left: a server that switches often never lets it ring, and pays one
 * timer_settime() in PET_NS (dear in a virtual machine: the hypervisor's timer is
 * set, too). After a block that it found another is expected: the server's next
 * SOON settings are SOON_NS more than LOOK_NS ahead.
 *
 * It rings when a server's worker has been running for that long, or once after
 * the server went idle. Then the monitor looks at the thread: asleep (S, D) is a
 * block. While it runs (R), or is stopped (T, t), it looks again after half of the
 * time since the worker was run, LOOK_NS to FAR_NS; after STOP_NS while the worker
 * is asked to stop.
 *
 * So a block is reported within LOOK_NS + PET_NS of the worker's being run, or
 * within FAR_NS, and the latencies of a timer and two switches; and where no
 * worker runs no timer is set and the monitor sleeps without one.
 *
 * Timers and requests reach it by the backend's signal, which it takes by
 * sigwait; timers cannot fail to be queued.
 */
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>

#include "../emul/hold_signal.h"
#include "../emul/sys.h"
#include "portable.h"

#define LOOK_NS		35000ULL
#define PET_NS		65000ULL
#define SOON_NS		15000ULL
#define SOON		4
#define FAR_NS		1000000ULL
#define STOP_NS		100000ULL
#define KEPT		64
#define STACK_SIZE	(128 * 1024)

/* Under umcg_lock(). */
static uint32_t process;	/* whose monitor it is: not a child's */
static uint32_t monitor_tid;	/* futex of the one who starts it */

/* @s is locked. */
static void set_timer(struct portable_server *p, uint64_t at)
{
	struct itimerspec when = {
		.it_value = {
			.tv_sec = (time_t)(at / 1000000000),
			.tv_nsec = (long)(at % 1000000000),
		},
	};

	p->due = at;
	timer_settime((timer_t)p->timer, TIMER_ABSTIME, &when, NULL);
}

void portable_ran(struct emul_thread *s)
{
	struct portable_server *p = portable_server(s);

	p->since = sys_now();
	if (p->due >= p->since + LOOK_NS)
		return;
	set_timer(p, p->since + LOOK_NS + (p->soon ? SOON_NS : PET_NS));
	if (p->soon)
		p->soon--;
}

void portable_poke(struct emul_thread *w, struct emul_thread *s)
{
	if (s) {
		portable_server(s)->now = true;
		set_timer(portable_server(s), 1);
	} else {
		/* its server is gone, and nobody watches it */
		portable_stop(w, emul_word(w));
	}
}

static uint64_t pause_for(const struct portable_server *p, const struct emul_thread *w,
			  uint64_t now)
{
	uint64_t half = (now - p->since) / 2;

	if (__atomic_load_n(&w->preempt, __ATOMIC_SEQ_CST))
		return STOP_NS;
	if (half < LOOK_NS)
		return LOOK_NS;
	return half < FAR_NS ? half : FAR_NS;
}

/*
 * The descriptors of the threads that were looked at last: a worker that is
 * watched for long costs no open(). The monitor's own, so that no server has to
 * outlive a look.
 */
static struct {
	uint32_t tid;
	int32_t fd;
} kept[KEPT];

/* Before @s is told of the block, and runs the next. */
static void expect_more(struct emul_thread *s)
{
	uint64_t mask = emul_lock(s);

	if (emul_phase(emul_word(s)) == EMUL_SERVER)
		portable_server(s)->soon = SOON;
	emul_unlock(s, mask);
}

static void judge(struct emul_thread *w, uint64_t seen, struct emul_thread *s)
{
	uint32_t at = s->index % KEPT;

	if (emul_phase(seen) != EMUL_RUNNING)
		return;
	switch (portable_thread_state(emul_tid(seen), &kept[at].fd, &kept[at].tid)) {
	case 'S':
	case 'D':
		if (emul_word(w) == seen)
			expect_more(s);
		emul_block_if(w, seen);
		break;
	case 'X':
	case 'Z':
		emul_exited_if(w, seen);
		break;
	case 'R':
		if (__atomic_load_n(&w->preempt, __ATOMIC_SEQ_CST))
			portable_stop(w, seen);
		break;
	default:
		/* stopped, traced, or no /proc any more */
		break;
	}
}

static void tend(struct emul_thread *s)
{
	struct portable_server *p = portable_server(s);
	struct emul_thread *w;
	uint64_t mask = emul_lock(s);
	uint64_t now = sys_now();
	uint64_t seen;

	if (emul_phase(emul_word(s)) != EMUL_SERVER) {
		emul_unlock(s, mask);
		return;
	}
	p->due = 0;
	w = s->running;
	if (!w) {
		emul_unlock(s, mask);
		return;
	}
	seen = emul_word(w);
	if (!p->now && now < p->since + LOOK_NS) {
		set_timer(p, p->since + LOOK_NS);
		emul_unlock(s, mask);
		return;
	}
	p->now = false;
	emul_unlock(s, mask);

	judge(w, seen, s);

	mask = emul_lock(s);
	/* whoever was run meanwhile has set it already */
	if (emul_phase(emul_word(s)) == EMUL_SERVER && s->running && !p->due) {
		now = sys_now();
		set_timer(p, now + pause_for(p, s->running, now));
	}
	emul_unlock(s, mask);
}

static void *monitor(void *unused)
{
	sigset_t ring;

	prctl(PR_SET_NAME, "umcg-monitor");
	sigemptyset(&ring);
	sigaddset(&ring, emul_signal());
	__atomic_store_n(&monitor_tid, sys_gettid(), __ATOMIC_SEQ_CST);
	sys_futex_wake(&monitor_tid);
	for (int i = 0; i < KEPT; i++)
		kept[i].fd = -1;
	for (;;) {
		siginfo_t info;
		struct emul_thread *s;

		if (sys6(SYS_rt_sigtimedwait, (long)&ring, (long)&info, 0, sizeof(uint64_t), 0,
			 0) < 0 || info.si_code != SI_TIMER)
			continue;
		s = emul_by_index((uint32_t)info.si_value.sival_int);
		if (s)
			tend(s);
	}
	return unused;
}

static int start_monitor(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	uint64_t mask;
	int err;

	monitor_tid = 0;
	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	/* it takes no signal of the program's */
	mask = sys_sigmask(SIG_SETMASK, ~0ULL);
	err = pthread_create(&thread, &attr, monitor, NULL);
	sys_sigmask(SIG_SETMASK, mask);
	pthread_attr_destroy(&attr);
	if (err)
		return -err;
	while (!__atomic_load_n(&monitor_tid, __ATOMIC_SEQ_CST))
		sys_futex_wait(&monitor_tid, 0, SYS_FOREVER);
	return 0;
}

int portable_attach(struct emul_thread *t, bool worker)
{
	struct portable_server *p = portable_server(t);
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID };
	timer_t timer;
	int err = 0;

	if (worker)
		return 0;
	umcg_lock();
	if (process != sys_getpid())
		err = start_monitor();
	if (!err)
		process = sys_getpid();
	umcg_unlock();
	if (err)
		return err;
	event.sigev_signo = emul_signal();
	event.sigev_value.sival_int = (int)t->index;
	event._sigev_un._tid = (pid_t)monitor_tid;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		return -ENOMEM;
	p->timer = timer;
	return 0;
}

void portable_detach(struct emul_thread *t, bool worker)
{
	if (!worker)
		timer_delete((timer_t)portable_server(t)->timer);
}
