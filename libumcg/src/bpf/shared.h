/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * What the program in the kernel (libumcg/bpf/) and the library share: one slot
 * per registered thread in an array that both map, at emul_thread::index.
 *
 * Block, worker w that server s dispatched:
 *
 *	program, at w's switch			server, in its sleep
 *	w.seen = w's word			waiting = 1
 *	push w on the queue			full barrier
 *	bell + 1, full barrier			queue empty? sleep while waiting is 1
 *	waiting 1 -> 2 by cmpxchg		...
 *	  done: bell + RUNG - 1, interrupt s	bell 0? else not here yet: wait for it
 *	  else: bell - 1			take the queue: emul_block_if(w, w.seen)
 *
 * Pairs, all full barriers:
 *   Q1	program: push, then waiting		server: waiting = 1, then the queue.
 *						One sees the other.
 *   Q2	program: bell + 1, then waiting 1 -> 2	server: waiting is not 1 any more, then
 *						bell: an interrupt that is under way is
 *						seen, and so never hits another call
 *   Q3	program: seen, then the link		server: link = 0, then seen: never older
 *						than the entry; the entry stands for the
 *						latest block
 *
 * There is one queue: any server that begins a wait takes all of it, and looks
 * again before it sleeps, so that no entry waits for a server that is busy or gone.
 * The beginning counts, too: waits that find news never sleep, and a server may do
 * nothing else while the worker that it believes to run is in the queue, blocked.
 * It is a list through the slots and cannot overflow: a worker is on it once, and
 * emul_block_if() turns away what has become void meanwhile.
 */
#ifndef UMCG_SRC_BPF_SHARED_H
#define UMCG_SRC_BPF_SHARED_H

#include <linux/types.h>

/* Threads registered at once, and slot 0: the queue, and the library's own thread. */
#define UMCG_BPF_SLOTS		16384U
#define UMCG_BPF_QUEUE		0U

/* link: on no queue; being pushed; else the next one's index + LINK_FIRST */
#define UMCG_BPF_LINK_NONE	0U
#define UMCG_BPF_LINK_PENDING	1U
#define UMCG_BPF_LINK_END	2U
#define UMCG_BPF_LINK_FIRST	3U

/* waiting */
#define UMCG_BPF_AWAKE		0U
#define UMCG_BPF_ASLEEP		1U
#define UMCG_BPF_WOKEN		2U	/* by the program */

/* bell: interrupts under way in the upper half, those undecided in the lower */
#define UMCG_BPF_RUNG		0x10000U

struct umcg_bpf_slot {
	__u64 thread;		/* its struct emul_thread, 0 none; the library writes */
	__u64 seen;		/* worker: its word when it blocked; 0: could not be read */
	__u32 pid;		/* in the kernel's own numbers; the program writes */
	__u32 link;		/* worker: place in the queue */
	__u32 head;		/* slot 0: the queue, newest first, like link */
	__u32 waiting;		/* server: the futex it sleeps on */
	__u32 bell;		/* server */
	__u32 died;		/* worker: its thread has ended without a word */
	__u32 sent;		/* worker: the hold signal is on its way, or handled */
	/* counted; nothing depends on them */
	__u32 blocks;		/* worker: seen to block */
	__u32 held;		/* worker: hold signals */
	__u32 let_go;		/* worker: came back with the hold signal masked */
	__u32 failed;		/* the kernel refused an interrupt or a signal */
	__u32 rings;		/* server: woken by the program */
};

/* umcg_call: what a thread asks the program to do, in its own context. */
enum umcg_bpf_op {
	UMCG_BPF_INIT,		/* this process is the one to look at; @index: the hold signal */
	UMCG_BPF_ATTACH,	/* the calling thread is slot @index, tid @tid (servers) */
	UMCG_BPF_DETACH,	/* slot @index, of pid @pid, is nobody's; tid likewise */
	UMCG_BPF_POKE,		/* make slot @index see to its hold */
};

struct umcg_bpf_call {
	__u64 op;
	__u64 index;
	__u64 tid;		/* of a server, as the process knows it; 0: a worker */
	__u64 pid;
};

/* What the program reads of a struct emul_thread: its first bytes. */
struct umcg_bpf_thread {
	__u64 word;		/* tid << 32 | ... | phase */
	__u64 task;
	__u32 index;
	__u32 preempt;
	__u32 server;		/* tid of the dispatcher */
};
#define UMCG_BPF_PHASE		0x7fU
#define UMCG_BPF_AWAITED	0x80U
#define UMCG_BPF_RUNNING	2U
#define UMCG_BPF_BLOCKING	4U
#define UMCG_BPF_BLOCKED	5U

#endif /* UMCG_SRC_BPF_SHARED_H */
