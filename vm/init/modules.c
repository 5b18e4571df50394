/* SPDX-License-Identifier: MIT */
/* The modules that came with us, in the order of their names; see vm/debian.py. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

#define MODULES "/modules"

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

void load_modules(void)
{
	struct dirent **found;
	int n = scandir(MODULES, &found, visible, alphasort);

	if (n < 0 && errno == ENOENT)
		return;	/* everything is built in */
	if (n < 0 || chdir(MODULES))
		die(MODULES);
	for (int i = 0; i < n; i++) {
		int fd = open(found[i]->d_name, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			die(found[i]->d_name);
		close(fd);
		free(found[i]);
	}
	free(found);
}
