// SPDX-License-Identifier: MIT
/*
 * The kernel backend: its calls are the system calls and nothing else, so all
 * promises of umcg.h are the kernel's own.
 *
 * Not by way of syscall(3), which writes errno: a scheduler calls these between
 * a program's own failed call and the program's look at errno.
 */
#include <errno.h>
#include <unistd.h>

#include "kernel.h"

static inline int call2(long nr, unsigned long a, unsigned long b)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b)
			 : "rcx", "r11", "memory");
	return (int)ret;
#else
	int saved = errno;
	long ret = syscall(nr, a, b);

	if (ret == -1) {
		ret = -errno;
		errno = saved;
	}
	return (int)ret;
#endif
}

int umcg_sys_register(struct umcg_task *self, uint32_t flags)
{
	return call2(__NR_umcg_register, (unsigned long)self, flags);
}

int umcg_sys_unregister(struct umcg_task *self)
{
	return call2(__NR_umcg_unregister, (unsigned long)self, 0);
}

int umcg_sys_wait(uint32_t flags, uint64_t abs_timeout_ns)
{
	_Static_assert(sizeof(unsigned long) == 8, "the timeout must fit a register");

	return call2(__NR_umcg_wait, flags, abs_timeout_ns);
}

int umcg_sys_kick(uint32_t flags, pid_t tid)
{
	return call2(__NR_umcg_kick, flags, (unsigned long)tid);
}

const struct umcg_backend_ops umcg_kernel_ops = {
	.caps = UMCG_CAP_BLOCK_EVENTS | UMCG_CAP_HOLD | UMCG_CAP_PREEMPT |
		UMCG_CAP_FAULT_EVENTS | UMCG_CAP_ONE_RUNNING,
	.check = umcg_kernel_check,
	.explain = umcg_kernel_explain,
	.reg = umcg_sys_register,
	.unreg = umcg_sys_unregister,
	.wait = umcg_sys_wait,
	.kick = umcg_sys_kick,
};
