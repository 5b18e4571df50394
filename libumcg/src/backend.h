/* SPDX-License-Identifier: MIT */
/*
 * What a backend is to the rest of libumcg: one table of functions. The public
 * calls (calls.c) go through it, init.c chooses it, probe.c lets it explain
 * itself. Nothing outside a backend's own folder knows more about it.
 */
#ifndef UMCG_SRC_BACKEND_H
#define UMCG_SRC_BACKEND_H

#include <stdbool.h>

#include <umcg/umcg.h>

#pragma GCC visibility push(hidden)

/* Text that is cut off like snprintf()'s; see probe.c. */
struct umcg_text {
	char *buf;
	size_t size;
	size_t used;	/* length of the whole text, cut off or not */
};

__attribute__((format(printf, 2, 3)))
void umcg_textf(struct umcg_text *text, const char *format, ...);

struct umcg_backend_ops {
	uint32_t caps;		/* UMCG_CAP_* */
	/* Those of them that it has not got here; after start(). NULL: none. */
	uint32_t (*missing)(void);

	/* Does it work in this process, now? 0, or a negative errno value. */
	int (*check)(void);
	/* The same for people: a line that starts with "yes" or "no", then details. */
	void (*explain)(struct umcg_text *text);

	/*
	 * It was chosen: once, after check() and under umcg_lock(), before any of
	 * the calls. An error (-errno) is umcg_init()'s. NULL: nothing to do.
	 */
	int (*start)(void);

	/* The four calls, as umcg.h promises them. They leave errno alone. */
	int (*reg)(struct umcg_task *self, uint32_t flags);
	int (*unreg)(struct umcg_task *self);
	int (*wait)(uint32_t flags, uint64_t abs_timeout_ns);
	int (*kick)(uint32_t flags, pid_t tid);

	/* The markers; NULL: it sees blocks without them. */
	int (*blocking_begin)(void);
	int (*blocking_end)(void);
	/* NULL: a worker that was reported is held at once. */
	int (*checkpoint)(void);
};

extern const struct umcg_backend_ops umcg_kernel_ops;
#ifdef UMCG_HAVE_BPF
extern const struct umcg_backend_ops umcg_bpf_ops;
#endif
extern const struct umcg_backend_ops umcg_portable_ops;

struct umcg_backend_entry {
	enum umcg_backend id;
	const char *name;
	const struct umcg_backend_ops *ops;	/* NULL: not built into this library */
};

/* Every backend that umcg.h names, the best first, so the order of AUTO. */
#define UMCG_N_BACKENDS 3
extern const struct umcg_backend_entry umcg_backends[UMCG_N_BACKENDS];

/* The backend in use, NULL before umcg_init(). Set once, by init.c. */
extern const struct umcg_backend_entry *umcg_current;

/*
 * What umcg_init() does, for one that wants @want. umcg_choose() only looks:
 * it starts nothing and ignores what is in use.
 */
int umcg_choose(enum umcg_backend want, const struct umcg_backend_entry **entry);

/* $UMCG_BACKEND, NULL when unset, empty or not to be trusted. */
const char *umcg_env(void);
/* "auto" and the names of umcg_backends[]; 0 or -EINVAL. */
int umcg_backend_from_name(const char *name, enum umcg_backend *id);

/* Does @task come from umcg_task_alloc()? Takes no lock. */
bool umcg_task_is_ours(const struct umcg_task *task);

/* The library's one mutex; held across fork(), so never stuck in the child. */
void umcg_lock(void);
void umcg_unlock(void);

#pragma GCC visibility pop

#endif /* UMCG_SRC_BACKEND_H */
