// SPDX-License-Identifier: MIT
/*
 * Does the bpf backend work here, and if not, why? Found out by loading the
 * program, which takes some 50 ms: the answer is kept for as long as the process,
 * its capabilities and its seccomp mode are the same.
 */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "../emul/hold_signal.h"
#include "../emul/sys.h"
#include "bpf.h"

#define INDENT "  "

struct key {
	uint32_t pid;
	uint32_t seccomp;
	struct __user_cap_data_struct caps[2];
};

static struct {
	struct key key;
	bool task_work, faults;
	struct bpf_reason why;
} answer;

static struct key key_now(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct key key;

	memset(&key, 0, sizeof(key));
	key.pid = sys_getpid();
	key.seccomp = (uint32_t)sys6(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0, 0);
	sys6(SYS_capget, (long)&header, (long)key.caps, 0, 0, 0, 0);
	return key;
}

/* bpf_load() and bpf_attach(), to see. They are not kept. */
static void ask(void)
{
	struct key key = key_now();
	struct bpf_loaded loaded;
	int err;

	if (!memcmp(&key, &answer.key, sizeof(key)))
		return;
	memset(&answer.why, 0, sizeof(answer.why));
	err = bpf_load(&loaded, &answer.why);
	if (!err) {
		answer.task_work = loaded.task_work;
		answer.faults = loaded.faults;
		err = bpf_attach(&loaded, bpf_hold_signal());
		if (err) {
			answer.why.err = err;
			snprintf(answer.why.text, sizeof(answer.why.text), "The kernel takes the "
				 "program but does not let it look at context switches: errno %d (%s).",
				 -err, strerror(-err));
		}
		bpf_unload(&loaded);
	}
	answer.key = key;
}

int bpf_check(void)
{
	int signal = bpf_hold_signal();

	if (!signal)
		return -EINVAL;
	if (!emul_signal_free(signal))
		return -EBUSY;
	ask();
	return answer.why.err;
}

void bpf_explain(struct umcg_text *text)
{
	int signal = bpf_hold_signal();

	if (!signal || !emul_signal_free(signal)) {
		umcg_textf(text, "no. It needs a signal of its own, like the portable backend: "
			   "see there.\n");
		return;
	}
	ask();
	if (answer.why.err) {
		umcg_textf(text, "no. %s\n", answer.why.text);
		return;
	}
	umcg_textf(text, "yes. A program in the kernel sees workers block; they come back through "
		   "signal %d (UMCG_SIGNAL=N).\n", signal);
	if (answer.task_work)
		umcg_textf(text, INDENT "Servers are woken, and workers held after calls and faults, "
			   "by the kernel's task work.\n");
	else
		umcg_textf(text, INDENT "The kernel has no task work for programs (Linux 6.18): a "
			   "thread wakes the servers, and\n" INDENT "workers are held after system "
			   "calls%s.\n", answer.faults ? " and page faults" :
			   ", after a page fault only at their next call");
}
