// SPDX-License-Identifier: MIT
/* The portable backend's place in the table. */
#include "portable.h"

static const struct emul_backend hooks = {
	.attach = portable_attach,
	.detach = portable_detach,
	.ran = portable_ran,
	.poke = portable_poke,
};

static int start(void)
{
	int err = portable_stop_start();

	return err ? err : emul_start(&hooks);
}

const struct umcg_backend_ops umcg_portable_ops = {
	.caps = UMCG_CAP_WATCHED | UMCG_CAP_HOLD_AT_CALL | UMCG_CAP_PREEMPT |
		UMCG_CAP_BY_SIGNAL | UMCG_CAP_FAULT_EVENTS,
	.check = portable_check,
	.explain = portable_explain,
	.start = start,
	.reg = emul_register,
	.unreg = emul_unregister,
	.wait = emul_wait,
	.kick = emul_kick,
	.blocking_begin = emul_blocking_begin,
	.blocking_end = emul_blocking_end,
	.checkpoint = emul_checkpoint,
};
