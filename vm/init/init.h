/* SPDX-License-Identifier: MIT */
#ifndef VM_INIT_H
#define VM_INIT_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	size_t n;
	char **v;	/* NULL-terminated */
};

struct job {
	bool counting;		/* repeat to the instruction: no interrupts that we can avoid */
	bool leak_check;
	bool serial;		/* Bochs: ports are serial lines, files are in the initramfs */
	char *cwd;
	struct list keep, env, args;
};

/* host.c: the ports to the host, and the end of the machine */
extern int control;
int open_port(const struct job *job, const char *name);
__attribute__((format(printf, 1, 2))) void tell(const char *fmt, ...);
_Noreturn void power_off(void);
_Noreturn void die(const char *what);

/* file.c */
void make_dir(const char *path);
bool read_file(const char *path, char *buf, size_t size);
bool write_file(const char *path, const char *text);

/* job.c */
struct job read_job(void);

/* modules.c */
void load_modules(void);

/* root.c */
void attach(const char *type, const char *source, const char *dir, const char *options);
void build_root(const struct job *job);

/* command.c: runs it; its wait status */
int run(const struct job *job, int out_port, int err_port);

/* checks.c: once nobody is left */
void check_pins(void);
void check_leaks(void);

#endif
