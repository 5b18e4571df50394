// SPDX-License-Identifier: MIT
// A program that no verifier takes: it reads through an address made of a number, or, with
// NO_SUCH_HELPER, calls a function that no kernel offers.
#include <linux/bpf.h>
// after it
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("raw_tp/sched_switch")
int umcg_call(void *ctx)
{
#ifdef NO_SUCH_HELPER
	static long (*const none)(void) = (void *)0x7ffffff;

	return none() != 0;
#else
	return *(volatile int *)(unsigned long)bpf_get_current_pid_tgid();
#endif
}
