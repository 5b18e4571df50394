/* SPDX-License-Identifier: MIT */
/*
 * R27: the way that was given up. RUNNABLE, RUNNABLE|IDLE and RUNNING are one
 * user-visible word; whoever wakes the server reads it, tries a cmpxchg, and
 * after TRIES failures gives up. Meanwhile a worker that blocks with QUIET and
 * comes back by DIRECT_RESUME toggles IDLE. Two sleepers may stand in for what
 * a wake-up is for: an entry on the list (PUSH), or a kick and nothing else.
 */
#define RUNNING		1
#define RUNNABLE	2
#define IDLE		3

byte state = IDLE;	/* of a server that sleeps; the worker is blocked */
bool asleep = 1;
bool news;		/* runnable_ptr */

inline wake(i, v)
{
	i = 0;
	do
	:: i < TRIES ->
		v = state;
		if
		:: v == RUNNING -> break
		:: else
		fi;
		atomic {
			if
			:: state == v -> state = RUNNING; asleep = 0; break
			:: else -> i++
			fi
		}
	:: else -> break
	od;
	i = 0; v = 0
}

active proctype Server()
{
	!asleep
}

active proctype Worker()
{
	byte i, v;
	bool c;

blocked:
	if
	:: goto over		/* what it waits for never comes */
	:: skip
	fi;
	c = (state == IDLE && !news);
	if
	:: c -> atomic {	/* direct resume */
			if
			:: state == IDLE -> state = RUNNABLE
			:: else -> c = 0
			fi
		}
	:: else
	fi;
	if
	:: !c -> news = 1; wake(i, v); goto over
	:: else
	fi;
	/* it runs, and blocks again */
	c = !news;
	if
	:: c -> atomic {
			if
			:: state == RUNNABLE -> state = IDLE
			:: else -> c = 0
			fi
		}
	:: else
	fi;
	if
	:: c && !news -> goto blocked
	:: else
	fi;
	wake(i, v);
over:
	skip
}

active proctype Waker()
{
	byte i, v;

#ifdef PUSH
	news = 1;
#endif
	wake(i, v)
}
