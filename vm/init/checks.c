/* SPDX-License-Identifier: MIT */
/* What must be true when the command and all that it left behind have gone. */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

static long counter(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

/*
 * Every page pinned must have been unpinned once nobody is left. The last
 * references go after a grace period, so look again for a bounded time.
 */
void check_pins(void)
{
	static char text[32768];
	long acquired = -1, released = -1;

	for (int i = 0; i < 50; i++) {
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
		/* folds the per-CPU differences into the counters */
		write_file("/proc/sys/vm/stat_refresh", "1");
		if (!read_file("/proc/vmstat", text, sizeof(text)))
			die("/proc/vmstat");
		acquired = counter(text, "nr_foll_pin_acquired ");
		released = counter(text, "nr_foll_pin_released ");
		if (acquired < 0 || released < 0) {
			errno = ENODATA;
			die("nr_foll_pin_acquired and nr_foll_pin_released in /proc/vmstat");
		}
		if (acquired == released)
			break;
		usleep(100000);
	}
	tell("pins %ld %ld", acquired, released);
}

/*
 * kmemleak reports objects that are older than five seconds and were found
 * unreferenced; its report goes to the kernel log, where the host sees it.
 */
void check_leaks(void)
{
	static char text[65536];
	const char *leaks = "/sys/kernel/debug/kmemleak";

	if (access(leaks, W_OK))
		return;
	sleep(6);
	if (!write_file(leaks, "scan") || !write_file(leaks, "scan"))
		die(leaks);
	if (!read_file(leaks, text, sizeof(text)))
		die(leaks);
	if (!text[0])
		return;
	for (char *save, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char record[512];

		snprintf(record, sizeof(record), "<4>kmemleak: %s", line);
		write_file("/dev/kmsg", record);
	}
}
