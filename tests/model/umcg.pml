/* SPDX-License-Identifier: MIT */
/*
 * The kernel protocol of docs/kernel-protocol.md: NS servers, NW workers and
 * one process for everybody else. README.md says what is modelled and what is
 * abstracted; `run` lists the configurations (-D...) and the reversed rules
 * (-DMUT_...).
 *
 * With FINE every access to a word that somebody else may touch is a step of
 * its own. Without it, steps at a CUT are joined where README.md shows that
 * nobody can tell the difference.
 */
#ifndef NS
#define NS 1
#endif
#ifndef NW
#define NW 2
#endif

/* umcg_ctx::phase; the A variants: asleep outside the hold (R24) */
#define RUNNING		1
#define BLOCKED		2
#define RUNNABLE	3
#define CLAIMED		4
#define DEAD		5
#define RUNNABLE_A	6
#define CLAIMED_A	7
/* umcg_task::state: of a server that waits idle; of a worker that is gone */
#define IDLE		4
#define EXITED		5
/* links */
#define PENDING		1
#define END		2
#define ADDR(w)		((w) + 3)

#ifdef FINE
#define CUT		}; atomic {
#else
#define CUT
#endif
#if NS > 1 || defined(FINE)	/* next_tid is changed outside the lock, too */
#define CUT_NEXT	}; atomic {
#else
#define CUT_NEXT
#endif

/* ---- private words of the kernel ---- */
byte phase[NW];
byte srv[NW];		/* server + 1 */
bool preempt[NW];
bool tif[NW];		/* TIF_NOTIFY_RESUME on behalf of preempt */
bool lock[NS];
byte running[NS];	/* worker + 1; the user's running_tid goes with it */
bool waiting[NS];
bool idle[NS];
bool expired[NS];
bool missed[NS];
#ifdef FINE		/* task states; without FINE a sleeper waits for its word */
bool wasleep[NW];
bool sasleep[NS];
#define WASLEEP(w, v)	wasleep[w] = v
#define SASLEEP(s, v)	sasleep[s] = v
#else
#define WASLEEP(w, v)	skip
#define SASLEEP(s, v)	skip
#endif
#ifdef MUT_AWAY_WORD	/* `away` is a word of its own, not a bit of the phase */
bool away[NW];
#endif

#if NS > 1
byte listed[NW];	/* on whose blocked list it was put last */
#define LISTED(w, s)	listed[w] = (pushed -> s : listed[w])
#else
#define LISTED(w, s)	skip
#endif

/* ---- user words ---- */
byte ustate[NW];
byte blink[NW];
byte rlink[NW];
byte sstate[NS];
bool gone[NW];		/* tid is 0: the kernel has done with it */
byte bhead[NS];
byte rhead[NS];
byte next_tid[NS];	/* worker + 1 */
#ifdef QUIET
bool quiet[NS];
#endif

/* ---- user space's own ---- */
byte q[NS];		/* runnable workers, a set: any policy */
#ifdef ENQ
bool task[NS];		/* somebody queued a task for a carrier */
#endif

/* ---- for the properties ---- */
byte inuser[NS];	/* worker + 1 in user space */
bool owed[NW];		/* parked, its RUNNABLE entry not seen yet */
bool bowed[NW];		/* blocked, its BLOCKED not seen yet */
byte reading[NW];	/* how many took it off a list and have not seen its state yet */
bool settled[NW];	/* its push of this block is over */
#ifdef KICKW
bool kreq[NW];		/* a kick began, and the one who asks was not told since of a stop */
bool kdue[NW];		/* that kick returned 0 */
#define GAVE_UP(w)	kreq[w] = 0; kdue[w] = 0
#else
#define GAVE_UP(w)	skip
#endif
#ifdef SLICE
bool armed[NS];		/* it waits with a slice */
#endif
bool freed[NW];		/* user space has freed its struct */
bool others = 1;		/* more signals may come */
byte nexit;		/* whose EXITED was seen, a set */

#define BIT(w)		(1 << (w))
#define ALL		((1 << NW) - 1)
#ifdef HOME0
#define HOME(w)		0
#else
#define HOME(w)		((w) % NS)
#endif

#define LOCALS	byte prev, nx; bool pushed, woke, had, ex, c; byte ok;

/* Wait-free push; pushed = 0: it is still on a list */
inline push(head, link, w)
{
	atomic {
		assert(!freed[w]);
		if
#ifdef MUT_R3	/* the link is overwritten, whatever it is */
		:: link = PENDING; pushed = 1
#else
		:: link == 0 -> link = PENDING; pushed = 1
		:: else -> pushed = 0
#endif
		fi;
		CUT
		if
		:: pushed -> prev = head; head = ADDR(w)
		:: else
		fi;
		CUT
		if
		:: pushed -> link = (prev -> prev : END)
		:: else
		fi;
		prev = 0
	}
}

/* The end of a wait: the state first, since the server reads `waiting` without the lock. */
#ifdef MUT_STATE_LATE
#define END_WAIT(s)	idle[s] = 0; waiting[s] = 0; woke = 1
#define ENDED_WAIT(s)	sstate[s] = RUNNING
#else
#define END_WAIT(s)	idle[s] = 0; sstate[s] = RUNNING; woke = 1
#define ENDED_WAIT(s)	waiting[s] = 0
#endif

/* For a RUNNABLE report: the server must be idle. The entry is on a list. */
inline wake_idle(s)
{
	atomic { lock[s] == 0 -> lock[s] = 1;
		if
#ifdef WAKE_ON_RUNNABLE
		:: waiting[s] ->
#else
		:: waiting[s] && idle[s] ->
#endif
			END_WAIT(s)
		:: else
		fi;
		CUT
		if
		:: woke -> ENDED_WAIT(s)
		:: else
		fi;
		lock[s] = 0;
		CUT
		if
		:: woke -> SASLEEP(s, 0)
		:: else
		fi;
		woke = 0
	}
}

/*
 * For everything else; called with the lock held, releases it. A wake that
 * finds nobody waiting is remembered: the server may have looked at what runs,
 * and at its lists, before.
 */
inline wake_unlock(s)
{
	atomic {
		if
		:: waiting[s] -> END_WAIT(s)
#ifdef MUT_WAKE_FORGETS
		:: else
#else
		:: else -> missed[s] = 1
#endif
		fi;
		CUT
		if
		:: woke -> ENDED_WAIT(s)
		:: else
		fi;
		lock[s] = 0;
		CUT
		if
		:: woke -> SASLEEP(s, 0)
		:: else
		fi;
		woke = 0
	}
}

inline kick_server(s)
{
	atomic { lock[s] == 0 -> lock[s] = 1;
		if
		:: waiting[s] -> END_WAIT(s)
#ifdef MUT_P7
		:: else
#else
		:: else -> missed[s] = 1
#endif
		fi;
		CUT
		if
		:: woke -> ENDED_WAIT(s)
		:: else
		fi;
		lock[s] = 0;
		CUT
		if
		:: woke -> SASLEEP(s, 0)
		:: else
		fi;
		woke = 0
	}
}

/* ok = 1: n is claimed. Inside an atomic. */
inline claim(n)
{
	if
	:: phase[n] == RUNNABLE -> phase[n] = CLAIMED; ok = 1
	:: phase[n] == RUNNABLE_A -> phase[n] = CLAIMED_A; ok = 1
#ifdef MUT_R5	/* two may hold the claim */
	:: phase[n] == CLAIMED -> ok = 1
#endif
	:: else -> ok = 0
	fi
}

/*
 * Under the lock of s: let the claimed n go. ok = 1, and wakeup(n) after the
 * lock is released; 0: it sleeps outside the hold, and is BLOCKED now.
 */
inline dispatch(n, s)
{
	atomic {
		srv[n] = s + 1;
		assert(!freed[n]);
		ustate[n] = RUNNING;
#ifdef SIGNALS
	};
#ifdef MUT_AWAY_WORD
	atomic { phase[n] = RUNNING; ok = 1 };
	if
	:: away[n] ->
		atomic {
			if
			:: phase[n] == RUNNING -> phase[n] = BLOCKED; ok = 0; GAVE_UP(n)
			:: else
			fi
		}
	:: else
	fi;
#else
	atomic {
		if
#ifdef MUT_R24	/* dispatched as if it were held */
		:: phase[n] = RUNNING; ok = 1
#else
		:: phase[n] == CLAIMED -> phase[n] = RUNNING; ok = 1
		:: else -> ok = 0	/* R24: its block is reported for it */
#endif
		fi
	};
#endif
	if
	:: !ok ->
		ustate[n] = BLOCKED;
		push(bhead[s], blink[n], n);
		atomic { LISTED(n, s); pushed = 0; phase[n] = BLOCKED; WASLEEP(n, 0) }
	:: else
	fi;
	atomic {
		skip
#else
#ifdef MUT_USERWORD
	};
	atomic {
#endif
		CUT
		assert(phase[n] == CLAIMED);
		phase[n] = RUNNING; ok = 1
#endif
	}
}

#include "worker.h"
#include "server.h"
#include "others.h"

#ifdef LIVE
ltl served { [] (phase[1] == RUNNABLE -> <> (phase[1] != RUNNABLE)) }
#endif

init
{
	atomic {
		byte i;

		for (i : 0 .. NS - 1) {
			sstate[i] = RUNNING
		}
		for (i : 0 .. NW - 1) {
			phase[i] = BLOCKED	/* register: parks and is queued */
		}
		for (i : 0 .. NS - 1) {
			run Server(i)
		}
		for (i : 0 .. NW - 1) {
			run Worker(i)
		}
#if defined(KICKS) || defined(KICKW) || defined(ENQ) || defined(KILL) || defined(SIGNALS)
		run Others();
#endif
		i = 0
	}
}
