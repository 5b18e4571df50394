/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * The few kernel types and functions that the program uses; where the fields are
 * comes from the running kernel's BTF when the program is loaded.
 */
#ifndef UMCG_BPF_KERNEL_H
#define UMCG_BPF_KERNEL_H

#include <linux/bpf.h>
/* after it */
#include <bpf/bpf_helpers.h>
/* after that */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define bool _Bool
#define true 1
#define false 0
#ifndef NULL
#define NULL ((void *)0)
#endif

#define TASK_TRACED		0x08U	/* of it the bit that says so */
#define TASK_DEAD		0x80U
#define FAULT_FLAG_USER		0x40U
#define VM_FAULT_RETRY		0x400U

#define NR_RESTART_SYSCALL	219	/* x86-64 */
#define SIG_IGN			1UL
#define SIGNALS			64
#define ERESTARTNOHAND		514
#define ERESTART_RESTARTBLOCK	516

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	unsigned long sig[1];
} sigset_t;

struct sigpending {
	sigset_t signal;
};

struct signal_struct {
	struct sigpending shared_pending;
};

struct sigaction {
	void *sa_handler;
};

struct k_sigaction {
	struct sigaction sa;
};

struct sighand_struct {
	struct k_sigaction action[64];
};

struct task_struct {
	int pid;
	int tgid;
	unsigned int __state;
	sigset_t blocked;
	struct sigpending pending;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
};

struct pt_regs {
	unsigned long cx;
	unsigned long ax;
	unsigned long orig_ax;
	unsigned long ip;
};

#pragma clang attribute pop

/* Of another size in the kernel: only their kind is compared. */
struct bpf_map {
	int id;
};

struct bpf_task_work {
	__u64 __opaque;
} __attribute__((aligned(8)));

typedef int (*work_fn)(struct bpf_map *map, void *key, void *value);

/*
 * Since 6.18: run a function of the program in the context of @task, before it is
 * in user space again; _signal interrupts its sleep for that, _resume does not.
 */
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw,
					      void *map__map, work_fn callback,
					      void *aux__prog) __weak __ksym;
extern int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *tw,
					      void *map__map, work_fn callback,
					      void *aux__prog) __weak __ksym;
extern struct task_struct *bpf_task_from_pid(int pid) __weak __ksym;
extern void bpf_task_release(struct task_struct *p) __weak __ksym;

#endif /* UMCG_BPF_KERNEL_H */
