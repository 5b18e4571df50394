// SPDX-License-Identifier: MIT
/* Does the portable backend work here, and if not, why? Found out by doing. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../emul/hold_signal.h"
#include "../emul/sys.h"
#include "portable.h"

#define INDENT "  "

struct finding {
	int signal;	/* 0: not to be understood */
	bool taken;	/* somebody else handles it */
	char state;	/* of the calling thread, by /proc: 'R' is right */
	int wipe;	/* MADV_WIPEONFORK, 0 or -errno */
	int timer;	/* timer_create() for a thread, likewise */
};

static int try_wipe(void)
{
	long size = sysconf(_SC_PAGESIZE);
	long at = sys6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	long err;

	if ((unsigned long)at > -4096UL)
		return (int)at;
	err = sys6(SYS_madvise, at, size, MADV_WIPEONFORK, 0, 0, 0);
	sys6(SYS_munmap, at, size, 0, 0, 0, 0);
	return (int)err;
}

static int try_timer(int signal)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = signal,
		._sigev_un = { ._tid = (pid_t)sys_gettid() },
	};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		return -errno;
	timer_delete(timer);
	return 0;
}

static struct finding look(void)
{
	struct finding f = { .signal = emul_signal_wanted() };
	int32_t fd = -1;
	uint32_t of = 0;

	f.taken = f.signal && !emul_signal_free(f.signal);
	f.state = portable_thread_state(sys_gettid(), &fd, &of);
	if (fd >= 0)
		sys6(SYS_close, fd, 0, 0, 0, 0, 0);
	f.wipe = try_wipe();
	f.timer = f.signal ? try_timer(f.signal) : 0;
	return f;
}

int portable_check(void)
{
	struct finding f = look();

	if (!f.signal)
		return -EINVAL;
	if (f.taken)
		return -EBUSY;
	if (f.state != 'R')
		return -ENOENT;
	return f.wipe ? f.wipe : f.timer;
}

void portable_explain(struct umcg_text *text)
{
	struct finding f = look();
	const char *env = secure_getenv("UMCG_SIGNAL");

	if (!f.signal) {
		umcg_textf(text, "no. UMCG_SIGNAL is \"%.40s\"; it must be %d (SIGURG), "
			   "%d (SIGWINCH), or the number of a real-time signal, %d to %d.\n",
			   env ? env : "", SIGURG, SIGWINCH, SIGRTMIN, SIGRTMAX);
	} else if (f.taken) {
		umcg_textf(text, "no. It needs a signal of its own to stop workers, and signal %d "
			   "has a handler already.\n" INDENT "Name a free one, %d (SIGURG), "
			   "%d (SIGWINCH), or %d to %d, by the environment variable UMCG_SIGNAL.\n",
			   f.signal, SIGURG, SIGWINCH, SIGRTMIN, SIGRTMAX);
	} else if (f.state != 'R') {
		umcg_textf(text, "no. It looks at threads through /proc/self/task/TID/stat, which "
			   "cannot be read here.\n" INDENT "Mount /proc (in a chroot: mount -t proc "
			   "proc /proc), and leave a file descriptor free.\n");
	} else if (f.wipe) {
		umcg_textf(text, "no. madvise(MADV_WIPEONFORK) fails with errno %d (%s): it needs "
			   "Linux 4.14.\n", -f.wipe, strerror(-f.wipe));
	} else if (f.timer) {
		umcg_textf(text, "no. timer_create() fails with errno %d (%s): RLIMIT_SIGPENDING "
			   "(ulimit -i) is too low, or a seccomp filter forbids it.\n",
			   -f.timer, strerror(-f.timer));
	} else {
		umcg_textf(text, "yes. On every Linux, without privilege; blocks are noticed by a "
			   "monitor or said by umcg_blocking_begin().\n"
			   INDENT "Signal %d stops workers; UMCG_SIGNAL=N names another.\n"
			   INDENT "What the other backends promise and this one cannot: umcg(7).\n",
			   f.signal);
	}
}
