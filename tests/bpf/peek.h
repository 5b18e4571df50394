/* SPDX-License-Identifier: MIT */
/* What the tests look at inside of the library: hidden symbols, so the static one. */
#ifndef UMCG_TESTS_BPF_PEEK_H
#define UMCG_TESTS_BPF_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <umcg/umcg.h>

#include "../../libumcg/src/bpf/shared.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The program's view of a registered thread; NULL: not registered. */
const struct umcg_bpf_slot *peek_slot(const struct umcg_task *task);
/* Why the backend does not work here; NULL: it does. */
const char *peek_why_not(void);
/* From now on this process loads the program without task work (true), or the best. */
void peek_choose_plain(bool plain);
/* Is the program in use held up by task work? After umcg_init(). */
bool peek_task_work(void);
/* Load a program that is no good: 0 or the error; @text: the reason. */
int peek_load(const void *image, size_t size, char *text, size_t len);

/*
 * Workers that are none: slots without a program, whose part the caller plays.
 * peek_fake_block(): worker @i, in user space, blocks; _return(): it is back.
 */
bool peek_fake_slots(unsigned int n);
void peek_fake_block(unsigned int i);
bool peek_fake_is_blocked(unsigned int i);
void peek_fake_return(unsigned int i);
/* How often it was reported. */
unsigned int peek_fake_reports(unsigned int i);
void peek_take_queue(void);

#ifdef __cplusplus
}
#endif

#endif /* UMCG_TESTS_BPF_PEEK_H */
