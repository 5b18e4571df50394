// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static double ticks_per_unit = 1;

void bench_unit(double ticks)
{
	ticks_per_unit = ticks;
}

void report(const struct bench_case *c, const char *metric, double value)
{
	/* a count is no time */
	if (strcmp(metric, "per_second"))
		value /= ticks_per_unit;
	printf("%s\t%s\t%.1f\n", c->name, metric, value);
	fflush(stdout);
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

void must(int ret, const char *what)
{
	if (ret)
		fail("%s: %s", what, strerror(-ret));
}

pthread_t start(void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;

	must(-pthread_create(&thread, NULL, fn, arg), "pthread_create");
	return thread;
}

void join(pthread_t thread)
{
	must(-pthread_join(thread, NULL), "pthread_join");
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t percentile(uint64_t *v, size_t n, double percent)
{
	size_t i = (size_t)((double)n * percent / 100);

	if (!n)
		fail("a percentile of nothing");
	qsort(v, n, sizeof(*v), compare);
	return v[i < n ? i : n - 1];
}

double meter_median(const struct meter *m)
{
	uint64_t v[METER_ROUNDS];

	if (m->rounds != METER_ROUNDS + 2)
		fail("only %u rounds of %d were run", m->rounds, METER_ROUNDS + 2);
	for (unsigned int i = 0; i < METER_ROUNDS; i++)
		v[i] = m->at[i + 2] - m->at[i + 1];
	return (double)percentile(v, METER_ROUNDS, 50) / m->batch;
}

bool run_case(const struct bench_case *c, unsigned int deadline_s)
{
	const struct timespec deadline = { .tv_sec = deadline_s }, at_once = { 0 };
	sigset_t chld;
	int status;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	fflush(stdout);		/* not once more in the child */
	while (sigtimedwait(&chld, NULL, &at_once) == SIGCHLD)
		;	/* that of a case which had to be killed */
	pid = fork();
	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid) {
		sigprocmask(SIG_UNBLOCK, &chld, NULL);
		c->run(c);
		exit(0);
	}
	/* SIGCHLD is blocked and pending once the child has ended */
	if (sigtimedwait(&chld, NULL, &deadline) < 0) {
		fprintf(stderr, "%s: %s did not end within %u s\n",
			program_invocation_short_name, c->name, deadline_s);
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	fprintf(stderr, "%s: %s failed (wait status 0x%x)\n",
		program_invocation_short_name, c->name, status);
	return false;
}

bool chosen(const char *name, char **want)
{
	if (!*want)
		return true;
	for (; *want; want++)
		if (!strncmp(name, *want, strlen(*want)))
			return true;
	return false;
}

void use_one_cpu(void)
{
	cpu_set_t set;
	int cpu;

	if (sched_getaffinity(0, sizeof(set), &set))
		fail("sched_getaffinity: %s", strerror(errno));
	for (cpu = 0; !CPU_ISSET(cpu, &set); cpu++)
		;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity: %s", strerror(errno));
}
