// SPDX-License-Identifier: MIT
/* The bpf backend's table; threads come and go. */
#include <pthread.h>

#include "bpf.h"

_Static_assert(offsetof(struct emul_thread, word) == offsetof(struct umcg_bpf_thread, word), "");
_Static_assert(offsetof(struct emul_thread, preempt) == offsetof(struct umcg_bpf_thread, preempt), "");
_Static_assert(offsetof(struct emul_thread, server) == offsetof(struct umcg_bpf_thread, server), "");
_Static_assert(EMUL_PHASE == UMCG_BPF_PHASE && EMUL_AWAITED == UMCG_BPF_AWAITED &&
	       EMUL_RUNNING == UMCG_BPF_RUNNING &&
	       EMUL_BLOCKING == UMCG_BPF_BLOCKING && EMUL_BLOCKED == UMCG_BPF_BLOCKED, "");
_Static_assert(sizeof(struct umcg_bpf_slot) == 64, "one cache line");

struct bpf_loaded bpf_now;

/* The program of the parent: it looks at the parent's threads, in the parent's memory. */
static void in_child(void)
{
	bpf_unload(&bpf_now);
}

static int attach(struct emul_thread *t, bool worker);
static void detach(struct emul_thread *t, bool worker);

static struct emul_backend emul = {
	.attach = attach,
	.detach = detach,
	.poke = bpf_poke,
};

/* Under umcg_lock(), before any thread of this process is registered. */
static int load_now(void)
{
	struct bpf_loaded loaded;
	struct bpf_reason why;
	int err;

	if (bpf_now.slots)
		return 0;
	err = bpf_load(&loaded, &why);
	if (!err)
		err = bpf_attach(&loaded, bpf_hold_signal());
	if (err)
		return err;
	emul.look = loaded.task_work ? bpf_take_queue : NULL;
	emul.sleep = loaded.task_work ? bpf_sleep : NULL;
	emul.awake = loaded.task_work ? bpf_awake : NULL;
	/* before its thread starts, which looks there */
	bpf_now = loaded;
	if (!loaded.task_work)
		err = bpf_start_bell_thread(&loaded);
	if (err)
		bpf_unload(&bpf_now);
	return err;
}

/* Loaded; in the child of a fork() it is not, and loads its own. */
static int ready(void)
{
	int err;

	umcg_lock();
	err = load_now();
	umcg_unlock();
	return err;
}

static int attach(struct emul_thread *t, bool worker)
{
	struct umcg_bpf_call call = {
		.op = UMCG_BPF_ATTACH,
		.index = t->index + 1,
		.tid = worker ? 0 : emul_tid(emul_word(t)),
	};
	struct umcg_bpf_slot *slot;
	int err = ready();

	if (err)
		return err;
	if (t->index + 1 >= UMCG_BPF_SLOTS)
		return -ENOMEM;
	slot = bpf_slot(t);
	/* not the link: an entry of whoever was here may be in the queue still */
	__atomic_store_n(&slot->seen, ~0ULL, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->waiting, UMCG_BPF_AWAKE, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->died, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->sent, 0, __ATOMIC_SEQ_CST);
	slot->blocks = slot->held = slot->let_go = slot->failed = slot->rings = 0;
	__atomic_store_n(&slot->thread, (uint64_t)(uintptr_t)t, __ATOMIC_SEQ_CST);
	err = bpf_call(&bpf_now, &call);
	if (err) {
		__atomic_store_n(&slot->thread, 0, __ATOMIC_SEQ_CST);
		return err == -EPERM || err == -ENOMEM ? err : -ENOMEM;
	}
	if (!worker && bpf_now.task_work)
		t->waiting = &slot->waiting;
	return 0;
}

static void detach(struct emul_thread *t, bool worker)
{
	struct umcg_bpf_slot *slot = bpf_slot(t);
	struct umcg_bpf_call call = {
		.op = UMCG_BPF_DETACH,
		.index = t->index + 1,
		.tid = worker ? 0 : emul_tid(emul_word(t)),
		.pid = slot->pid,
	};

	__atomic_store_n(&slot->thread, 0, __ATOMIC_SEQ_CST);
	/* if bpf(2) is denied by now, the program finds no thread there */
	(void)bpf_call(&bpf_now, &call);
}


static int start(void)
{
	int err = load_now();

	if (!err)
		err = bpf_start_hold();
	if (!err)
		err = -pthread_atfork(NULL, NULL, in_child);
	return err ? err : emul_start(&emul);
}

/* Not after faults, on kernels whose programs cannot look at functions. */
static uint32_t missing(void)
{
	return bpf_now.faults ? 0 : UMCG_CAP_FAULT_EVENTS | UMCG_CAP_HOLD;
}

/*
 * Not UMCG_CAP_ONE_RUNNING: the hold is armed by an interrupt on the CPU that the
 * worker leaves, and one that is woken at once elsewhere may be faster.
 */
const struct umcg_backend_ops umcg_bpf_ops = {
	.caps = UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_HOLD | UMCG_CAP_PREEMPT |
		UMCG_CAP_FAULT_EVENTS | UMCG_CAP_BY_SIGNAL,
	.missing = missing,
	.check = bpf_check,
	.explain = bpf_explain,
	.start = start,
	.checkpoint = emul_checkpoint,
	.reg = emul_register,
	.unreg = emul_unregister,
	.wait = emul_wait,
	.kick = emul_kick,
};
