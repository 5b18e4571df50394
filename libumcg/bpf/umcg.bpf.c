// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The bpf backend's program: sees a worker block and tells its server, and has
 * the worker held when it comes back. ../src/bpf/shared.h has the protocol.
 *
 * Built twice. With UMCG_TASK_WORK (Linux 6.18) the kernel's task work wakes the
 * server and runs on_return() on every way back to user space, after system calls
 * and faults alike; other processes pay for one comparison per context switch.
 * Without, a ring buffer wakes a thread of the library, and the way back is seen
 * at the end of system calls and, where the kernel lets programs look at
 * functions, of page faults.
 *
 * A thread is looked at if it is of the process that loaded the program. Its
 * struct emul_thread, in user memory, says what it is up to: read here in its own
 * context, never written, and nothing but the process's own scheduling hangs on it.
 */
#include "kernel.h"
#include "../src/bpf/shared.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Written by UMCG_BPF_INIT. An id of the kernel's own, whatever the pid namespace. */
__u32 process;
__u32 hold_signal;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UMCG_BPF_SLOTS);
	__type(key, __u32);
	__type(value, struct umcg_bpf_slot);
} slots SEC(".maps");

/* Key: a worker's pid; a server's tid with SERVER. Value: the slot. */
#define SERVER (1ULL << 32)
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UMCG_BPF_SLOTS);
	__type(key, __u64);
	__type(value, __u32);
} threads SEC(".maps");

#ifdef UMCG_TASK_WORK
struct work {
	struct bpf_task_work work;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, UMCG_BPF_SLOTS);
	__type(key, __u32);
	__type(value, struct work);
} works SEC(".maps");
#else
/* Nothing is in it that matters: its wake-up is the bell. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} bells SEC(".maps");
#endif

static struct umcg_bpf_slot *slot_at(__u32 index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

static __u32 phase_of(const struct umcg_bpf_thread *t)
{
	return (__u32)t->word & UMCG_BPF_PHASE;
}

/* False: the page is not there just now, and nothing may sleep here. */
static bool read_thread(struct umcg_bpf_thread *t, const struct umcg_bpf_slot *slot)
{
	return !bpf_probe_read_user(t, sizeof(*t), (const void *)slot->thread);
}

/* ---- Back to user space ------------------------------------------------- */

/* Is a handler of the program about to run in this thread? Then its call fails anyway. */
static bool handler_waits(struct task_struct *me)
{
	unsigned long waiting = BPF_CORE_READ(me, pending.signal.sig[0]) |
				BPF_CORE_READ(me, signal, shared_pending.signal.sig[0]);
	const char *action = (const char *)BPF_CORE_READ(me, sighand);
	unsigned long handler;

	waiting &= ~me->blocked.sig[0];
	action += bpf_core_field_offset(struct sighand_struct, action);
	action += bpf_core_field_offset(struct k_sigaction, sa);
	action += bpf_core_field_offset(struct sigaction, sa_handler);
	for (int i = 0; i < SIGNALS; i++) {
		if (waiting & 1UL << i &&
		    !bpf_probe_read_kernel(&handler, sizeof(handler), action) && handler > SIG_IGN)
			return true;
		action += bpf_core_type_size(struct k_sigaction);
	}
	return false;
}

/*
 * The caller is about to be in user space again. Hold it, if it blocked or is to
 * stop; not if a handler would turn the end of its call into EINTR (@unfinished).
 */
static void hold(struct umcg_bpf_slot *slot, struct task_struct *me, bool unfinished)
{
	struct umcg_bpf_thread t = {};

	if (!slot->thread)
		return;
	if (read_thread(&t, slot)) {
		__u32 phase = phase_of(&t);

		if (phase == UMCG_BPF_RUNNING) {
			/* it blocked in this stay, or is to stop? */
			if (slot->seen && slot->seen != t.word && !t.preempt)
				return;
		} else if (phase != UMCG_BPF_BLOCKING && phase != UMCG_BPF_BLOCKED) {
			return;
		}
		/* in the library, where it is held in any case */
		if (t.word & UMCG_BPF_AWAITED)
			return;
	}
	/* the call is about to be made again; it will be held at its next block */
	if (unfinished && !handler_waits(me))
		return;
	/*
	 * It waits for the program to unmask it if the worker is to stop: the request
	 * may come while our own handler is about to leave. Else it does not: the
	 * server must not wait for a program that may never unmask it.
	 */
	if (me->blocked.sig[0] & 1ULL << ((hold_signal - 1) & 63) && !t.preempt) {
		if (!slot->sent)
			slot->let_go++;
		return;
	}
	slot->sent = 1;
	if (bpf_send_signal_thread(hold_signal)) {
		slot->sent = 0;
		slot->failed++;
	} else {
		slot->held++;
	}
}

#ifdef UMCG_TASK_WORK

/*
 * In a call that a stop, or a signal for another thread, has cut short? It is made
 * again; some by a restart_syscall() that any handler makes fail. For that one the
 * kernel has already stepped back to the syscall instruction, whose address plus 2
 * the processor had put into cx.
 */
static bool is_unfinished(const struct pt_regs *regs)
{
	long ax = (long)regs->ax;

	if ((long)regs->orig_ax == -1)
		return false;
	if (ax == -ERESTARTNOHAND || ax == -ERESTART_RESTARTBLOCK)
		return true;
	return ax == NR_RESTART_SYSCALL && regs->ip + 2 == regs->cx;
}

static int on_return(struct bpf_map *map, void *key, void *value)
{
	struct task_struct *me = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(me);
	struct umcg_bpf_slot *slot = slot_at(*(__u32 *)key);

	if (slot)
		hold(slot, me, is_unfinished(regs));
	return 0;
}

/* In the server's context: its sleep is over, the interrupt has arrived. */
static int on_ring(struct bpf_map *map, void *key, void *value)
{
	struct umcg_bpf_slot *slot = slot_at(*(__u32 *)key);

	if (slot)
		__sync_fetch_and_sub(&slot->bell, UMCG_BPF_RUNG);
	return 0;
}

static int arm(struct task_struct *task, __u32 index)
{
	struct work *work = bpf_map_lookup_elem(&works, &index);

	return work ? bpf_task_work_schedule_resume_impl(task, &work->work, &works, on_return,
							 NULL) : -1;
}

static int interrupt(struct umcg_bpf_slot *server, __u32 index)
{
	struct work *work = bpf_map_lookup_elem(&works, &index);
	struct task_struct *task;
	int err;

	if (!work)
		return -1;
	task = bpf_task_from_pid((int)server->pid);
	if (!task)
		return -1;
	err = bpf_task_work_schedule_signal_impl(task, &work->work, &works, on_ring, NULL);
	bpf_task_release(task);
	return err;
}

#endif

/* ---- A worker blocks ---------------------------------------------------- */

static void push(struct umcg_bpf_slot *server, struct umcg_bpf_slot *slot, __u32 index)
{
	__u32 prev;

	/* full barrier: seen before the link, Q3 */
	if (__sync_val_compare_and_swap(&slot->link, UMCG_BPF_LINK_NONE, UMCG_BPF_LINK_PENDING))
		return;
	prev = __sync_lock_test_and_set(&server->head, index + UMCG_BPF_LINK_FIRST);
	if (!prev)
		prev = UMCG_BPF_LINK_END;
	__sync_lock_test_and_set(&slot->link, prev);
}

static void ring(struct umcg_bpf_slot *server, __u32 index)
{
	__sync_fetch_and_add(&server->bell, 1);					/* Q2 */
	if (__sync_val_compare_and_swap(&server->waiting, UMCG_BPF_ASLEEP, UMCG_BPF_WOKEN) !=
	    UMCG_BPF_ASLEEP) {
		__sync_fetch_and_add(&server->bell, -1);
		return;
	}
#ifdef UMCG_TASK_WORK
	__sync_fetch_and_add(&server->bell, UMCG_BPF_RUNG - 1);
	if (interrupt(server, index)) {
		/* it is gone, or the kernel is out of memory */
		server->failed++;
		__sync_fetch_and_sub(&server->bell, UMCG_BPF_RUNG);
		return;
	}
#else
	__sync_fetch_and_add(&server->bell, -1);
	if (bpf_ringbuf_output(&bells, &index, sizeof(index), BPF_RB_FORCE_WAKEUP))
		server->failed++;
#endif
	server->rings++;
}

/* News of a worker that @server_tid dispatched. */
static void tell(struct umcg_bpf_slot *slot, __u32 index, __u32 server_tid)
{
	struct umcg_bpf_slot *queue = slot_at(UMCG_BPF_QUEUE);
	struct umcg_bpf_slot *server = queue;
	__u32 to = UMCG_BPF_QUEUE;

	if (!queue)
		return;
	push(queue, slot, index);
#ifdef UMCG_TASK_WORK
	__u64 key = SERVER | server_tid;
	__u32 *found = bpf_map_lookup_elem(&threads, &key);

	/* it has gone: the next server that goes to sleep finds the entry */
	if (!found)
		return;
	to = *found;
	server = slot_at(to);
	if (!server)
		return;
#endif
	ring(server, to);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(umcg_switch, bool preempted, struct task_struct *prev, struct task_struct *next)
{
	struct umcg_bpf_thread t = {};
	struct umcg_bpf_slot *slot;
	__u32 *index, phase;
	bool traced;
	__u64 key;

	if ((__u32)prev->tgid != process)
		return 0;
	/* its state as it is now: a signal may have cancelled the sleep */
	if (preempted || !prev->__state || prev->__state & TASK_DEAD)
		return 0;
	key = (__u32)prev->pid;
	index = bpf_map_lookup_elem(&threads, &key);
	if (!index)
		return 0;
	slot = slot_at(*index);
	if (!slot || slot->pid != (__u32)prev->pid || !slot->thread)
		return 0;

	/*
	 * A stop for its tracer is no block: the hold is a signal, and where every
	 * signal and call of a worker stops it, holding it for these stops would
	 * be stops again, for ever.
	 */
	traced = prev->__state & TASK_TRACED;
	if (!read_thread(&t, slot)) {
		if (traced)
			return 0;
		/* not to be read now: look again on the other side */
		if (slot->seen)
			slot->blocks++;
		slot->seen = 0;
		tell(slot, *index, t.server);
	} else {
		phase = phase_of(&t);
		if (phase == UMCG_BPF_RUNNING && traced) {
			/* one that blocked before it was stopped is still to be held */
			if (slot->seen != t.word)
				return 0;
		} else if (phase == UMCG_BPF_RUNNING) {
			/* asleep again before it was held: still the same block */
			if (slot->seen && slot->seen != t.word)
				slot->blocks++;
			slot->seen = t.word;
			tell(slot, *index, t.server);
		} else if (phase != UMCG_BPF_BLOCKING && phase != UMCG_BPF_BLOCKED) {
			return 0;
		}
	}
#ifdef UMCG_TASK_WORK
	{
		int err = arm(prev, *index);

		/* armed already, and not back since: the same one does */
		if (err && err != -16 /* EBUSY */)
			slot->failed++;
	}
#endif
	return 0;
}

/* ---- A thread ends ------------------------------------------------------ */

SEC("tp_btf/sched_process_exit")
int BPF_PROG(umcg_exit, struct task_struct *p)
{
	struct umcg_bpf_thread t = {};
	struct umcg_bpf_slot *slot;
	__u32 *found, index;
	__u64 key;

	if ((__u32)p->tgid != process)
		return 0;
	key = (__u32)p->pid;
	found = bpf_map_lookup_elem(&threads, &key);
	if (!found)
		return 0;
	index = *found;
	bpf_map_delete_elem(&threads, &key);
	slot = slot_at(index);
	if (!slot || !slot->thread)
		return 0;
	__sync_lock_test_and_set(&slot->died, 1);
	/* before Linux 6.16 its memory is gone by now: server 0 */
	read_thread(&t, slot);
	tell(slot, index, t.server);
	return 0;
}

/* ---- What threads ask for ----------------------------------------------- */

static int attach(struct umcg_bpf_slot *slot, __u32 index, __u32 tid)
{
	struct task_struct *me = bpf_get_current_task_btf();
	__u64 key = tid ? SERVER | tid : (__u32)me->pid;

	slot->pid = (__u32)me->pid;
#ifdef UMCG_TASK_WORK
	/* once for nothing: what it allocates stays, so that later ones cannot fail */
	int err;

	if (tid) {
		__sync_fetch_and_add(&slot->bell, UMCG_BPF_RUNG);
		err = interrupt(slot, index);
		if (err)
			__sync_fetch_and_sub(&slot->bell, UMCG_BPF_RUNG);
	} else {
		err = arm(me, index);
	}
	if (err)
		return err;
#endif
	return (int)bpf_map_update_elem(&threads, &key, &index, BPF_ANY);
}

static void detach(__u32 index, __u32 tid, __u32 pid)
{
	__u64 key = tid ? SERVER | tid : pid;
	__u32 *now = bpf_map_lookup_elem(&threads, &key);

	/* the number may be somebody else's by now */
	if (now && *now == index)
		bpf_map_delete_elem(&threads, &key);
}

SEC("syscall")
int umcg_call(struct umcg_bpf_call *call)
{
	struct task_struct *me = bpf_get_current_task_btf();
	__u32 index = (__u32)call->index;
	struct umcg_bpf_slot *slot;

	if (call->op == UMCG_BPF_INIT) {
		hold_signal = index;
		process = (__u32)me->tgid;
		return 0;
	}
	slot = slot_at(index);
	if (!slot)
		return -1;
	switch (call->op) {
	case UMCG_BPF_ATTACH:
		return attach(slot, index, (__u32)call->tid);
	case UMCG_BPF_DETACH:
		detach(index, (__u32)call->tid, (__u32)call->pid);
		return 0;
#ifdef UMCG_TASK_WORK
	case UMCG_BPF_POKE: {
		struct task_struct *task = bpf_task_from_pid((int)slot->pid);
		int err;

		if (!task)
			return -1;
		err = arm(task, index);
		bpf_task_release(task);
		return err;
	}
#endif
	}
	return -1;
}

/* ---- Without task work -------------------------------------------------- */

#ifndef UMCG_TASK_WORK

static struct umcg_bpf_slot *own_slot(struct task_struct *me)
{
	struct umcg_bpf_slot *slot;
	__u32 *index;
	__u64 key;

	if ((__u32)me->tgid != process)
		return NULL;
	key = (__u32)me->pid;
	index = bpf_map_lookup_elem(&threads, &key);
	slot = index ? slot_at(*index) : NULL;
	return slot && slot->pid == (__u32)me->pid ? slot : NULL;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(umcg_sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *me = bpf_get_current_task_btf();
	struct umcg_bpf_slot *slot = own_slot(me);

	if (slot)
		hold(slot, me, ret == -ERESTARTNOHAND || ret == -ERESTART_RESTARTBLOCK);
	return 0;
}

/*
 * Only faults of user code: a signal in the middle of a system call would cut its
 * next sleep short. Not one that is about to be repeated, either: the signal
 * would cut the repetition short, again and again.
 */
SEC("fexit/handle_mm_fault")
int BPF_PROG(umcg_fault, void *vma, unsigned long address, unsigned int flags,
	     struct pt_regs *regs, unsigned int ret)
{
	struct task_struct *me = bpf_get_current_task_btf();
	struct umcg_bpf_slot *slot;

	if (!(flags & FAULT_FLAG_USER) || ret & VM_FAULT_RETRY)
		return 0;
	slot = own_slot(me);
	if (slot)
		hold(slot, me, false);
	return 0;
}

#endif
