// SPDX-License-Identifier: MIT
/* The calls: through the table of the backend in use, chosen when needed. */
#include "backend.h"

static inline int ready(const struct umcg_backend_ops **ops)
{
	/* pairs with the release in init.c */
	const struct umcg_backend_entry *entry =
		__atomic_load_n(&umcg_current, __ATOMIC_ACQUIRE);

	if (__builtin_expect(!entry, 0)) {
		int err = umcg_init(NULL);

		if (err)
			return err;
		entry = __atomic_load_n(&umcg_current, __ATOMIC_ACQUIRE);
	}
	*ops = entry->ops;
	return 0;
}

int umcg_register(struct umcg_task *self, uint32_t flags)
{
	const struct umcg_backend_ops *ops;
	int err = ready(&ops);

	return err ? err : ops->reg(self, flags);
}

int umcg_unregister(struct umcg_task *self)
{
	const struct umcg_backend_ops *ops;
	int err = ready(&ops);

	return err ? err : ops->unreg(self);
}

int umcg_wait(uint32_t flags, uint64_t abs_timeout_ns)
{
	const struct umcg_backend_ops *ops;
	int err = ready(&ops);

	return err ? err : ops->wait(flags, abs_timeout_ns);
}

int umcg_kick(uint32_t flags, pid_t tid)
{
	const struct umcg_backend_ops *ops;
	int err = ready(&ops);

	return err ? err : ops->kick(flags, tid);
}

/* Without a backend nobody is registered, and there is nothing to mark. */
int umcg_blocking_begin(void)
{
	const struct umcg_backend_entry *entry =
		__atomic_load_n(&umcg_current, __ATOMIC_ACQUIRE);

	return entry && entry->ops->blocking_begin ? entry->ops->blocking_begin() : 0;
}

int umcg_blocking_end(void)
{
	const struct umcg_backend_entry *entry =
		__atomic_load_n(&umcg_current, __ATOMIC_ACQUIRE);

	return entry && entry->ops->blocking_end ? entry->ops->blocking_end() : 0;
}

int umcg_checkpoint(void)
{
	const struct umcg_backend_entry *entry =
		__atomic_load_n(&umcg_current, __ATOMIC_ACQUIRE);

	return entry && entry->ops->checkpoint ? entry->ops->checkpoint() : 0;
}
