// SPDX-License-Identifier: MIT
/*
 * Stopping a worker that does not stop by itself: the emulation's signal, sent to
 * its thread.
 *
 * SA_RESTART, and the monitor signals only threads that it has just seen
 * running: what remains is a call of those that are never restarted (poll, select,
 * epoll_wait, nanosleep, and more in signal(7)), begun between its look and the
 * signal.
 */
#include "../emul/hold_signal.h"
#include "../emul/sys.h"
#include "portable.h"

static void stop_here(struct emul_thread *self)
{
	__atomic_store_n(&portable_worker(self)->signalled, 0, __ATOMIC_SEQ_CST);
	emul_return(self);
}

int portable_stop_start(void)
{
	return emul_signal_start(stop_here);
}

void portable_stop(struct emul_thread *w, uint64_t word)
{
	/* one at a time: those of real time queue */
	if (__atomic_exchange_n(&portable_worker(w)->signalled, 1, __ATOMIC_SEQ_CST))
		return;
	/* a program that took the signal away would be killed, or get a signal it did not ask for */
	if (!emul_signal_ours() || sys_tgkill(emul_tid(word), emul_signal()))
		__atomic_store_n(&portable_worker(w)->signalled, 0, __ATOMIC_SEQ_CST);
}
