/* SPDX-License-Identifier: MIT */
/*
 * What xstate.c (what to release, and releasing it) and xstate_measure.c (what
 * pays) share: the instructions, and the list of components.
 */
#ifndef UMCG_SRC_XSTATE_H
#define UMCG_SRC_XSTATE_H

#include <umcg/xstate.h>

#pragma GCC visibility push(hidden)

/* At one switch, for one group of components. */
struct xstate_cost {
	float saves_ns;
	float costs_ns;
};

struct xstate_costs {
	struct xstate_cost avx;
	struct xstate_cost avx512;
};

/*
 * Measure for @threads register sets, of the components in @available. 0, or
 * -ENOMEM. Changes the registers of those components only.
 */
int umcg_xstate_measure(uint64_t available, uint32_t threads, struct xstate_costs *costs);

#if defined(__x86_64__)
/*
 * Initialise the components of @mask, which are UMCG_XSTATE_AVX512's or a part of
 * them. By an image whose header says that all is initial. In its standard
 * form, with neither SSE nor AVX in the mask, XRSTOR leaves MXCSR alone; with AVX
 * it would load it from the image. So AVX is left to VZEROUPPER.
 */
static inline void xstate_to_init(uint64_t mask)
{
	static const struct {
		_Alignas(64) unsigned char legacy[512];
		unsigned char header[64];
	} initial = { 0 };

	__asm__ __volatile__("xrstor64 %0"
			     : : "m"(initial), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			     : "memory");
}

static inline void xstate_vzeroupper(void)
{
	__asm__ __volatile__("vzeroupper" : : : "memory");
}
#endif

#pragma GCC visibility pop

#endif /* UMCG_SRC_XSTATE_H */
