/* SPDX-License-Identifier: MIT */
/*
 * Named places where tests stop a thread to put another one's step in between.
 * Nothing in the library itself: only the tests' own build of these sources
 * defines UMCG_EMUL_POINTS.
 */
#ifndef UMCG_SRC_EMUL_POINT_H
#define UMCG_SRC_EMUL_POINT_H

enum emul_point {
	EMUL_AT_ENTER,		/* worker: about to enter the library */
	EMUL_AT_LEAVE,		/* worker: RUNNING again, preempt not read yet */
	EMUL_AT_REPORT,		/* reporter: the worker is BLOCKING */
	EMUL_AT_REPORTED,	/* reporter: pushed and server told, not yet BLOCKED */
	EMUL_AT_PARK,		/* worker: shows RUNNABLE, cannot be claimed yet */
	EMUL_AT_PARKED,		/* worker: may be claimed, is on no list yet */
	EMUL_AT_HOLD,		/* worker: about to sleep */
	EMUL_AT_CLAIMED,	/* claimer: has it, has not run it yet */
	EMUL_AT_RUN,		/* claimer: it shows RUNNING, is not let go yet */
	EMUL_AT_PUSH,		/* pusher: link taken, not on the list yet */
	EMUL_AT_WAIT,		/* server: locked, shows RUNNABLE */
	EMUL_AT_SLEEP,		/* server: unlocked, about to sleep */
	EMUL_AT_TIMEOUT,	/* server: the time is over, not undone yet */
	EMUL_AT_QUIET,		/* under the lock: IDLE is shown, news not read again */
	EMUL_AT_KICK,		/* kicker: preempt is set, phase not read yet */
	EMUL_AT_DEAD,		/* worker: shows EXITED, not pushed yet */
	EMUL_N_POINTS
};

#ifdef UMCG_EMUL_POINTS
/* Called with signals masked; NULL: nobody. */
extern void (*emul_at_point)(enum emul_point point);
#define EMUL_POINT(name)								\
	do {										\
		void (*point_)(enum emul_point) =					\
			__atomic_load_n(&emul_at_point, __ATOMIC_ACQUIRE);			\
		if (point_)								\
			point_(EMUL_AT_##name);						\
	} while (0)
#else
#define EMUL_POINT(name) ((void)0)
#endif

#endif /* UMCG_SRC_EMUL_POINT_H */
