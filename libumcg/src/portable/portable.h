/* SPDX-License-Identifier: MIT */
/*
 * The portable backend: the emulation, a monitor that finds workers asleep in
 * the kernel, and a signal that stops workers that do not stop by themselves.
 */
#ifndef UMCG_SRC_PORTABLE_PORTABLE_H
#define UMCG_SRC_PORTABLE_PORTABLE_H

#include "../backend.h"
#include "../emul/emul.h"

#pragma GCC visibility push(hidden)

/* emul_thread::priv of a server; under its lock. */
struct portable_server {
	uint64_t since;		/* when its worker was run, ns */
	uint64_t due;		/* when the timer rings; 0: not set */
	void *timer;		/* a timer_t */
	bool now;		/* look at once: its worker shall stop */
	uint8_t soon;		/* settings of the timer that are for an early look */
};

/* emul_thread::priv of a worker. */
struct portable_worker {
	uint32_t signalled;	/* a signal is on its way to it */
};

_Static_assert(sizeof(struct portable_server) <= sizeof(((struct emul_thread *)0)->priv), "");

static inline struct portable_server *portable_server(struct emul_thread *s)
{
	return (struct portable_server *)s->priv;
}

static inline struct portable_worker *portable_worker(struct emul_thread *w)
{
	return (struct portable_worker *)w->priv;
}

/* ---- check.c ---- */

int portable_check(void);
void portable_explain(struct umcg_text *text);

/* ---- stop.c ---- */

/* Install the handler. 0 or -errno. */
int portable_stop_start(void);
/* Make @w, of which emul_word() was @word, call emul_return(), by a signal. */
void portable_stop(struct emul_thread *w, uint64_t word);

/* ---- monitor.c ---- */

int portable_attach(struct emul_thread *t, bool worker);
void portable_detach(struct emul_thread *t, bool worker);
void portable_ran(struct emul_thread *s);
void portable_poke(struct emul_thread *w, struct emul_thread *s);

/* ---- thread_state.c ---- */

/*
 * What the thread @tid of this process does: the letter of /proc/TID/stat, 'X' if
 * it is gone, 0 if that cannot be found out. *@fd (-1 none) is kept for the next
 * time; it is of the thread *@of.
 */
char portable_thread_state(uint32_t tid, int32_t *fd, uint32_t *of);

#pragma GCC visibility pop

#endif /* UMCG_SRC_PORTABLE_PORTABLE_H */
