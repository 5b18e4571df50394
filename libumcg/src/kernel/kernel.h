/* SPDX-License-Identifier: MIT */
/* The system calls of the patch series (kernel-patch/), bare: 0 or -errno. */
#ifndef UMCG_SRC_KERNEL_KERNEL_H
#define UMCG_SRC_KERNEL_KERNEL_H

#include "../backend.h"

#ifndef __NR_umcg_register
#define __NR_umcg_register	480
#define __NR_umcg_unregister	481
#define __NR_umcg_wait		482
#define __NR_umcg_kick		483
#endif

#pragma GCC visibility push(hidden)

int umcg_sys_register(struct umcg_task *self, uint32_t flags);
int umcg_sys_unregister(struct umcg_task *self);
int umcg_sys_wait(uint32_t flags, uint64_t abs_timeout_ns);
int umcg_sys_kick(uint32_t flags, pid_t tid);

int umcg_kernel_check(void);
void umcg_kernel_explain(struct umcg_text *text);

#pragma GCC visibility pop

#endif /* UMCG_SRC_KERNEL_KERNEL_H */
