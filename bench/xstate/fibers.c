// SPDX-License-Identifier: MIT
/*
 * A ring of fibers, each switching to the next: *lazy*, as the runtime does it
 * (callee-saved registers), and *eager*,
 * as a scheduler must that cannot rely on the calling convention: XSAVEC of all
 * that is in use before, XRSTOR after. In both each fiber rewrites its vector
 * registers at its turn, so that there is something to keep.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "xstate_bench.h"

/* scheduler/src/jump.S, and Boost's, which carries both control words. */
void *umcg_detail_jump(void **from, void *to, void *message);
void umcg_detail_begin(void);
struct transfer {
	void *fctx, *data;
};
struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *top, size_t size, void (*f)(struct transfer));

enum way { LAZY, EAGER };
static const char *const ways[] = { "lazy", "eager" };

/* What umcg_detail_jump() finds on a stack. */
struct frame {
	void *r15, *r14, *r13, *r12;
	void (*rbx)(void *self);
	void *rbp;
	void (*rip)(void);
	void *align[2];
};

static void *begin_at(unsigned char *top, void (*f)(void *))
{
	struct frame *frame = (struct frame *)(top - sizeof(*frame));

	*frame = (struct frame){ .rbx = f, .rip = umcg_detail_begin };
	return frame;
}

#define STACK 1024	/* small, so that a million of them leave room for their save areas */

struct fiber {
	void *sp;
	struct fiber *next;
	unsigned char *area;
};

static struct fiber *fibers;
static enum state using;
static uint64_t left;
static void *home;

static __attribute__((noinline)) struct fiber *turn(struct fiber *self)
{
	dirty(using);
	return left-- ? self->next : NULL;
}

static void run_lazy(void *self_)
{
	struct fiber *self = self_;

	for (;;) {
		struct fiber *next = turn(self);

		if (next)
			umcg_detail_jump(&self->sp, next->sp, next);
		else
			umcg_detail_jump(&self->sp, home, NULL);
	}
}

static void run_eager(void *self_)
{
	struct fiber *self = self_;

	for (;;) {
		struct fiber *next = turn(self);

		save_all(self->area);
		if (next)
			umcg_detail_jump(&self->sp, next->sp, next);
		else
			umcg_detail_jump(&self->sp, home, NULL);
		load_all(self->area);
	}
}

/* ---- two contexts and nothing else: the bare jump, and Boost's with both control words ---- */

static void *pair_home, *pair_there;

static void pair(void *self)
{
	(void)self;
	for (;;)
		umcg_detail_jump(&pair_there, pair_home, NULL);
}

static void boost_pair(struct transfer t)
{
	for (;;)
		t = jump_fcontext(t.fctx, NULL);
}

static void bench_pair(void)
{
	enum { N = 1000000 };
	unsigned char *stacks = aligned_alloc(64, 2 * STACK);
	struct transfer t;
	uint64_t began;

	if (!stacks)
		abort();
	pair_there = begin_at(stacks + STACK, pair);
	began = cpu_ns();
	for (int i = 0; i < N; i++)
		umcg_detail_jump(&pair_home, pair_there, NULL);
	report("fibers.pair", "lazy", (double)(cpu_ns() - began) / (2 * N));

	t.fctx = make_fcontext(stacks + 2 * STACK, STACK, boost_pair);
	began = cpu_ns();
	for (int i = 0; i < N; i++)
		t = jump_fcontext(t.fctx, NULL);
	report("fibers.pair", "boost", (double)(cpu_ns() - began) / (2 * N));
	free(stacks);
}

/* ---- the ring ---- */

static void make(enum way way, size_t n, unsigned char *stacks, unsigned char *areas, size_t area)
{
	for (size_t i = 0; i < n; i++) {
		struct fiber *f = &fibers[i];
		/* tops at different places, or all would share a few cache sets */
		unsigned char *top = stacks + (i + 1) * STACK - 64 * (i % 4);

		f->next = &fibers[(i + 1) % n];
		f->area = areas + i * area;
		f->sp = begin_at(top, way == LAZY ? run_lazy : run_eager);
		if (way == EAGER) {
			clean();
			dirty(using);
			memset(f->area, 0, area);
			save_all(f->area);
		}
	}
}

static double measure(enum way way, enum state s, size_t n)
{
	const size_t area = area_size();
	const uint64_t warm = n, count = n > 200000 ? n : 200000;
	const size_t bytes = n * STACK, area_bytes = way == EAGER ? n * area : 4096;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	unsigned char *stacks = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	unsigned char *areas = mmap(NULL, area_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	uint64_t began;

	fibers = calloc(n, sizeof(*fibers));
	if (stacks == MAP_FAILED || areas == MAP_FAILED || !fibers) {
		perror("xstate-bench: memory for fibers");
		exit(1);
	}
	using = s;
	make(way, n, stacks, areas, area);
	left = warm;
	began = 0;
	for (int pass = 0; pass < 2; pass++) {
		began = cpu_ns();
		umcg_detail_jump(&home, fibers[pass].sp, &fibers[pass]);
		began = cpu_ns() - began;
		left = count;
	}
	clean();
	munmap(stacks, bytes);
	munmap(areas, area_bytes);
	free(fibers);
	return (double)began / (double)count;
}

void bench_fibers(void)
{
	static const size_t counts[] = { 2, 100, 10000, 1000000 };

	bench_pair();
	for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
		for (enum state s = CLEAN; s < N_STATES; s++) {
			char name[64];

			if (!have_state(s))
				continue;
			snprintf(name, sizeof(name), "fibers.%zu.%s", counts[c], state_names[s]);
			for (enum way way = LAZY; way <= EAGER; way++) {
				report(name, ways[way], measure(way, s, counts[c]));
			}
		}
	}
}
