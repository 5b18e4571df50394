// SPDX-License-Identifier: MIT
/*
 * The program into the kernel. What this kernel can do is found out by trying: an
 * image after the other, with and without the parts that it may refuse. Versions
 * are not asked. Nothing is pinned: all of it goes with its descriptors.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "bpf.h"
#include "late_libbpf.h"

/* of them only the images: their functions call libbpf directly */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "umcg_bpf_plain.skel.h"
#include "umcg_bpf_task_work.skel.h"
#pragma GCC diagnostic pop

#define LOG_SIZE (1U << 20)
#define BTF "/sys/kernel/btf/vmlinux"

/* Those that are attached; umcg_fault is left out where the kernel refuses it. */
static const char *const programs[] = {
	"umcg_switch", "umcg_exit", "umcg_sys_exit", "umcg_fault",
};
_Static_assert(sizeof(programs) / sizeof(programs[0]) == BPF_MAX_LINKS, "room for each");

static long sys_bpf(int cmd, union bpf_attr *attr)
{
	return sys6(SYS_bpf, cmd, (long)attr, sizeof(*attr), 0, 0, 0);
}

static int copy_fd(int fd)
{
	return (int)sys6(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3, 0, 0, 0);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		sys6(SYS_close, *fd, 0, 0, 0, 0, 0);
	*fd = -1;
}

void bpf_unload(struct bpf_loaded *l)
{
	for (int i = 0; i < BPF_MAX_LINKS; i++) {
		close_fd(&l->to_attach[i]);
		close_fd(&l->links[i]);
	}
	l->n_links = 0;
	close_fd(&l->call);
	close_fd(&l->map);
	if (l->slots)
		sys6(SYS_munmap, (long)l->slots, sizeof(*l->slots) * UMCG_BPF_SLOTS, 0, 0, 0, 0);
	l->slots = NULL;
}

/* ---- Why not ------------------------------------------------------------ */

__attribute__((format(printf, 3, 4)))
static int because(struct bpf_reason *why, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return why->err = err;
}

/* The verifier's words in a file; its name, or what became of it. */
static void keep_log(const char *log, char *name, size_t size)
{
	const char *dir = secure_getenv("TMPDIR");
	FILE *file;
	int fd;

	snprintf(name, size, "%s/umcg-bpf-XXXXXX.log", dir && *dir ? dir : "/tmp");
	fd = mkostemps(name, 4, O_CLOEXEC);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file) {
		if (fd >= 0)
			close(fd);
		snprintf(name, size, "lost, no file could be made in %.100s",
			 dir && *dir ? dir : "/tmp");
		return;
	}
	fputs(log, file);
	fclose(file);
}

/* Effective capabilities; all of them if that cannot be known. */
static uint64_t capabilities(void)
{
	unsigned long long caps = ~0ULL;
	char line[256];
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	}
	if (file)
		fclose(file);
	return caps;
}

#define CAP_SYS_ADMIN	21
#define CAP_PERFMON	38
#define CAP_BPF		39

/* What is looked at before libbpf says it in its own way, or not at all. */
static int look_around(struct bpf_reason *why)
{
	union bpf_attr attr;
	uint64_t caps = capabilities();
	bool admin = caps & 1ULL << CAP_SYS_ADMIN;
	bool can_bpf = admin || caps & 1ULL << CAP_BPF;
	bool can_perf = admin || caps & 1ULL << CAP_PERFMON;
	long err;

	/* of a descriptor that is none: EBADF from a bpf(2) that may be called */
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)-1;
	err = sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (err == -ENOSYS && prctl(PR_GET_SECCOMP) != 2)
		return because(why, -ENOSYS, "This kernel has no bpf() system call "
			       "(CONFIG_BPF_SYSCALL).");
	if ((err == -ENOSYS || err == -EPERM || err == -EACCES) && prctl(PR_GET_SECCOMP) == 2)
		return because(why, -EPERM, "A seccomp filter denies bpf(2): errno %ld (%s). Let "
			       "the filter of the container, or systemd's SystemCallFilter=, allow it.",
			       -err, strerror((int)-err));
	if (!can_bpf || !can_perf)
		return because(why, -EPERM, "The process has not got the capabilit%s %s%s%s. Grant "
			       "both: setcap cap_bpf,cap_perfmon+ep PROGRAM, systemd's "
			       "AmbientCapabilities=CAP_BPF CAP_PERFMON, or run it as root.",
			       can_bpf || can_perf ? "y" : "ies", can_bpf ? "" : "CAP_BPF",
			       can_bpf || can_perf ? "" : " and ", can_perf ? "" : "CAP_PERFMON");
	if (access(BTF, R_OK))
		return because(why, -errno, "The kernel's type information, %s, cannot be read: %s. It "
			       "needs a kernel with CONFIG_DEBUG_INFO_BTF=y and a mounted /sys.",
			       BTF, strerror(errno));
	return 0;
}

static int explain_load(const struct bpf_image *image, int err, const char *log,
			struct bpf_reason *why)
{
	char name[256];

	/* libbpf asks for a log of every failure, and the verifier may have been content */
	if (*log && err != -ENOMEM && err != -EAGAIN && err != -EMFILE && err != -ENFILE) {
		keep_log(log, name, sizeof(name));
		return because(why, err, "The kernel refuses the program (%s): errno %d (%s). The "
			       "verifier's log: %s", image->name, -err, strerror(-err), name);
	}
	if (err == -EAGAIN)
		return because(why, err, "The process was stopped again and again while the "
			       "verifier looked at the program.");
	if (err == -ENOMEM)
		return because(why, err, "No memory for the program's maps (about 3 MB): the memory "
			       "cgroup's limit.");
	if (err == -EMFILE || err == -ENFILE)
		return because(why, err, "Too many open files: it needs 12 descriptors for a moment, "
			       "and keeps 4 to 6 (ulimit -n).");
	return because(why, err, "The program (%s) cannot be loaded: errno %d (%s).", image->name,
		       -err, strerror(-err));
}

/* ---- Loading ------------------------------------------------------------ */

static int take_descriptors(struct bpf_object *object, struct bpf_loaded *l)
{
	struct bpf_program *p = libbpf.bpf_object__find_program_by_name(object, "umcg_call");
	int slots = libbpf.bpf_object__find_map_fd_by_name(object, "slots");
	long at;

	l->call = p ? copy_fd(libbpf.bpf_program__fd(p)) : -ENOENT;
	if (l->call < 0)
		return l->call;
	for (int i = 0; i < BPF_MAX_LINKS; i++) {
		p = libbpf.bpf_object__find_program_by_name(object, programs[i]);
		if (!p || libbpf.bpf_program__fd(p) < 0)
			continue;
		l->to_attach[i] = copy_fd(libbpf.bpf_program__fd(p));
		if (l->to_attach[i] < 0)
			return l->to_attach[i];
	}
	/* the kernel does no task work for a map that no descriptor refers to */
	l->map = copy_fd(libbpf.bpf_object__find_map_fd_by_name(object, l->task_work ? "works" :
								"bells"));
	if (l->map < 0)
		return l->map;
	at = sys6(SYS_mmap, 0, sizeof(*l->slots) * UMCG_BPF_SLOTS, PROT_READ | PROT_WRITE,
		  MAP_SHARED, slots, 0);
	if ((unsigned long)at > -4096UL)
		return (int)at;
	l->slots = (struct umcg_bpf_slot *)at;
	return 0;
}

static int try_load(const struct bpf_image *image, bool faults, char *log, struct bpf_loaded *l)
{
	struct bpf_object_open_opts opts;
	struct bpf_object *object;
	struct bpf_program *p;
	int err;

	*log = '\0';
	/* libbpf looks at the padding, too */
	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.object_name = "umcg";
	opts.kernel_log_buf = log;
	opts.kernel_log_size = LOG_SIZE;
	object = libbpf.bpf_object__open_mem(image->bytes, image->size, &opts);
	if (!object)
		return -errno;
	p = libbpf.bpf_object__find_program_by_name(object, "umcg_fault");
	if (p)
		libbpf.bpf_program__set_autoload(p, faults);
	err = libbpf.bpf_object__load(object);
	if (!err) {
		l->task_work = image->task_work;
		l->faults = image->task_work || faults;
		err = take_descriptors(object, l);
		*log = '\0';
	}
	libbpf.bpf_object__close(object);
	if (err)
		bpf_unload(l);
	return err;
}

int bpf_load_image(const struct bpf_image *image, struct bpf_loaded *l, struct bpf_reason *why)
{
	char *log = malloc(LOG_SIZE);
	struct bpf_reason unwanted;
	libbpf_print_fn_t print;
	uint64_t mask;
	int err;

	if (!why)
		why = &unwanted;

	*l = (struct bpf_loaded){ .call = -1, .map = -1, .to_attach = { -1, -1, -1, -1 },
				  .links = { -1, -1, -1, -1 } };
	if (!log)
		return because(why, -ENOMEM, "No memory.");
	/* it belongs to the program, which may use libbpf as well */
	print = libbpf.libbpf_set_print(NULL);
	/* the verifier gives up when a signal comes */
	mask = sys_sigmask(SIG_BLOCK, emul_mask());
	err = try_load(image, true, log, l);
	if (err && !image->task_work)
		err = try_load(image, false, log, l);
	sys_sigmask(SIG_SETMASK, mask);
	libbpf.libbpf_set_print(print);
	if (err && why != &unwanted)
		explain_load(image, err, log, why);
	free(log);
	return err;
}

bool bpf_without_task_work;

int bpf_load(struct bpf_loaded *l, struct bpf_reason *why)
{
	struct bpf_image with = { .name = "with task work", .task_work = true };
	struct bpf_image without = { .name = "without task work" };
	int err = bpf_find_libbpf(why);

	if (!err)
		err = look_around(why);
	if (err)
		return err;
	with.bytes = umcg_bpf_task_work__elf_bytes(&with.size);
	without.bytes = umcg_bpf_plain__elf_bytes(&without.size);
	if (!bpf_without_task_work && !bpf_load_image(&with, l, NULL))
		return 0;
	return bpf_load_image(&without, l, why);
}

/* ---- In use ------------------------------------------------------------- */

int bpf_call(const struct bpf_loaded *l, const struct umcg_bpf_call *call)
{
	struct umcg_bpf_call ctx = *call;
	union bpf_attr attr;
	long err;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)l->call;
	attr.test.ctx_in = (uint64_t)(uintptr_t)&ctx;
	attr.test.ctx_size_in = sizeof(ctx);
	err = sys_bpf(BPF_PROG_TEST_RUN, &attr);
	return err < 0 ? (int)err : (int)attr.test.retval;
}

int bpf_attach(struct bpf_loaded *l, int signal)
{
	struct umcg_bpf_call init = { .op = UMCG_BPF_INIT, .index = (uint64_t)signal };
	int err = bpf_call(l, &init);

	for (int i = 0; i < BPF_MAX_LINKS && !err; i++) {
		union bpf_attr attr;
		long fd;

		if (l->to_attach[i] < 0)
			continue;
		memset(&attr, 0, sizeof(attr));
		attr.raw_tracepoint.prog_fd = (uint32_t)l->to_attach[i];
		fd = sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
		if (fd < 0)
			err = (int)fd;
		else
			l->links[l->n_links++] = (int)fd;
		close_fd(&l->to_attach[i]);
	}
	if (err)
		bpf_unload(l);
	return err;
}
