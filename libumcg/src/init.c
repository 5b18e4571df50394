// SPDX-License-Identifier: MIT
/*
 * Which backend: the option, else $UMCG_BACKEND, else the best that works.
 * Chosen once per process, by umcg_init() or by the first call that needs it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

/* Larger options come from no version of this library but from garbage. */
#define MAX_OPTIONS_SIZE 4096

const struct umcg_backend_entry umcg_backends[UMCG_N_BACKENDS] = {
	{ UMCG_BACKEND_KERNEL, "kernel", &umcg_kernel_ops },
#ifdef UMCG_HAVE_BPF
	{ UMCG_BACKEND_BPF, "bpf", &umcg_bpf_ops },
#else
	{ UMCG_BACKEND_BPF, "bpf", NULL },
#endif
	{ UMCG_BACKEND_PORTABLE, "portable", &umcg_portable_ops },
};

const struct umcg_backend_entry *umcg_current;

static const struct umcg_backend_entry *current(void)
{
	/* pairs with the release in start() */
	return __atomic_load_n(&umcg_current, __ATOMIC_ACQUIRE);
}

const char *umcg_env(void)
{
	const char *name = secure_getenv("UMCG_BACKEND");

	return name && *name ? name : NULL;
}

int umcg_backend_from_name(const char *name, enum umcg_backend *id)
{
	if (!strcmp(name, "auto")) {
		*id = UMCG_BACKEND_AUTO;
		return 0;
	}
	for (int i = 0; i < UMCG_N_BACKENDS; i++) {
		if (!strcmp(name, umcg_backends[i].name)) {
			*id = umcg_backends[i].id;
			return 0;
		}
	}
	return -EINVAL;
}

int umcg_choose(enum umcg_backend want, const struct umcg_backend_entry **entry)
{
	const char *name = umcg_env();

	if (want == UMCG_BACKEND_AUTO && name && umcg_backend_from_name(name, &want))
		return -EINVAL;

	for (int i = 0; i < UMCG_N_BACKENDS; i++) {
		const struct umcg_backend_entry *e = &umcg_backends[i];

		if (want != UMCG_BACKEND_AUTO && want != e->id)
			continue;
		if (e->ops && !e->ops->check()) {
			*entry = e;
			return 0;
		}
	}
	return -ENOTSUP;
}

/* An older program's options are shorter, a newer one's longer with zeros behind. */
static int read_options(const struct umcg_options *opts, enum umcg_backend *want)
{
	const unsigned char *byte = (const unsigned char *)opts;

	*want = UMCG_BACKEND_AUTO;
	if (!opts)
		return 0;
	if (opts->size < sizeof(*opts) || opts->size > MAX_OPTIONS_SIZE)
		return -EINVAL;
	for (size_t i = sizeof(*opts); i < opts->size; i++) {
		if (byte[i])
			return -EINVAL;
	}
	if (opts->reserved || (unsigned int)opts->backend > UMCG_BACKEND_PORTABLE)
		return -EINVAL;
	*want = opts->backend;
	return 0;
}

/* Under the lock. */
static int start(enum umcg_backend want)
{
	const struct umcg_backend_entry *entry = current();
	int err;

	if (entry)
		return want == UMCG_BACKEND_AUTO || want == entry->id ? 0 : -EBUSY;
	err = umcg_choose(want, &entry);
	if (!err && entry->ops->start)
		err = entry->ops->start();
	if (!err)
		__atomic_store_n(&umcg_current, entry, __ATOMIC_RELEASE);
	return err;
}

int umcg_init(const struct umcg_options *opts)
{
	enum umcg_backend want;
	int saved = errno;
	int err = read_options(opts, &want);

	if (err)
		return err;
	umcg_lock();
	err = start(want);
	umcg_unlock();
	errno = saved;
	return err;
}

const char *umcg_backend_name(void)
{
	const struct umcg_backend_entry *entry = current();

	return entry ? entry->name : NULL;
}

uint32_t umcg_capabilities(void)
{
	const struct umcg_backend_entry *entry = current();

	if (!entry)
		return 0;
	return entry->ops->caps & ~(entry->ops->missing ? entry->ops->missing() : 0);
}
