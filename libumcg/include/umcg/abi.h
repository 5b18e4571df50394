/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
#ifndef _UAPI_LINUX_UMCG_H
#define _UAPI_LINUX_UMCG_H

#include <linux/types.h>

/*
 * User-managed concurrency groups: a server thread decides which worker
 * thread runs, and learns at once when that worker blocks in the kernel.
 * Documentation/userspace-api/umcg.rst is the contract.
 */

/* umcg_task::state, low byte */
#define UMCG_TASK_NONE			0x0000U	/* not registered */
#define UMCG_TASK_RUNNING		0x0001U
#define UMCG_TASK_RUNNABLE		0x0002U	/* worker: wants to be picked; server: waits */
#define UMCG_TASK_BLOCKED		0x0003U	/* worker: stopped inside the kernel */
#define UMCG_TASK_MASK			0x00ffU
/* umcg_task::state, flags */
#define UMCG_TF_IDLE			0x0100U	/* server waits and has no worker running */
#define UMCG_TF_PREEMPTED		0x0200U	/* worker was stopped, it did not stop itself */
#define UMCG_TF_PREEMPT_PENDING		0x0400U	/* wanted, but UMCG_UF_LOCKED was set */
#define UMCG_TF_EXITED			0x0800U	/* thread is gone */

/* umcg_task::user_flags */
#define UMCG_UF_LOCKED			0x01U	/* worker: no block report, no preemption */
#define UMCG_UF_WAKE_ON_RUNNABLE	0x02U	/* server: wake it even if a worker runs */
#define UMCG_UF_DIRECT_RESUME		0x04U	/* server: when idle, a worker may replace it */
#define UMCG_UF_QUIET			0x08U	/* server: nothing queued, do not wake it */

/* What a worker's blocked_ptr or runnable_ptr holds when it is no address */
#define UMCG_LINK_NONE			0ULL	/* on no list; written by the consumer */
#define UMCG_LINK_PENDING		1ULL	/* being pushed, wait for it */
#define UMCG_LINK_END			2ULL	/* last of its list */

/* umcg_register() flags, one of */
#define UMCG_REG_SERVER			0x1U
#define UMCG_REG_WORKER			0x2U

/* umcg_wait() flags */
#define UMCG_WAIT_PREEMPT		0x1U	/* server: at the timeout stop the worker */
#define UMCG_WAIT_ENQUEUE		0x2U	/* worker: put me on the runnable list */

/*
 * One per task, in anonymous memory, 64-byte aligned. It belongs to the kernel
 * until tid is 0 again and, for a worker, both links are UMCG_LINK_NONE.
 *
 * next_tid names whom to run. On a server everybody changes it by cmpxchg only:
 * to make it zero is to own the worker that it named.
 */
struct umcg_task {
	__u32	state;		/* kernel writes */
	__u32	tid;		/* kernel writes, at register; 0: it has let go */
	__u32	server_tid;	/* user writes; worker: home, told when it may run */
	__u32	next_tid;	/* user and kernel write */
	__u64	blocked_ptr;	/* server: those that blocked or exited; worker: link */
	__u64	runnable_ptr;	/* server: those that want to run; worker: link */
	__u32	user_flags;	/* user writes */
	__u32	peer_tid;	/* user writes; server: who helps while it is busy */
	__u32	running_tid;	/* kernel writes; server: its worker; worker: its server */
	__u32	seq;		/* kernel writes; counts its changes of state */
	__u64	stamp;		/* kernel writes; ns when it became BLOCKED or RUNNABLE */
	__u64	reserved;	/* 0 */
} __attribute__((aligned(64)));

#endif /* _UAPI_LINUX_UMCG_H */
