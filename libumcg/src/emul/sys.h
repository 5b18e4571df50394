/* SPDX-License-Identifier: MIT */
/*
 * The few system calls of the emulation, bare: 0 or more, or -errno. Not by way
 * of libc, which writes errno, checks for cancellation, and is intercepted by
 * sanitizers that put signals off.
 */
#ifndef UMCG_SRC_EMUL_SYS_H
#define UMCG_SRC_EMUL_SYS_H

#include <errno.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#else
	int saved = errno;
	long ret = syscall(nr, a, b, c, d, e, f);

	if (ret == -1) {
		ret = -errno;
		errno = saved;
	}
	return ret;
#endif
}

/* No deadline. An hrtimer, but one that never fires: see sys_futex_wait(). */
#define SYS_FOREVER ((uint64_t)INT64_MAX)

/*
 * Until *word is not @value or woken: 0, -EAGAIN, -EINTR, -ETIMEDOUT. Always with
 * a time: without one the kernel restarts the call after a handler that was
 * installed with SA_RESTART, and nobody would learn that it has run.
 */
static inline int sys_futex_wait(uint32_t *word, uint32_t value, uint64_t until_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = (int64_t)(until_ns / 1000000000),
		.tv_nsec = (int64_t)(until_ns % 1000000000),
	};

	return (int)sys6(SYS_futex, (long)word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
			 (long)&ts, 0, FUTEX_BITSET_MATCH_ANY);
}

static inline void sys_futex_wake(uint32_t *word)
{
	sys6(SYS_futex, (long)word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
}

static inline uint64_t sys_sigmask(int how, uint64_t mask)
{
	uint64_t old = 0;

	sys6(SYS_rt_sigprocmask, how, (long)&mask, (long)&old, sizeof(mask), 0, 0);
	return old;
}

static inline uint32_t sys_gettid(void)
{
	return (uint32_t)sys6(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static inline uint32_t sys_getpid(void)
{
	return (uint32_t)sys6(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

/* -ESRCH: no such thread in this process. */
static inline int sys_tgkill(uint32_t tid, int signal)
{
	return (int)sys6(SYS_tgkill, sys_getpid(), tid, signal, 0, 0, 0);
}

static inline uint64_t sys_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#endif /* UMCG_SRC_EMUL_SYS_H */
