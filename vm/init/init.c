/* SPDX-License-Identifier: MIT */
/*
 * The guest's first process: show the host's file system read-only below a
 * throw-away layer, run one command, and tell the host how it went.
 *
 * Three virtio ports lead out: the command's stdout and stderr, and a control
 * port that only this process can have open (the kernel allows one opener),
 * so nothing the command prints can be taken for a verdict. In Bochs, which has
 * no virtio, they are serial lines, and nothing but convention keeps the command off.
 *
 * /job, put into the initramfs by vm/run, holds NUL-terminated strings:
 * flags, working directory, then counted lists of directories that must stay
 * visible, environment and arguments.
 */
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "init.h"

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("lo");
	close(fd);
}

int main(void)
{
	struct job job = read_job();
	int out, err, status;

	load_modules();
	attach("sysfs", "sysfs", "/sys", NULL);
	attach("proc", "proc", "/proc", NULL);
	attach("devtmpfs", "devtmpfs", "/dev", NULL);
	control = open_port(&job, "control");
	out = open_port(&job, "out");
	err = open_port(&job, "err");
	build_root(&job);
	loopback_up();
	sethostname("umcg", 4);
	tell("up");

	status = run(&job, out, err);
	while (waitpid(-1, NULL, 0) > 0)
		;
	/* a serial line is slow, and what is still in it goes with the machine */
	if (job.serial) {
		tcdrain(out);
		tcdrain(err);
	}
	check_pins();
	if (job.leak_check)
		check_leaks();
	if (WIFSIGNALED(status))
		tell("signal %d", WTERMSIG(status));
	else
		tell("exit %d", WEXITSTATUS(status));
	power_off();
}
