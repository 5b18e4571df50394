// SPDX-License-Identifier: MIT
/*
 * Blocks on their way from the program to the emulation, and the sleep of a
 * server, which the program ends. The protocol and its barriers: shared.h.
 */
#include "bpf.h"

#define GET(word)	__atomic_load_n(&(word), __ATOMIC_SEQ_CST)
#define SET(word, to)	__atomic_store_n(&(word), (to), __ATOMIC_SEQ_CST)
#define XCHG(word, to)	__atomic_exchange_n(&(word), (to), __ATOMIC_SEQ_CST)

bool bpf_queue_empty(void)
{
	return !GET(bpf_now.slots[UMCG_BPF_QUEUE].head);
}

static struct umcg_bpf_slot *slot_of(uint32_t link)
{
	return &bpf_now.slots[(link - UMCG_BPF_LINK_FIRST) % UMCG_BPF_SLOTS];
}

static void report(struct umcg_bpf_slot *slot)
{
	struct emul_thread *w = (struct emul_thread *)(uintptr_t)GET(slot->thread);
	uint64_t seen = GET(slot->seen);					/* Q3 */

	if (!w)
		return;
	if (XCHG(slot->died, 0))
		emul_exited_if(w, emul_word(w));
	else if (seen)
		emul_block_if(w, seen);
	else
		emul_block(w);
}

void bpf_take_queue(void)
{
	uint32_t link = XCHG(bpf_now.slots[UMCG_BPF_QUEUE].head, 0);
	uint32_t oldest = UMCG_BPF_LINK_END;

	if (!link)
		return;
	/* turn it round; nobody else changes a link that is set */
	while (link != UMCG_BPF_LINK_END) {
		struct umcg_bpf_slot *slot = slot_of(link);
		uint32_t next;

		/* a push in progress is a few instructions with interrupts off */
		while ((next = GET(slot->link)) == UMCG_BPF_LINK_PENDING)
			umcg_pause_();
		SET(slot->link, oldest);
		oldest = link;
		link = next;
	}
	while (oldest != UMCG_BPF_LINK_END) {
		struct umcg_bpf_slot *slot = slot_of(oldest);

		oldest = XCHG(slot->link, UMCG_BPF_LINK_NONE);			/* Q3 */
		report(slot);
	}
}

/*
 * Until no interrupt is under way to this thread: it would cut the next call of
 * the program short. It arrives inside the futex call, which is then repeated.
 */
static void settle(struct umcg_bpf_slot *slot)
{
	uint32_t bell;

	while ((bell = GET(slot->bell))) {					/* Q2 */
		if (bell >= UMCG_BPF_RUNG)
			sys_futex_wait(&slot->bell, bell, SYS_FOREVER);
		else
			umcg_pause_();
	}
}

int bpf_sleep(struct emul_thread *s, uint64_t until)
{
	struct umcg_bpf_slot *slot = bpf_slot(s);
	uint32_t woken = UMCG_BPF_WOKEN;
	int err = 0;

	/* waiting was set before: Q1 */
	if (bpf_queue_empty())
		err = sys_futex_wait(&slot->waiting, UMCG_BPF_ASLEEP, until);
	settle(slot);
	/* fails if the wait has ended meanwhile */
	__atomic_compare_exchange_n(&slot->waiting, &woken, UMCG_BPF_ASLEEP, 0, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	bpf_take_queue();
	return err == -EAGAIN ? 0 : err;
}

void bpf_awake(struct emul_thread *s)
{
	settle(bpf_slot(s));
}
