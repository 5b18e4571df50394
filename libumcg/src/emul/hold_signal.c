// SPDX-License-Identifier: MIT
/*
 * The signal by which a backend reaches a worker where it is: its handler holds
 * the thread, which goes on there, so no register moves. The handler runs with
 * everything masked, as the library does: an interrupted library call is therefore
 * not interrupted, but follows the request itself when it leaves; and only a
 * sanitizer that puts handlers off can run it in there, which emul_return() notices.
 */
#include <stdlib.h>
#include <string.h>

#include "hold_signal.h"
#include "sys.h"

/*
 * Ignored where it has no handler. So one on its way to a worker that calls
 * execve() does not kill the new program, as any real-time signal does, nor does
 * one that comes when the program has taken the handler away. Few programs have
 * a use for it, debuggers pass it on, and those who have one name another.
 */
#define DEFAULT_SIGNAL SIGURG

static int chosen;
static void (*arrived)(struct emul_thread *self);

int emul_signal_wanted(void)
{
	const char *text = secure_getenv("UMCG_SIGNAL");
	char *end;
	long n;

	if (!text || !*text)
		return DEFAULT_SIGNAL;
	n = strtol(text, &end, 10);
	if (*end || (n != SIGURG && n != SIGWINCH && (n < SIGRTMIN || n > SIGRTMAX)))
		return 0;
	return (int)n;
}

int emul_signal(void)
{
	return __atomic_load_n(&chosen, __ATOMIC_RELAXED);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	struct emul_thread *self = emul_self();
	int saved = errno;

	(void)signal;
	(void)info;
	(void)context;
	if (self && emul_phase(emul_word(self)) != EMUL_SERVER)
		arrived(self);
	errno = saved;
}

static void fill_mask(sigset_t *set)
{
	sigfillset(set);
	for (int i = 1; i < 32; i++) {
		if (!(emul_mask() & 1ULL << (i - 1)))
			sigdelset(set, i);
	}
}

int emul_signal_start(void (*handler)(struct emul_thread *self))
{
	/* on the alternative stack, if there is one: a fiber's own may be small */
	struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK,
	};

	arrived = handler;
	/* the same for ever, whatever becomes of the environment */
	__atomic_store_n(&chosen, emul_signal_wanted(), __ATOMIC_RELAXED);
	fill_mask(&action.sa_mask);
	return sigaction(chosen, &action, NULL) ? -errno : 0;
}

static bool ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_signal;
}

bool emul_signal_free(int signal)
{
	struct sigaction action;

	return !sigaction(signal, NULL, &action) &&
	       (ours(&action) ||
		(!(action.sa_flags & SA_SIGINFO) &&
		 (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)));
}

bool emul_signal_ours(void)
{
	struct sigaction action;

	return emul_signal() && !sigaction(emul_signal(), NULL, &action) && ours(&action);
}
