// SPDX-License-Identifier: MIT
/*
 * Which components of the extended state umcg_xstate_release() puts back, and
 * doing so. Decided under umcg_lock(), read without: the mask is one word and
 * any of its values is right at any time, only more or less fast.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend.h"
#include "xstate.h"

#define UNDECIDED (1ULL << 63)
#define MAX_OPTIONS_SIZE 4096
#define DEFAULT_THREADS 8

uint64_t umcg_xstate_mask_ = UNDECIDED;
uint32_t umcg_xstate_tiles_;

/* All under umcg_lock(). */
static struct umcg_xstate_decision decided;
static bool by_force;	/* an option or the environment: AUTO leaves it */

#if defined(__x86_64__)
#include <cpuid.h>

#define TILE_DATA (1ULL << 18)
#define ARCH_GET_XCOMP_PERM 0x1022

static uint64_t xcr0(void)
{
	uint32_t low, high;

	__asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (uint64_t)high << 32;
}

/*
 * Does XINUSE follow what we do? An emulator may say "in use" for ever; then a
 * release has no effect that the kernel could see.
 */
static bool tracked(uint64_t component)
{
	if (component & UMCG_XSTATE_AVX)
		xstate_vzeroupper();
	else
		xstate_to_init(component);
	return !(umcg_xstate_in_use_() & component);
}

static uint64_t available(void)
{
	uint32_t a, b, c, d;
	uint64_t have, usable = 0;

	/* XSAVE, and the system uses it; XGETBV(1); a save that leaves out the initial */
	if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	if (!__get_cpuid_count(0xd, 1, &a, &b, &c, &d) || !(a & 4) || !(a & 3))
		return 0;
	have = xcr0();
	if (have & UMCG_XSTATE_AVX && tracked(UMCG_XSTATE_AVX))
		usable |= UMCG_XSTATE_AVX;
	if ((have & UMCG_XSTATE_AVX512) == UMCG_XSTATE_AVX512 && tracked(UMCG_XSTATE_AVX512))
		usable |= UMCG_XSTATE_AVX512;
	/* cannot be tried: a thread that never used tiles shall stay one */
	if ((have & UMCG_XSTATE_AMX) == UMCG_XSTATE_AMX)
		usable |= UMCG_XSTATE_AMX;
	return usable;
}

/* What the kernel lets this process use, XCR0's bits. */
static bool tiles_permitted(void)
{
	unsigned long permitted = 0;

	return !syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &permitted) && permitted & TILE_DATA;
}

/*
 * noipa, here and below: a compiler that looks inside would see that XMM0-15
 * are not written and might keep a YMM or ZMM register across the call.
 */
#if defined(__has_attribute) && __has_attribute(noipa)
#define OPAQUE __attribute__((noipa))
#else
#define OPAQUE __attribute__((noinline))
#endif

OPAQUE void umcg_xstate_release_tiles_(void)
{
	/* asked first: on a thread without tiles it could trap */
	if (umcg_xstate_in_use_() & UMCG_XSTATE_AMX)
		__asm__ __volatile__("tilerelease" : : : "memory");
}

static void release(uint64_t mask)
{
	const uint64_t in_use = umcg_xstate_in_use_() & mask;

	if (in_use & UMCG_XSTATE_AVX)
		xstate_vzeroupper();
	if (in_use & UMCG_XSTATE_AMX) {
		__asm__ __volatile__("tilerelease" : : : "memory");
		__atomic_store_n(&umcg_xstate_tiles_, 1, __ATOMIC_RELAXED);
	}
	if (in_use & UMCG_XSTATE_AVX512)
		xstate_to_init(UMCG_XSTATE_AVX512);
}
#else
#define OPAQUE
static uint64_t available(void)
{
	return 0;
}

static bool tiles_permitted(void)
{
	return false;
}

void umcg_xstate_release_tiles_(void)
{
}

static void release(uint64_t mask)
{
	(void)mask;
}
#endif

/* $UMCG_XSTATE: true if it decides; -EINVAL in @err if it says nothing known. */
static bool from_environment(uint64_t have, uint64_t *mask, int *err)
{
	static const struct {
		const char *name;
		uint64_t mask;
	} words[] = {
		{ "none", 0 },
		{ "all", UMCG_XSTATE_AVX | UMCG_XSTATE_AVX512 | UMCG_XSTATE_AMX },
		{ "avx", UMCG_XSTATE_AVX },
		{ "avx512", UMCG_XSTATE_AVX512 },
		{ "amx", UMCG_XSTATE_AMX },
	};
	const char *text = secure_getenv("UMCG_XSTATE");

	*mask = 0;
	if (!text || !*text || !strcmp(text, "auto"))
		return false;
	for (;;) {
		const size_t len = strcspn(text, ",");
		size_t i;

		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			if (strlen(words[i].name) == len && !memcmp(text, words[i].name, len))
				break;
		}
		if (i == sizeof(words) / sizeof(words[0])) {
			*mask = 0;
			*err = -EINVAL;
			return true;
		}
		*mask |= words[i].mask & have;
		if (!text[len])
			return true;
		text += len + 1;
	}
}

static void measure(uint32_t threads)
{
	struct xstate_costs costs;

	decided.why = UMCG_XSTATE_WHY_MEASURED;
	decided.threads = threads;
	/* never measured, see struct umcg_xstate_decision; an instruction, against 8 KB to save */
	decided.release = decided.available & UMCG_XSTATE_AMX;
	if (umcg_xstate_measure(decided.available, threads, &costs)) {
		decided.threads = 0;
		return;
	}
	decided.avx_saves_ns = costs.avx.saves_ns;
	decided.avx_costs_ns = costs.avx.costs_ns;
	decided.avx512_saves_ns = costs.avx512.saves_ns;
	decided.avx512_costs_ns = costs.avx512.costs_ns;
	if (costs.avx512.saves_ns > costs.avx512.costs_ns)
		decided.release |= UMCG_XSTATE_AVX512;
	if (costs.avx.saves_ns > costs.avx.costs_ns)
		decided.release |= UMCG_XSTATE_AVX;
}

/* Under the lock. */
static int decide(enum umcg_xstate_mode mode, uint32_t threads)
{
	const bool first = umcg_xstate_mask_ == UNDECIDED;
	int err = 0;

	if (mode == UMCG_XSTATE_AUTO && !first && (by_force || !threads))
		return 0;
	decided = (struct umcg_xstate_decision){ .size = sizeof(decided), .available = available() };
	by_force = mode != UMCG_XSTATE_AUTO;
	if (by_force) {
		decided.release = mode == UMCG_XSTATE_ALL ? decided.available : 0;
		decided.why = UMCG_XSTATE_WHY_OPTION;
	} else if (from_environment(decided.available, &decided.release, &err)) {
		decided.why = UMCG_XSTATE_WHY_ENVIRONMENT;
		by_force = true;
	} else if (decided.available) {
		measure(threads ? threads : DEFAULT_THREADS);
	}
	if (!decided.available)
		decided.why = UMCG_XSTATE_WHY_CPU;
	if (decided.release & UMCG_XSTATE_AMX && tiles_permitted())
		__atomic_store_n(&umcg_xstate_tiles_, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&umcg_xstate_mask_, decided.release, __ATOMIC_RELAXED);
	return err;
}

int umcg_xstate_init(const struct umcg_xstate_options *opts)
{
	const unsigned char *byte = (const unsigned char *)opts;
	const int saved = errno;
	int err;

	if (opts) {
		if (opts->size < sizeof(*opts) || opts->size > MAX_OPTIONS_SIZE)
			return -EINVAL;
		for (size_t i = sizeof(*opts); i < opts->size; i++) {
			if (byte[i])
				return -EINVAL;
		}
		if ((unsigned int)opts->mode > UMCG_XSTATE_ALL)
			return -EINVAL;
	}
	umcg_lock();
	err = decide(opts ? opts->mode : UMCG_XSTATE_AUTO, opts ? opts->threads : 0);
	umcg_unlock();
	errno = saved;
	return err;
}

int umcg_xstate_policy(struct umcg_xstate_decision *policy)
{
	const size_t size = policy->size;
	int err;

	if (size < sizeof(*policy) || size > MAX_OPTIONS_SIZE)
		return -EINVAL;
	err = umcg_xstate_init(NULL);
	if (err)
		return err;
	memset(policy, 0, size);
	umcg_lock();
	*policy = decided;
	umcg_unlock();
	policy->size = size;
	return 0;
}

OPAQUE void umcg_xstate_release_(void)
{
	uint64_t mask = __atomic_load_n(&umcg_xstate_mask_, __ATOMIC_RELAXED);

	if (mask == UNDECIDED) {
		/* a bad $UMCG_XSTATE: nothing is released, and umcg_xstate_init() says so */
		(void)umcg_xstate_init(NULL);
		mask = __atomic_load_n(&umcg_xstate_mask_, __ATOMIC_RELAXED);
	}
	if (mask)
		release(mask);
}
