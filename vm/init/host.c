/* SPDX-License-Identifier: MIT */
/* The ports to the host, found by name; what is said on the control port. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "init.h"

int control = -1;

void tell(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* Before the control port is open the console is all there is. */
	if (write(control < 0 ? 2 : control, line, n) != n)
		dprintf(2, "init: cannot reach the host: %m\n");
}

_Noreturn void power_off(void)
{
	sync();
	tcdrain(control);	/* where it is a serial line */
	reboot(RB_POWER_OFF);
	_exit(1);	/* panics: a harness failure must not look like anything else */
}

_Noreturn void die(const char *what)
{
	tell("error %s: %s", what, strerror(errno));
	power_off();
}

static int try_port(const char *name)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	char path[512], have[64];
	struct dirent *d;
	int fd = -1;

	errno = ENODEV;
	while (dir && fd < 0 && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", d->d_name);
		if (d->d_name[0] == '.' || !read_file(path, have, sizeof(have)))
			continue;
		have[strcspn(have, "\n")] = 0;
		snprintf(path, sizeof(path), "/dev/%s", d->d_name);
		if (!strcmp(have, name))
			fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* In the order of vm/bochs.py; the first one is the console. */
static int serial_port(const char *name)
{
	static const char *const names[] = { "out", "err", "control" };
	struct termios t;
	char path[32];
	int fd = -1;

	for (int i = 0; i < 3; i++) {
		if (strcmp(names[i], name))
			continue;
		snprintf(path, sizeof(path), "/dev/ttyS%d", i + 1);
		fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	}
	if (fd < 0 || tcgetattr(fd, &t))
		die(name);
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	t.c_cflag |= CLOCAL;
	if (tcsetattr(fd, TCSANOW, &t))
		die(name);
	return fd;
}

/* The ports appear as the host announces them, which may be after us. */
int open_port(const struct job *job, const char *name)
{
	int fd = -1;

	if (job->serial)
		return serial_port(name);

	for (int i = 0; i < 1000 && (fd = try_port(name)) < 0; i++)
		usleep(5000);
	if (fd < 0)
		die(name);
	return fd;
}
