// SPDX-License-Identifier: MIT
/*
 * Does it pay to release a component of the extended state before a wait?
 *
 * What the kernel does at a switch is done here in user space, by the same
 * microcode: save the registers of one thread (XSAVEC, or XSAVEOPT where there is
 * no other) and load those of the next (XRSTOR), for as many register sets as
 * there are threads that take turns, so that the caches play their part. Once with
 * the components in use and once in their initial state; the difference is what a
 * release saves. Against it stands what the release itself costs.
 *
 * Rounds are interleaved and the least figure of each kind counts: whatever else
 * happens on the machine can only add.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "xstate.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

#define MAX_SETS 1024	/* more make no difference that matters, and take long */
#define ROUNDS 7
#define AT_LEAST 64	/* switches per round */

/* x87 and SSE: in use, always, and the same on both sides. */
#define LEGACY 3ULL

struct ring {
	unsigned char *sets;
	size_t each;	/* bytes of a set */
	uint32_t n;
	uint64_t mask;	/* components that are saved and loaded */
	bool compact;
};

static void save(const struct ring *ring, uint32_t i)
{
	unsigned char *set = ring->sets + i * ring->each;
	const uint32_t low = (uint32_t)ring->mask, high = (uint32_t)(ring->mask >> 32);

	if (ring->compact)
		__asm__ __volatile__("xsavec64 (%0)" : : "r"(set), "a"(low), "d"(high) : "memory");
	else
		__asm__ __volatile__("xsaveopt64 (%0)" : : "r"(set), "a"(low), "d"(high) : "memory");
}

/*
 * MXCSR and the x87 state come back as they were: they are in every set. XMM0-15,
 * too, which the compiler is told to keep nothing in.
 */
static void load(const struct ring *ring, uint32_t i)
{
	const unsigned char *set = ring->sets + i * ring->each;

	__asm__ __volatile__("xrstor64 (%0)"
			     : : "r"(set), "a"((uint32_t)ring->mask),
				 "d"((uint32_t)(ring->mask >> 32))
			     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
			       "xmm14", "xmm15");
}

/* What libc's string functions leave behind, and what compiled AVX code would without VZEROUPPER. */
static void use(uint64_t component)
{
	if (component == UMCG_XSTATE_AVX)
		__asm__ __volatile__("vpcmpeqd %%ymm0, %%ymm0, %%ymm0" : : : "xmm0");
	else
		__asm__ __volatile__("kxnorq %%k1, %%k1, %%k1\n\t"
				     "vpternlogd $255, %%zmm16, %%zmm16, %%zmm16" : : : "memory");
}

static void to_init(uint64_t component)
{
	if (component == UMCG_XSTATE_AVX)
		xstate_vzeroupper();
	else
		xstate_to_init(component);
}

/* TSC ticks of one switch. */
static double switches(const struct ring *ring)
{
	const uint32_t n = ring->n > AT_LEAST ? ring->n : AT_LEAST;
	uint64_t began;

	for (uint32_t i = 0; i < ring->n; i++)
		save(ring, i);
	began = __rdtsc();
	for (uint32_t i = 0, at = 0; i < n; i++) {
		save(ring, at);
		at = at + 1 == ring->n ? 0 : at + 1;
		load(ring, at);
	}
	return (double)(__rdtsc() - began) / n;
}

/* TSC ticks of using the component, and of releasing it if asked. */
static double releases(uint64_t component, bool too)
{
	const uint64_t began = __rdtsc();

	for (int i = 0; i < AT_LEAST; i++) {
		use(component);
		if (too && umcg_xstate_in_use_() & component)
			to_init(component);
	}
	return (double)(__rdtsc() - began) / AT_LEAST;
}

static double least(double a, double b)
{
	return a < b ? a : b;
}

/* In TSC ticks. */
static struct xstate_cost measure(const struct ring *ring, uint64_t component)
{
	double used = 1e9, initial = 1e9, with = 1e9, without = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		use(component);
		used = least(used, switches(ring));
		to_init(component);
		initial = least(initial, switches(ring));
		with = least(with, releases(component, true));
		without = least(without, releases(component, false));
		to_init(component);
	}
	return (struct xstate_cost){ .saves_ns = (float)(used - initial),
				     .costs_ns = (float)(with - without) };
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int measure_all(uint64_t available, uint32_t threads, struct xstate_costs *costs)
{
	struct ring ring = { .n = threads < 2 ? 2 : threads > MAX_SETS ? MAX_SETS : threads };
	uint64_t ns = now_ns(), ticks = __rdtsc();
	uint32_t a, b, c, d;
	size_t bytes;
	double scale;

	memset(costs, 0, sizeof(*costs));
	ring.mask = LEGACY | (available & ~UMCG_XSTATE_AMX);
	__cpuid_count(0xd, 1, a, b, c, d);
	ring.compact = a & 2;
	/* the largest of those components ends where XSAVE would end it */
	ring.each = 576 + 256;
	if (available & UMCG_XSTATE_AVX512) {
		__cpuid_count(0xd, 7, a, b, c, d);
		ring.each = (size_t)a + b;
	}
	ring.each = (ring.each + 63) & ~(size_t)63;
	bytes = ring.each * ring.n;
	ring.sets = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ring.sets == MAP_FAILED)
		return -ENOMEM;
	/* in ticks first; how long one lasts is known at the end */
	if (available & UMCG_XSTATE_AVX)
		costs->avx = measure(&ring, UMCG_XSTATE_AVX);
	if (available & UMCG_XSTATE_AVX512)
		costs->avx512 = measure(&ring, UMCG_XSTATE_AVX512);
	munmap(ring.sets, bytes);
	ns = now_ns() - ns;
	ticks = __rdtsc() - ticks;
	scale = ticks ? (double)ns / (double)ticks : 0;
	costs->avx.saves_ns *= (float)scale;
	costs->avx.costs_ns *= (float)scale;
	costs->avx512.saves_ns *= (float)scale;
	costs->avx512.costs_ns *= (float)scale;
	return 0;
}

/* The program's MXCSR may have exceptions unmasked, and keeps its flags. */
int umcg_xstate_measure(uint64_t available, uint32_t threads, struct xstate_costs *costs)
{
	const unsigned int mxcsr = _mm_getcsr();
	int err;

	_mm_setcsr(0x1f80);
	err = measure_all(available, threads, costs);
	_mm_setcsr(mxcsr);
	return err;
}
#else
int umcg_xstate_measure(uint64_t available, uint32_t threads, struct xstate_costs *costs)
{
	(void)available;
	(void)threads;
	memset(costs, 0, sizeof(*costs));
	return 0;
}
#endif
