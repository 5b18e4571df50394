// SPDX-License-Identifier: MIT
/*
 * The hold: a signal that the program in the kernel sends to a worker which comes
 * back from a block, or is to stop. It arrives before the worker's next user
 * instruction, with the result of its call in place, and its handler waits in the
 * emulation until the worker is picked. All is masked meanwhile, so handlers of
 * other signals run when the worker does.
 */
#include "../emul/hold_signal.h"
#include "../emul/sys.h"
#include "bpf.h"

int bpf_hold_signal(void)
{
	return emul_signal() ? emul_signal() : emul_signal_wanted();
}

static void hold(struct emul_thread *self)
{
	struct umcg_bpf_slot *slot = bpf_slot(self);
	uint64_t word = emul_word(self);
	uint64_t seen = __atomic_load_n(&slot->seen, __ATOMIC_SEQ_CST);

	/*
	 * Back before anybody has taken its block from the queue: it tells
	 * itself. One of the two succeeds.
	 */
	if (emul_phase(word) == EMUL_RUNNING && (seen == word || !seen)) {
		if (!seen)
			__atomic_store_n(&slot->seen, word, __ATOMIC_SEQ_CST);
		emul_block_if(self, word);
	}
	emul_return(self);
	__atomic_store_n(&slot->sent, 0, __ATOMIC_SEQ_CST);
}

int bpf_start_hold(void)
{
	return emul_signal_start(hold);
}

/*
 * Through the program where it can: task work waits for the end of a system call
 * in which the worker may be, a signal would interrupt it.
 */
void bpf_poke(struct emul_thread *w, struct emul_thread *s)
{
	struct umcg_bpf_call poke = { .op = UMCG_BPF_POKE, .index = w->index + 1 };
	int err;

	(void)s;
	if (w == emul_self())
		return;
	err = bpf_call(&bpf_now, &poke);
	/* on its way already: that one will do */
	if (!err || err == -EBUSY)
		return;
	if (emul_signal_ours())
		sys_tgkill(emul_tid(emul_word(w)), emul_signal());
}
