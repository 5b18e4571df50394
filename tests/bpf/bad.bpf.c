// SPDX-License-Identifier: MIT
// A program that no verifier takes: it reads through an address made of a number.
#include <linux/bpf.h>
// after it
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("raw_tp/sched_switch")
int umcg_call(void *ctx)
{
	return *(volatile int *)(unsigned long)bpf_get_current_pid_tgid();
}
