/* SPDX-License-Identifier: MIT */
/* One command, its output carried to the host. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

static pid_t start(const struct job *job, int out, int err)
{
	pid_t pid = fork();
	sigset_t none;
	int nul;

	if (pid)
		return pid;
	nul = open("/dev/null", O_RDONLY);
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (nul < 0 || dup2(nul, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(127);
	if (nul > 2)
		close(nul);
	if (chdir(job->cwd)) {
		dprintf(2, "vm: cannot enter %s: %m\n", job->cwd);
		_exit(127);
	}
	for (size_t i = 0; i < job->env.n; i++)
		putenv(job->env.v[i]);
	execvp(job->args.v[0], job->args.v);
	dprintf(2, "vm: cannot run %s: %m\n", job->args.v[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

/*
 * For counting: what the host has answered so far took an unknown number of
 * instructions. Have the program in the page cache, then start it at a time
 * that is the same in every boot.
 */
static void settle(const char *program)
{
	struct timespec t;
	char buf[4096];
	int fd = open(program, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
		;
	if (fd >= 0)
		close(fd);
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec = (t.tv_sec / 10 + 1) * 10;
	t.tv_nsec = 0;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

struct stream {
	int from, to;
	bool hold;
	char *held;
	size_t len, room;
};

static void put(int fd, const char *buf, size_t n)
{
	while (n) {
		ssize_t done = write(fd, buf, n);

		if (done < 0 && errno != EINTR)
			return;	/* the host has gone: the deadline is its own */
		if (done > 0) {
			buf += done;
			n -= done;
		}
	}
}

/* false: end of file */
static bool pump(struct stream *s)
{
	char buf[16384];
	ssize_t n = read(s->from, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (!n)
		return false;
	if (!s->hold) {
		put(s->to, buf, n);
		return true;
	}
	if (s->room - s->len < (size_t)n) {
		s->room = s->room * 2 + sizeof(buf);
		s->held = realloc(s->held, s->room);
		if (!s->held)
			die("held output");
	}
	memcpy(s->held + s->len, buf, n);
	s->len += n;
	return true;
}

/* Collect dead children; true once the command itself is among them. */
static bool reap(pid_t command, int *status)
{
	bool ended = false;
	pid_t pid;
	int st;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		if (pid == command) {
			*status = st;
			ended = true;
		}
	}
	return ended;
}

/* The host asks, after the deadline, what everybody is waiting for. */
static void answer_host(void)
{
	char ask[64];

	if (read(control, ask, sizeof(ask)) <= 0)
		return;
	write_file("/proc/sysrq-trigger", "w");
	write_file("/proc/sysrq-trigger", "l");
	tell("dumped");
}

int run(const struct job *job, int out_port, int err_port)
{
	struct stream streams[2] = { { .to = out_port, .hold = job->counting },
				     { .to = err_port, .hold = job->counting } };
	int out[2], err[2], sigfd, status = 0;
	struct pollfd fds[4];
	bool ended = false;
	sigset_t mask;
	pid_t pid;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	sigfd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sigfd < 0 || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe");
	streams[0].from = out[0];
	streams[1].from = err[0];

	if (job->counting)
		settle(job->args.v[0]);
	pid = start(job, out[1], err[1]);
	if (pid < 0)
		die("fork");
	close(out[1]);
	close(err[1]);

	fds[0] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = err[0], .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = sigfd, .events = POLLIN };
	fds[3] = (struct pollfd){ .fd = control, .events = POLLIN };

	/* Whatever the command left behind is killed, so both pipes do end. */
	while (!ended || fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, 4, -1) < 0 && errno != EINTR)
			die("poll");
		for (int i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && fds[i].revents && !pump(&streams[i]))
				fds[i].fd = -1;
		if (fds[2].revents) {
			struct signalfd_siginfo si;

			while (read(sigfd, &si, sizeof(si)) > 0)
				;
			if (reap(pid, &status)) {
				ended = true;
				tell("ended");
				kill(-1, SIGKILL);
			}
		}
		if (fds[3].revents & POLLIN)
			answer_host();
		if (fds[3].revents & POLLHUP)
			fds[3].fd = -1;
	}
	for (int i = 0; i < 2; i++)
		put(streams[i].to, streams[i].held, streams[i].len);
	return status;
}
