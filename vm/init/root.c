/* SPDX-License-Identifier: MIT */
/* The host's file system, read-only below a throw-away layer. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "init.h"

#define NEWROOT "/new"

void attach(const char *type, const char *source, const char *dir, const char *options)
{
	make_dir(dir);
	if (mount(source, dir, type, 0, options))
		die(dir);
}

void build_root(const struct job *job)
{
	static const char *const hiding[] = { "/tmp", "/run", "/dev/shm" };
	int *kept = calloc(job->keep.n + 1, sizeof(*kept));
	char path[4200];

	if (!job->serial)
		attach("9p", "root", "/ro", "trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro");
	attach("tmpfs", "tmpfs", "/rw", NULL);
	make_dir("/rw/upper");
	make_dir("/rw/work");
	attach("overlay", "overlay", NEWROOT, "lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work");

	/* The project may lie below a directory that gets its own tmpfs. */
	for (size_t i = 0; i < job->keep.n; i++) {
		snprintf(path, sizeof(path), NEWROOT "%s", job->keep.v[i]);
		kept[i] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (kept[i] < 0)
			die(job->keep.v[i]);
	}

	attach("proc", "proc", NEWROOT "/proc", NULL);
	attach("sysfs", "sysfs", NEWROOT "/sys", NULL);
	attach("devtmpfs", "devtmpfs", NEWROOT "/dev", NULL);
	attach("devpts", "devpts", NEWROOT "/dev/pts", "ptmxmode=0666");
	attach("mqueue", "mqueue", NEWROOT "/dev/mqueue", NULL);
	attach("cgroup2", "cgroup2", NEWROOT "/sys/fs/cgroup", NULL);
	attach("debugfs", "debugfs", NEWROOT "/sys/kernel/debug", NULL);
	attach("tracefs", "tracefs", NEWROOT "/sys/kernel/tracing", NULL);
	for (size_t i = 0; i < sizeof(hiding) / sizeof(*hiding); i++) {
		snprintf(path, sizeof(path), NEWROOT "%s", hiding[i]);
		attach("tmpfs", "tmpfs", path, "mode=1777");
	}

	for (size_t i = 0; i < job->keep.n; i++) {
		char from[64];

		snprintf(path, sizeof(path), NEWROOT "%s", job->keep.v[i]);
		make_dir(path);
		snprintf(from, sizeof(from), "/proc/self/fd/%d", kept[i]);
		if (mount(from, path, NULL, MS_BIND, NULL))
			die(job->keep.v[i]);
		close(kept[i]);
	}
	free(kept);

	if (chdir(NEWROOT) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		die("the new root");
	/* devtmpfs has none of the links that user space takes for granted. */
	if (symlink("/proc/self/fd", "/dev/fd") || symlink("/proc/self/fd/0", "/dev/stdin") ||
	    symlink("/proc/self/fd/1", "/dev/stdout") || symlink("/proc/self/fd/2", "/dev/stderr"))
		die("/dev/fd");
}
