// SPDX-License-Identifier: MIT
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <umcg/xstate.h>

#include "xstate_bench.h"

const char *const state_names[N_STATES] = { "clean", "libc", "avx512", "amx" };

static const struct {
	_Alignas(64) unsigned char legacy[512];
	unsigned char header[64];
} initial;

static const struct {
	_Alignas(64) unsigned char palette;
	unsigned char rest[15];
	uint16_t row_bytes[16];
	unsigned char rows[16];
} tiles = { .palette = 1, .row_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
	    .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };

static bool have_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

static bool have_amx(void)
{
	static int known = -1;

	/* ARCH_REQ_XCOMP_PERM */
	if (known < 0)
		known = !syscall(SYS_arch_prctl, 0x1023, 18);
	return known;
}

bool have_state(enum state s)
{
	if (s == AMX)
		return have_amx();
	return s == CLEAN || have_avx512();
}

void dirty(enum state s)
{
	if (s == CLEAN)
		return;
	if (s == AMX) {
		static unsigned char data[1024];

		__asm__ __volatile__("ldtilecfg %0" : : "m"(tiles));
#define TILE(n) __asm__ __volatile__("tileloadd (%0,%1,1), %%tmm" #n : : "r"(data), "r"(64L))
		TILE(0); TILE(1); TILE(2); TILE(3); TILE(4); TILE(5); TILE(6); TILE(7);
	}
	__asm__ __volatile__("kxnorq %%k1, %%k1, %%k1\n\t"
			     "vpternlogd $255, %%zmm16, %%zmm16, %%zmm16\n\t"
			     "vpternlogd $255, %%zmm31, %%zmm31, %%zmm31" : : : "memory");
	if (s != LIBC)
		__asm__ __volatile__(
			".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
			"vpternlogd $255, %%zmm\\n, %%zmm\\n, %%zmm\\n\n\t"
			".endr" : : : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
			"xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
			"xmm14", "xmm15");
}

void clean(void)
{
	if (have_avx512())
		__asm__ __volatile__("xrstor64 %0" : : "m"(initial), "a"(0xe0), "d"(0) : "memory");
	if (__builtin_cpu_supports("avx"))
		__asm__ __volatile__("vzeroupper" : : : "memory", "xmm0", "xmm1", "xmm2", "xmm3",
				     "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
				     "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	if (have_amx())
		__asm__ __volatile__("tilerelease");
}

uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint32_t mask(void)
{
	return have_amx() ? 0x600e7 : 0xe7;
}

size_t area_size(void)
{
	uint32_t a, b, c, d;

	__cpuid_count(0xd, 0, a, b, c, d);
	return (b + 63) & ~63U;
}

void save_all(void *area)
{
	__asm__ __volatile__("xsavec64 (%0)" : : "r"(area), "a"(mask()), "d"(0) : "memory");
}

void load_all(const void *area)
{
	__asm__ __volatile__("xrstor64 (%0)" : : "r"(area), "a"(mask()), "d"(0)
			     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
			       "xmm14", "xmm15");
}

void report(const char *name, const char *metric, double ns)
{
	printf("%s\t%s\t%.2f\n", name, metric, ns);
	fflush(stdout);
}
