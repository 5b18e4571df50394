// SPDX-License-Identifier: MIT
#include "peek.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/bpf.h"

const struct umcg_bpf_slot *peek_slot(const struct umcg_task *task)
{
	struct emul_thread *t = bpf_now.slots ? emul_find(task->tid) : NULL;

	return t ? bpf_slot(t) : NULL;
}

const char *peek_why_not(void)
{
	static char why[1024];
	struct umcg_text text = { .buf = why, .size = sizeof(why) };

	if (!bpf_check())
		return NULL;
	bpf_explain(&text);
	return why;
}

void peek_choose_plain(bool plain)
{
	bpf_without_task_work = plain;
}

bool peek_task_work(void)
{
	return bpf_now.task_work;
}

#define FAKES 16
static struct emul_thread fakes[FAKES];
static struct umcg_task fake_tasks[FAKES];
static const struct emul_backend no_hooks;

bool peek_fake_slots(unsigned int n)
{
	static bool started;

	if (!started && emul_start(&no_hooks))
		return false;
	started = true;
	if (!bpf_now.slots)
		bpf_now.slots = calloc(UMCG_BPF_SLOTS, sizeof(*bpf_now.slots));
	for (unsigned int i = 0; i < n && i < FAKES && bpf_now.slots; i++) {
		memset(&fakes[i], 0, sizeof(fakes[i]));
		memset(&fake_tasks[i], 0, sizeof(fake_tasks[i]));
		fakes[i].index = i;
		fakes[i].task = &fake_tasks[i];
		/* a tid that no thread has */
		fakes[i].word = (uint64_t)(0x80000000U + i) << 32 | EMUL_RUNNING;
		bpf_slot(&fakes[i])->thread = (uint64_t)(uintptr_t)&fakes[i];
	}
	return bpf_now.slots;
}

/* push() of libumcg/bpf/umcg.bpf.c */
void peek_fake_block(unsigned int i)
{
	struct umcg_bpf_slot *slot = bpf_slot(&fakes[i]);
	uint32_t link = UMCG_BPF_LINK_NONE, prev;

	__atomic_store_n(&slot->seen, emul_word(&fakes[i]), __ATOMIC_RELAXED);
	if (!__atomic_compare_exchange_n(&slot->link, &link, UMCG_BPF_LINK_PENDING, 0,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	prev = __atomic_exchange_n(&bpf_now.slots[UMCG_BPF_QUEUE].head,
				   i + 1 + UMCG_BPF_LINK_FIRST, __ATOMIC_SEQ_CST);
	__atomic_exchange_n(&slot->link, prev ? prev : UMCG_BPF_LINK_END, __ATOMIC_SEQ_CST);
}

bool peek_fake_is_blocked(unsigned int i)
{
	return emul_phase(emul_word(&fakes[i])) == EMUL_BLOCKED;
}

void peek_fake_return(unsigned int i)
{
	uint64_t word = emul_word(&fakes[i]);

	__atomic_store_n(&fakes[i].word, ((word & ~(uint64_t)EMUL_PHASE) | EMUL_RUNNING) +
			 EMUL_COUNT, __ATOMIC_SEQ_CST);
}

unsigned int peek_fake_reports(unsigned int i)
{
	return fake_tasks[i].seq;
}

void peek_take_queue(void)
{
	bpf_take_queue();
}

int peek_load(const void *bytes, size_t size, char *buf, size_t len)
{
	struct bpf_image image = { .name = "a bad one", .bytes = bytes, .size = size };
	struct bpf_reason why = { .err = 0 };
	struct bpf_loaded loaded;
	int err = bpf_find_libbpf(&why);

	if (!err)
		err = bpf_load_image(&image, &loaded, &why);
	if (!err)
		bpf_unload(&loaded);
	snprintf(buf, len, "%s", why.text);
	return err;
}
