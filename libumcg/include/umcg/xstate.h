/* SPDX-License-Identifier: MIT */
/*
 * Extended processor state (AVX, AVX-512, AMX) around voluntary waits.
 *
 * The kernel saves and restores, at every switch, the vector registers that are
 * *in use*: that hold anything but their initial value. In nearly every process
 * that is the opmask and ZMM16-31 registers, for libc's string functions use them
 * and nothing clears them; and, in a thread that has used AMX, 8 KB of tiles.
 * At a function call these registers are dead by the calling convention. So
 * before a thread waits of its own will it can put them back to their initial
 * state, and the kernel has nothing to save:
 *
 *	umcg_xstate_release();
 *	umcg_wait(0, 0);
 *
 * That costs an instruction or a few dozen nanoseconds, and whether it saves more
 * than it costs depends on the processor and on how many threads there are.
 * The library measures that once, in the process itself, and releases what pays;
 * docs/xstate.md has the figures. The runtime in scheduler/ does all this by itself.
 *
 * Never touched: XMM0-15, MXCSR, the x87 registers and control word, PKRU, shadow
 * stacks, supervisor state. On a processor without XSAVE, or one that does
 * not track what is in use, nothing is done.
 */
#ifndef UMCG_XSTATE_H
#define UMCG_XSTATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Components, as the bits of XCR0. */
#define UMCG_XSTATE_AVX		0x00000004ULL	/* upper halves of YMM0-15 */
#define UMCG_XSTATE_AVX512	0x000000e0ULL	/* opmask, upper halves of ZMM0-15, ZMM16-31 */
#define UMCG_XSTATE_AMX		0x00060000ULL	/* tile configuration and tiles */

enum umcg_xstate_mode {
	UMCG_XSTATE_AUTO = 0,	/* $UMCG_XSTATE if set, else what the measurement says */
	UMCG_XSTATE_NONE,	/* release nothing */
	UMCG_XSTATE_ALL,	/* release every component that can be */
};

struct umcg_xstate_options {
	size_t size;			/* sizeof(struct umcg_xstate_options), for later versions */
	enum umcg_xstate_mode mode;
	uint32_t threads;		/* that take turns; 0: some (8) */
};

/*
 * Decide what umcg_xstate_release() does in this process; NULL for the defaults.
 * The first release or umcg_xstate_policy() decides with the defaults if nobody
 * has. May be called again: a mode other than AUTO, and the environment, stay until
 * another mode is asked for; AUTO with a number of threads measures for that
 * number; AUTO with 0 changes nothing.
 * $UMCG_XSTATE: auto, none, all, or names of components: "avx,amx". Not read in
 * a setuid program.
 * -EINVAL: @opts has a bad size or mode, a byte that this version does not know is
 * not 0, or $UMCG_XSTATE is none of these (then nothing is released).
 * Takes less than 1 ms of CPU time for few threads and 10 ms for 1,000, which is the
 * most that is measured for; memory of 2.7 KB for each, given back. Thread safe. Not
 * in a signal handler.
 */
int umcg_xstate_init(const struct umcg_xstate_options *opts);

enum umcg_xstate_why {
	UMCG_XSTATE_WHY_CPU = 0,	/* nothing can be released here */
	UMCG_XSTATE_WHY_MEASURED,
	UMCG_XSTATE_WHY_OPTION,		/* umcg_xstate_init() was told so */
	UMCG_XSTATE_WHY_ENVIRONMENT,
};

/* What was decided, and from which figures. */
struct umcg_xstate_decision {
	size_t size;		/* in: sizeof(struct umcg_xstate_decision) */
	uint64_t available;	/* components that could be released here */
	uint64_t release;	/* those that umcg_xstate_release() releases */
	enum umcg_xstate_why why;
	uint32_t threads;	/* the number that was measured for; 0: nothing was measured */
	/*
	 * Nanoseconds at one switch, by that number of register sets saved and
	 * loaded in turn: what a component in use costs more than one in its
	 * initial state, and what it costs to release it. 0: not measured. AMX
	 * never is: it would mark the calling thread for ever.
	 */
	float avx_saves_ns, avx_costs_ns;
	float avx512_saves_ns, avx512_costs_ns;
};

/*
 * 0, or -EINVAL: @policy->size is that of no version, or what umcg_xstate_init()
 * would return if nobody has called it. Otherwise never blocks.
 */
int umcg_xstate_policy(struct umcg_xstate_decision *policy);

/* ---- The fast path ------------------------------------------------------ */

/* Internal: what to release; bit 63: not decided yet. */
extern uint64_t umcg_xstate_mask_;
/* Internal: this process has been seen with tiles in use, or may have. */
extern uint32_t umcg_xstate_tiles_;
void umcg_xstate_release_(void);
void umcg_xstate_release_tiles_(void);

#if defined(__x86_64__)
/* Components in use. Only where XGETBV has index 1: with a mask that is not 0. */
static inline uint64_t umcg_xstate_in_use_(void)
{
	uint32_t low, high;

	__asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
	return low | (uint64_t)high << 32;
}
#endif

/*
 * Put back to its initial state what is in use and pays. Call it right before
 * umcg_wait(), futex() or any other wait that you choose, from code that follows the
 * calling convention: the caller's vector registers are dead, as at any call.
 * Never blocks once decided. Any thread. Leaves errno alone.
 */
static inline void umcg_xstate_release(void)
{
	const uint64_t mask = __atomic_load_n(&umcg_xstate_mask_, __ATOMIC_RELAXED);

	if (!mask)
		return;
#if defined(__x86_64__)
	/* bit 63 is in nobody's XINUSE: looked at by itself */
	if (!(mask >> 63) && !(umcg_xstate_in_use_() & mask))
		return;
#endif
	umcg_xstate_release_();
}

/*
 * The same for AMX tiles alone, for a scheduler in user space: before it switches
 * to another task on this thread, so that no tile is carried along into its waits.
 * Free in a process that has not used AMX: one test of a variable. AMX is known
 * of when the process had permission (ARCH_REQ_XCOMP_PERM) at umcg_xstate_init(),
 * or since a umcg_xstate_release() has found a tile in use.
 */
static inline void umcg_xstate_release_tiles(void)
{
	if (__atomic_load_n(&umcg_xstate_tiles_, __ATOMIC_RELAXED))
		umcg_xstate_release_tiles_();
}

#ifdef __cplusplus
}
#endif

#endif /* UMCG_XSTATE_H */
