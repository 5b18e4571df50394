/* SPDX-License-Identifier: MIT */
/*
 * The bpf backend: the emulation of ../emul/, told by a program in the kernel when
 * a worker blocks. shared.h has the protocol between the two.
 *
 *	late_libbpf.c	libbpf, found when it is needed
 *	load.c		the program into the kernel; why not
 *	check.c		does it work here, and if not, why, for people
 *	queue.c		blocks from the program to the emulation; a server's sleep
 *	bell.c		the same by a thread, for kernels without task work
 *	hold.c		the signal that holds a worker on its way back
 *	backend.c	the table; threads come and go
 */
#ifndef UMCG_SRC_BPF_BPF_H
#define UMCG_SRC_BPF_BPF_H

#include "../backend.h"
#include "../emul/emul.h"
#include "../emul/sys.h"
#include "shared.h"

#pragma GCC visibility push(hidden)

/* A compiled program. */
struct bpf_image {
	const char *name;
	const void *bytes;
	size_t size;
	bool task_work;
};

#define BPF_MAX_LINKS 4

/* A program in the kernel: nothing but descriptors and memory, gone with the process. */
struct bpf_loaded {
	bool task_work;		/* the kernel interrupts servers and holds workers itself */
	bool faults;		/* workers are held after page faults, too */
	int call;		/* umcg_call */
	int map;		/* the ring buffer; with task work what that needs */
	int to_attach[BPF_MAX_LINKS];
	int links[BPF_MAX_LINKS];
	int n_links;
	struct umcg_bpf_slot *slots;
};

/* Why something did not work, a sentence for people. */
struct bpf_reason {
	int err;
	char text[640];
};

/* ---- late_libbpf.c ---- */

/* 0, or -ENOTSUP and the reason. Under umcg_lock(). */
int bpf_find_libbpf(struct bpf_reason *why);

/* ---- load.c ---- */

/* @why NULL: nobody wants to know. */
int bpf_load_image(const struct bpf_image *image, struct bpf_loaded *loaded,
		   struct bpf_reason *why);
/* The best image that this kernel takes. Blocks for some 50 ms. Under umcg_lock(). */
int bpf_load(struct bpf_loaded *loaded, struct bpf_reason *why);
/* For tests: as on a kernel that has none. */
extern bool bpf_without_task_work;
/* From here on the program looks at this process. */
int bpf_attach(struct bpf_loaded *loaded, int signal);
/* Async-signal-safe, and right in the child of a fork(). */
void bpf_unload(struct bpf_loaded *loaded);
/* umcg_call in the kernel: 0 or more, or -errno. */
int bpf_call(const struct bpf_loaded *loaded, const struct umcg_bpf_call *call);

/* ---- check.c ---- */

int bpf_check(void);
void bpf_explain(struct umcg_text *text);

/* ---- backend.c ---- */

extern struct bpf_loaded bpf_now;	/* in use, by this process */

static inline struct umcg_bpf_slot *bpf_slot(const struct emul_thread *t)
{
	return &bpf_now.slots[t->index + 1];
}

/* ---- queue.c ---- */

/* Take the queue and report what is on it. Any thread, no signal handler. */
void bpf_take_queue(void);
bool bpf_queue_empty(void);
/* The hooks of a server's wait, with task work; see emul.h. */
int bpf_sleep(struct emul_thread *s, uint64_t until);
void bpf_awake(struct emul_thread *s);

/* ---- bell.c ---- */

/* For @loaded, which becomes bpf_now; it ends with the process. */
int bpf_start_bell_thread(const struct bpf_loaded *loaded);

/* ---- hold.c ---- */

int bpf_start_hold(void);
void bpf_poke(struct emul_thread *w, struct emul_thread *s);
int bpf_hold_signal(void);

#pragma GCC visibility pop

#endif /* UMCG_SRC_BPF_BPF_H */
