/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init.h"

static char *next_string(FILE *f)
{
	char *s = NULL;
	size_t size = 0;

	if (getdelim(&s, &size, 0, f) < 0) {
		errno = EBADMSG;
		die("/job");
	}
	return s;
}

static struct list next_list(FILE *f)
{
	struct list l = { .n = strtoul(next_string(f), NULL, 10) };

	l.v = calloc(l.n + 1, sizeof(*l.v));
	if (!l.v)
		die("/job");
	for (size_t i = 0; i < l.n; i++)
		l.v[i] = next_string(f);
	return l;
}

struct job read_job(void)
{
	FILE *f = fopen("/job", "re");
	struct job job = { 0 };
	char *flags;

	if (!f)
		die("/job");
	flags = next_string(f);
	job.counting = strchr(flags, 'c');
	job.leak_check = strchr(flags, 'l');
	job.serial = strchr(flags, 's');
	job.cwd = next_string(f);
	job.keep = next_list(f);
	job.env = next_list(f);
	job.args = next_list(f);
	fclose(f);
	return job;
}
