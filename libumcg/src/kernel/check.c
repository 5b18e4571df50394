// SPDX-License-Identifier: MIT
/*
 * Does the kernel backend work here, and if not, why? Found out by doing, not
 * by version: a kick that must fail tells whether the calls exist, and a
 * thread that registers and unregisters at once tells whether it may.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel.h"

#define SYSCTL "/proc/sys/kernel/umcg_disabled"
#define INDENT "  "

/* Answers that are no errno value of ours to explain: "it works". */
static int works(int reg)
{
	/*
	 * EBUSY: this thread is registered, so it did work. ENOMEM: for now;
	 * umcg_register() is the one to report it.
	 */
	return !reg || reg == -EBUSY || reg == -ENOMEM;
}

struct finding {
	int kick;	/* -EINVAL: the calls are there */
	int reg;	/* then: what registering returned */
};

static struct finding look(void)
{
	struct finding f = { .reg = -ENOMEM };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *task;

	/* no flag is defined, so this can do nothing but fail */
	f.kick = umcg_sys_kick(~0U, -1);
	if (f.kick != -EINVAL)
		return f;

	task = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (task == MAP_FAILED)
		return f;
	f.reg = umcg_sys_register(task, UMCG_REG_SERVER);
	if (!f.reg)
		umcg_sys_unregister(task);
	munmap(task, page);
	return f;
}

int umcg_kernel_check(void)
{
	struct finding f = look();

	if (f.kick != -EINVAL)
		return f.kick < 0 ? f.kick : -ENOSYS;
	return works(f.reg) ? 0 : f.reg;
}

/* The start of a small file as a string, "" if there is none. */
static void read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* A number from a line "Name:  value" of /proc/self/status, -1 if not there. */
static long status_number(const char *name)
{
	char buf[8192], key[32];
	const char *at;

	read_file("/proc/self/status", buf, sizeof(buf));
	snprintf(key, sizeof(key), "\n%s:", name);
	at = strstr(buf, key);
	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void explain_absent(struct umcg_text *text)
{
	struct utsname name;

	uname(&name);
	umcg_textf(text, "no. This kernel (%s %s, %s) has no umcg_register() system call.\n",
		   name.sysname, name.release, name.machine);
	umcg_textf(text, INDENT "Boot Linux 6.12 with the patch series of the UMCG project "
		   "(kernel-patch/), built with CONFIG_UMCG=y,\n"
		   INDENT "or use a backend that runs on a stock kernel: bpf or portable, "
		   "where they are built in.\n");
	if (status_number("Seccomp") == 2)
		umcg_textf(text, INDENT "A seccomp filter is on in this process; it may hide the call "
			   "by answering ENOSYS. Let it allow the calls %d to %d.\n",
			   __NR_umcg_register, __NR_umcg_kick);
}

static void explain_denied(struct umcg_text *text)
{
	umcg_textf(text, "no. A seccomp filter or a security module denies the system calls: "
		   "umcg_kick() fails with EPERM.\n");
	umcg_textf(text, INDENT "Let the filter (of the container, or of systemd's "
		   "SystemCallFilter=) allow the calls %d to %d.\n",
		   __NR_umcg_register, __NR_umcg_kick);
}

static void explain_refused(struct umcg_text *text)
{
	char value[16];

	read_file(SYSCTL, value, sizeof(value));
	value[strcspn(value, "\n")] = '\0';
	umcg_textf(text, "no. The kernel has UMCG, but umcg_register() fails with EPERM.\n");
	if (!strcmp(value, "1") || !strcmp(value, "2"))
		umcg_textf(text, INDENT "sysctl kernel.umcg_disabled is %s: %s may register. "
			   "As root: sysctl -w kernel.umcg_disabled=0\n", value,
			   *value == '1' ? "only processes with CAP_SYS_ADMIN" : "nobody");
	else
		umcg_textf(text, INDENT "See sysctl kernel.umcg_disabled (now \"%s\") and the "
			   "process's seccomp filter.\n", value);
}

static void explain_memlock(struct umcg_text *text, int reg)
{
	unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
	unsigned long tasks = page / sizeof(struct umcg_task);
	struct rlimit limit;
	long pinned = status_number("VmPin");

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY) {
		umcg_textf(text, INDENT "RLIMIT_MEMLOCK: unlimited.\n");
	} else {
		umcg_textf(text, INDENT "RLIMIT_MEMLOCK: %lu KiB, of which %ld KiB are pinned; room for "
			   "%lu tasks from umcg_task_alloc() in all (%lu share a page) "
			   "without CAP_IPC_LOCK.\n",
			   (unsigned long)limit.rlim_cur / 1024, pinned < 0 ? 0 : pinned,
			   (unsigned long)limit.rlim_cur / page * tasks, tasks);
	}
	if (reg == -ENOMEM)
		umcg_textf(text, INDENT "That is too low now: registering a thread fails with ENOMEM. "
			   "Raise it with ulimit -l,\n" INDENT "in /etc/security/limits.conf, "
			   "or by LimitMEMLOCK= of the systemd unit.\n");
}

void umcg_kernel_explain(struct umcg_text *text)
{
	struct finding f = look();

	if (f.kick == -ENOSYS) {
		explain_absent(text);
	} else if (f.kick == -EPERM || f.kick == -EACCES) {
		explain_denied(text);
	} else if (f.kick != -EINVAL) {
		umcg_textf(text, "no. System call %d is not umcg_kick(): it returned %d where "
			   "-EINVAL is due. This kernel uses the number for something else.\n",
			   __NR_umcg_kick, f.kick);
	} else if (works(f.reg)) {
		umcg_textf(text, "yes. The kernel has UMCG.\n");
		explain_memlock(text, f.reg);
	} else if (f.reg == -EPERM) {
		explain_refused(text);
	} else {
		umcg_textf(text, "no. The kernel has UMCG, but umcg_register() fails with errno %d "
			   "(%s), which this libumcg cannot explain.\n", -f.reg, strerror(-f.reg));
	}
}
