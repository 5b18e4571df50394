/* SPDX-License-Identifier: MIT */
/*
 * Print this machine's time stamp counter frequency in kHz.
 *
 * Under TCG the guest's counter is the host's. Left to itself the guest
 * measures it against an emulated timer, and on a busy host may be wrong by
 * a factor of eight: every deadline in the guest would then be, too.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct pair {
	uint64_t tsc, ns;
};

/* The counter and the clock at the same moment: the tightest of many tries. */
static struct pair sample(void)
{
	struct pair best = { 0, 0 };
	uint64_t width = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		struct timespec t;
		uint64_t before = __rdtsc(), after;

		clock_gettime(CLOCK_MONOTONIC_RAW, &t);
		after = __rdtsc();
		if (after - before < width) {
			width = after - before;
			best.tsc = before + width / 2;
			best.ns = t.tv_sec * 1000000000ULL + t.tv_nsec;
		}
	}
	return best;
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	struct pair a = sample(), b;

	nanosleep(&pause, NULL);
	b = sample();
	printf("%.0f\n", (b.tsc - a.tsc) * 1e6 / (b.ns - a.ns));
	return 0;
}
